"""The tokenizer, with small vocabularies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.errors import GgufFormatError, ModelError
from runtime.portable.tokenizer import Tokenizer, read_tokenizer
from tests.builders.vocabulary import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, Vocabulary

LETTERS = [(letter, NORMAL) for letter in "abcdeĠĊÃ©."]
PAIRS = Vocabulary(
    tokens=[*LETTERS, ("ab", NORMAL), ("Ġab", NORMAL), ("Ã©", NORMAL), ("abc", NORMAL)],
    merges=["a b", "Ġ ab", "Ã ©"],
    numbers={"bos_token_id": 0, "eos_token_id": 1},
)
SPECIAL = replace(
    PAIRS,
    tokens=[*PAIRS.tokens, ("<|x|>", CONTROL), ("<|x|>b", USER_DEFINED), ("de", USER_DEFINED), ("<?>", UNKNOWN)],
)
BYTES = [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
PIECES = Vocabulary(
    model="llama",
    pre=None,
    tokens=[
        ("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL), *BYTES,
        ("▁", NORMAL), ("a", NORMAL), ("b", NORMAL), ("▁a", NORMAL), ("ab", NORMAL), ("▁ab", NORMAL),
        ("[x]", USER_DEFINED),
    ],
    scores=[0.0] * 259 + [-1, -2, -3, -5, -4, -6, 0],
    merges=None,
)  # fmt: skip  # tokens by kind


def of(vocabulary: Vocabulary) -> Tokenizer:
    return read_tokenizer(vocabulary.header())


def written(tokenizer: Tokenizer, text: str, *, parse_special: bool = True, add_special: bool = True) -> list[str]:
    """The tokens of TEXT as the vocabulary writes them."""
    tokens = tokenizer.encode(text, parse_special=parse_special, add_special=add_special)
    return [tokenizer.encoding.vocabulary.texts[token] for token in tokens]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("ab", ["ab"]),
        ("ab ab", ["ab", "Ġab"]),
        ("abc", ["ab", "c"]),  # abc is a token, but nothing merges into it
        ("é\n", ["Ã©", "Ċ"]),
        ("z", []),  # no vocabulary lacks a byte; this one does
        ("a\udcff", ["a"]),
    ],
)
def test_byte_pairs(text: str, expected: list[str]) -> None:
    assert written(of(PAIRS), text) == expected


def test_a_known_word_is_kept_whole() -> None:
    assert written(of(replace(PAIRS, pre="llama-bpe")), "abc abc", add_special=False) == ["abc", "Ġab", "c"]


def test_what_is_no_unicode_becomes_the_replacement_character() -> None:
    """Each byte one, as in the engine."""
    tokens = [("ï¿½"[i], NORMAL) for i in range(3)]
    assert written(of(replace(PAIRS, tokens=tokens)), "\udce2\udc96") == ["ï", "¿", "½"] * 2


def test_special_tokens_are_found_first() -> None:
    tokenizer = of(SPECIAL)
    assert written(tokenizer, "a<|x|>bcdea") == ["a", "<|x|>b", "c", "de", "a"]
    assert written(tokenizer, "<|x|><|x|>") == ["<|x|>", "<|x|>"]
    assert written(tokenizer, "a<|x|>a<?>", parse_special=False) == ["a", "a"]  # the rest is not in this vocabulary
    assert written(tokenizer, "ade", parse_special=False) == ["a", "de"]


@pytest.mark.parametrize(
    ("pre", "numbers", "expected"),
    [
        ("gpt-2", {}, ["c"]),
        ("llama-bpe", {}, ["a", "c"]),
        ("llama-bpe", {"add_bos_token": False}, ["c"]),
        ("gpt-2", {"add_bos_token": True}, ["a", "c"]),
        ("gpt-2", {"add_bos_token": True, "add_eos_token": True}, ["a", "c", "b"]),
        ("gpt-2", {"add_bos_token": True, "bos_token_id": 1000}, ["Ġab", "c"]),  # the engine's default, 11
    ],
)
def test_how_a_text_begins_and_ends(pre: str, numbers: dict[str, int], expected: list[str]) -> None:
    tokenizer = of(replace(PAIRS, pre=pre, numbers={**PAIRS.numbers, **numbers}))
    assert written(tokenizer, "c") == expected
    assert written(tokenizer, "c", add_special=False) == ["c"]


def test_a_vocabulary_without_a_first_token() -> None:
    tokens = [("a", NORMAL), ("b", NORMAL)]
    tokenizer = of(replace(PAIRS, tokens=tokens, pre="llama-bpe", numbers={}))
    assert tokenizer.encode("ab") == [0, 1]
    assert tokenizer.encode("") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["<s>"]),
        ("ab", ["<s>", "▁ab"]),
        ("abab", ["<s>", "▁ab", "ab"]),
        ("b", ["<s>", "▁", "b"]),
        (" b", ["<s>", "▁", "▁", "b"]),
        ("é", ["<s>", "▁", "<0xC3>", "<0xA9>"]),
        ("\udcff", ["<s>", "▁", "<0xFF>"]),
        ("a</s>a", ["<s>", "▁a", "</s>", "▁a"]),
        ("a[x]b", ["<s>", "▁a", "[x]", "▁", "b"]),
    ],
)
def test_sentence_pieces(text: str, expected: list[str]) -> None:
    assert written(of(PIECES), text) == expected


def test_sentence_pieces_without_a_space_in_front() -> None:
    tokenizer = of(replace(PIECES, numbers={"add_space_prefix": False}))
    assert written(tokenizer, "ab ab") == ["<s>", "ab", "▁ab"]


def test_the_best_score_is_merged_first() -> None:
    """ab before ▁a, although that stands further left; with the scores the other way round, the other way round."""
    tokens = [token for token in PIECES.tokens if token[0] != "▁ab"]
    ranks = {"ab": -1.0, "▁a": -2.0}
    scores = [ranks.get(text, 0.0) for text, _ in tokens]
    assert written(of(replace(PIECES, tokens=tokens, scores=scores)), "ab") == ["<s>", "▁", "ab"]
    scores = [ranks[{"ab": "▁a", "▁a": "ab"}[text]] if text in ranks else 0.0 for text, _ in tokens]
    assert written(of(replace(PIECES, tokens=tokens, scores=scores)), "ab") == ["<s>", "▁a", "b"]


@pytest.mark.parametrize(
    ("vocabulary", "token", "expected"),
    [
        (SPECIAL, "Ġab", b" ab"),
        (SPECIAL, "Ã", b"\xc3"),
        (SPECIAL, "Ċ", b"\n"),
        (SPECIAL, "<|x|>", b""),
        (SPECIAL, "<?>", b""),
        (SPECIAL, "de", b"de"),
        (replace(PAIRS, tokens=[("\u4e00", NORMAL)]), "\u4e00", "\u4e00".encode()),  # not in the alphabet of bytes
        (replace(PAIRS, tokens=[("<0x0A>", BYTE), ("x", UNUSED)]), "<0x0A>", b"\n"),
        (replace(PAIRS, tokens=[("<0x0A>", BYTE), ("x", UNUSED)]), "x", b""),
        (PIECES, "▁ab", b" ab"),
        (PIECES, "<0xC3>", b"\xc3"),
        (PIECES, "<s>", b""),
        (PIECES, "[x]", b"[x]"),
        (replace(PIECES, tokens=[("<0xno>", BYTE)], scores=[0.0]), "<0xno>", b""),
    ],
)
def test_pieces(vocabulary: Vocabulary, token: str, expected: bytes) -> None:
    tokenizer = of(vocabulary)
    assert tokenizer.piece(tokenizer.encoding.vocabulary.ids[token]) == expected


@pytest.mark.parametrize(
    ("names", "numbers", "expected"),
    [
        (["x", "y"], {"eos_token_id": 1}, {"y"}),
        (["x", "y", "z"], {"eos_token_id": 1, "eot_token_id": 2, "eom_token_id": 0}, {"x", "y", "z"}),
        (["x", "<|im_end|>", "<end_of_turn>"], {"eos_token_id": 0}, {"x", "<|im_end|>", "<end_of_turn>"}),
        (["x", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"], {}, {"<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"}),
        (["x", "<|fim_prefix|>", "y"], {"fim_pad_token_id": 2}, {"y"}),
        (["x", "y"], {"eos_token_id": 2}, set()),  # there is no such token, and none with the number 11 either
    ],
)
def test_what_ends_a_text(names: list[str], numbers: dict[str, int], expected: set[str]) -> None:
    tokens = [(name, NORMAL) for name in names]
    tokenizer = of(replace(PAIRS, tokens=tokens, numbers=numbers))
    assert {names[token] for token in tokenizer.eog} == expected
    hidden = {name for name in names if name.startswith("<")}  # are control tokens, whatever the file says
    assert {name for number, name in enumerate(names) if tokenizer.piece(number) == b""} == hidden


def test_a_token_without_a_text() -> None:
    tokenizer = of(replace(PAIRS, tokens=[("a", NORMAL), ("", CONTROL)]))
    assert tokenizer.encode("aa") == [0, 0]
    assert tokenizer.encode("[EMPTY_1]") == [1]  # as in the engine


@pytest.mark.parametrize(
    ("vocabulary", "error", "words"),
    [
        (replace(PAIRS, model="bert"), ModelError, "kind 'bert'; the portable runtime knows 'gpt2' and 'llama'"),
        (replace(PAIRS, pre="afmoe"), ModelError, "by 'afmoe'; the portable runtime knows a.x-4.0, bloom"),
        (replace(PAIRS, merges=None), GgufFormatError, "no merges"),
        (replace(PIECES, scores=[0.0]), GgufFormatError, r"scores: got 1 elements, expected one for each of 266"),
    ],
)
def test_what_is_not_known(vocabulary: Vocabulary, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        of(vocabulary)


def test_no_vocabulary() -> None:
    header = PAIRS.header()
    arrays = {key: array for key, array in header.arrays.items() if not key.endswith("tokens")}
    with pytest.raises(GgufFormatError, match="no vocabulary"):
        read_tokenizer(replace(header, arrays=arrays))
