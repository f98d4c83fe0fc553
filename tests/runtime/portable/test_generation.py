"""Generation of a text, by a model with predetermined tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from runtime.errors import PromptError
from runtime.portable.generation import UNLIMITED, UNTIL_FULL, Generation
from runtime.portable.sampling import Sampler
from runtime.portable.tokenizer import read_tokenizer
from tests.builders.vocabulary import CONTROL, NORMAL, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TOKENS = ["<end>", "a", "b", "}", "Ċ", "}Ċx", "Ã", "©", "ab"]
VOCABULARY = Vocabulary(
    tokens=[(text, CONTROL if text == "<end>" else NORMAL) for text in TOKENS], numbers={"eos_token_id": 0}
)


@dataclass
class Parrot:
    """A model that continues with given tokens, then with "a" without end."""

    text: Sequence[str] = ()
    context: int = 100
    position: int = 0
    read: list[list[int]] = field(default_factory=list)

    def forward(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        self.read.append(list(tokens))
        self.position += len(tokens)
        said = len(self.read) - 1
        scores = np.zeros(len(TOKENS), np.float32)
        scores[TOKENS.index(self.text[said] if said < len(self.text) else "a")] = 1
        return scores


def generation(model: Parrot, *stops: bytes, prompt: str = "ab") -> Generation:
    return Generation(model, read_tokenizer(VOCABULARY.header()), Sampler(0, 0, 1, 0), prompt, stops)


def test_what_is_read() -> None:
    """The prompt at once, then each token alone, and the last one not at all."""
    model = Parrot("ba")
    assert b"".join(generation(model).pieces(3)) == b"baa"
    assert model.read == [[1, 2], [2], [1]]


@pytest.mark.parametrize(("count", "expected"), [(0, b""), (1, b"b"), (5, b"baaaa")])
def test_a_number_of_tokens(count: int, expected: bytes) -> None:
    model = Parrot("b")
    text = generation(model)
    assert b"".join(text.pieces(count)) == expected
    assert not text.context_is_full
    assert len(model.read) == count


@pytest.mark.parametrize("count", [UNLIMITED, UNTIL_FULL])
def test_until_the_context_is_full(count: int) -> None:
    text = generation(Parrot(context=5))
    assert b"".join(text.pieces(count)) == b"aaaa"  # two of the prompt, three of these read, and the last written
    assert text.context_is_full


def test_the_model_ends_it() -> None:
    text = generation(Parrot(["b", "<end>"]))
    assert b"".join(text.pieces()) == b"b"
    assert not text.context_is_full


@pytest.mark.parametrize(
    ("said", "stops", "expected"),
    [
        (["b", "}", "Ċ", "b"], [b"}\n"], b"b}\n"),  # over two tokens, and part of the text
        (["b", "}Ċx"], [b"}\n"], b"b}\n"),  # a token goes on behind it
        (["}", "Ċ"], [b"\n", b"}"], b"}"),  # the first that ends, whatever their order
        (["}Ċx"], [b"x", b"}\n"], b"}\n"),
        (["Ã", "©", "b"], ["é".encode()], "é".encode()),
        (["b", "<end>"], [b"", b"zzz"], b"b"),
        (["a", "b", "a", "b"], [b"abab"], b"abab"),
        (["b", "b", "<end>"], [b"ab"], b"bb"),  # what the prompt ends with does not count
    ],
)
def test_reverse_prompts(said: list[str], stops: list[bytes], expected: bytes) -> None:
    assert b"".join(generation(Parrot(said), *stops).pieces()) == expected


def test_a_piece_may_be_part_of_a_character() -> None:
    assert list(generation(Parrot(["Ã", "©"])).pieces(2)) == [b"\xc3", b"\xa9"]


def test_prompts_that_cannot_be() -> None:
    with pytest.raises(PromptError, match="has 6 tokens, but the context holds only 6; give a larger one with -c"):
        generation(Parrot(context=6), prompt="aaaaaa")
    with pytest.raises(PromptError, match="empty"):
        generation(Parrot(), prompt="")
    assert list(generation(Parrot(context=7), prompt="aaaaaa").pieces()) == [b"a", b"a"]
