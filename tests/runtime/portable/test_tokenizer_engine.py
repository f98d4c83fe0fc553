"""The engine's tokenizer and ours give the same tokens, for its own test texts and for random ones."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import unicodedata
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest

from runtime.builder.artifacts import demo_model
from runtime.gguf.header import GgufHeader
from runtime.portable.pretokenizer import PRETOKENIZERS
from runtime.portable.tokenizer import Tokenizer, read_tokenizer
from tests.builders.gguf import Gguf, sized
from tests.builders.gguf import text as text_pair
from tests.builders.vocabulary import NORMAL, Vocabulary, engine_vocabularies, expectations

if TYPE_CHECKING:
    from pathlib import Path

PAIRS: Final = (
    "command-r", "deepseek-coder", "deepseek-llm", "falcon", "gpt-2", "llama-bpe", "mpt", "qwen2", "qwen35", "refact",
    "starcoder",
)  # fmt: skip  # all that the engine's sources have
PIECES: Final = ("llama-spm", "phi-3")
FAMILIES: Final = {words: name for name, words in reversed(PRETOKENIZERS.items())}.values()

FRAGMENTS: Final = (
    "don't", "We'LL", " I'M", "'re", "123", " 45", "  ", "\n\n", "\r\n", "\t", "hello", " World", "ABCdef", "camelCase",
    "na\u00efve", "\u65e5\u672c\u8a9e", "\ud55c\uad6d\uc5b4", "\u0e44\u0e17\u0e22", "\u00df", "\u0130", "\u017f",
    "e\u0301", "\u2581", "\xa0", "\u2003", "\u3000", "...", "!?", "://", "{}", "_x", "1.5", "\u0663", "\u00bd",
    "\U0001f469\u200d\U0001f467", "\x1c", "\x85", "a" * 40, " " * 37, "=" * 60, "<|im_end|>", "<s>", "</s>",
    "<|endoftext|>",
)  # fmt: skip  # by what they try


def tokenizer_at(path: Path) -> Tokenizer:
    return read_tokenizer(GgufHeader.unpack(path.read_bytes()))


@cache
def characters() -> list[str]:
    """The characters that this Python's Unicode assigns; the engine may know newer ones."""
    return [one for one in map(chr, range(1, 0x110000)) if unicodedata.category(one) not in {"Cn", "Cs", "Co"}]


def random_text(seed: str) -> str:
    source = random.Random(seed)
    known = characters()
    kinds = (FRAGMENTS, known[:127], known[:8000], known)
    return "".join(source.choice(source.choices(kinds, (9, 5, 3, 3))[0]) for _ in range(1500))


def native(program: Path, folder: Path, model: Path, text: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    tool = folder / "llamafile-tokenize"
    if not tool.is_symlink():
        tool.symlink_to(program)
    command = [str(tool), "-m", str(model), "--stdin", "--no-escape", *options]
    return subprocess.run(command, input=text.encode(), capture_output=True, check=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PAIRS, *PIECES])
def test_the_engines_own_expectations(name: str) -> None:
    path = engine_vocabularies() / f"{name}.gguf"
    tokenizer = tokenizer_at(path)
    expected = expectations(path)
    assert len(expected) > 40
    for text, tokens in expected:
        assert tokenizer.encode(text, parse_special=False, add_special=False) == tokens, text


def test_no_expectations_are_left_out() -> None:
    known = {f"{name}.gguf.out" for name in (*PAIRS, *PIECES, "bert-bge", "gemma-4")}  # of other kinds, the last two
    assert known == {path.name for path in engine_vocabularies().glob("*.out")}


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_each_way_to_cut_words(program: Path, tmp_path: Path, name: str) -> None:
    """The vocabulary is that of GPT-2, for every pretokenizer."""
    data = (engine_vocabularies() / "gpt-2.gguf").read_bytes()
    key = sized(b"tokenizer.ggml.pre") + b"\x08\0\0\0"
    path = tmp_path / "model.gguf"
    assert data.count(key + sized(b"gpt-2")) == 1
    path.write_bytes(data.replace(key + sized(b"gpt-2"), key + sized(name.encode())))
    text = random_text(name)
    expected = ast.literal_eval(native(program, tmp_path, path, text, "--ids").stdout.decode())
    assert tokenizer_at(path).encode(text) == expected


def test_each_name_of_a_way(program: Path, tmp_path: Path) -> None:
    """The vocabulary has all pairs of a few bytes, so that it shows where words end."""
    letters = list("abABst123'.-ĠĊÃ©")
    pairs = [first + second for first in letters for second in letters]
    vocabulary = Vocabulary(
        tokens=[(token, NORMAL) for token in letters + pairs],
        merges=[" ".join(pair) for pair in pairs],
        numbers={"bos_token_id": 1, "eos_token_id": 2},
    )
    source = random.Random(1)
    text = "".join(source.choice("abABst123'.-  \n\u00e9") for _ in range(3000))
    assert len(PRETOKENIZERS) > 50
    for name in PRETOKENIZERS:
        path = tmp_path / "model.gguf"
        pairs_of_file = [text_pair("general.architecture", "llama"), *replace(vocabulary, pre=name).pairs()]
        path.write_bytes(Gguf(pairs_of_file, tensors=()).pack_header())
        expected = ast.literal_eval(native(program, tmp_path, path, text, "--ids").stdout.decode())
        assert tokenizer_at(path).encode(text) == expected, name


@pytest.mark.parametrize("seed", ["one", "two"])
@pytest.mark.parametrize("special", [True, False])
def test_a_real_model(program: Path, tmp_path: Path, seed: str, special: bool) -> None:  # noqa: FBT001  # a parameter
    text = random_text(seed)
    options = ["--ids"] + ["--no-parse-special"] * (not special)
    expected = ast.literal_eval(native(program, tmp_path, demo_model(), text, *options).stdout.decode())
    assert tokenizer_at(demo_model()).encode(text, parse_special=special) == expected


@pytest.mark.parametrize("name", ["llama-spm", "qwen2"])
def test_pieces_and_ends(program: Path, tmp_path: Path, name: str) -> None:
    path = engine_vocabularies() / f"{name}.gguf"
    tokenizer = tokenizer_at(path)
    text = random_text(name).replace("'\n", "\n")  # which the tool's own output has behind each piece
    result = native(program, tmp_path, path, text, "-v")
    ends = {int(number) for number in re.findall(rb"EOG token += (\d+) ", result.stderr)}
    assert tokenizer.eog == ends
    lines = re.findall(rb"^ *(\d+) -> '(.*?)'$", result.stdout, re.DOTALL | re.MULTILINE)
    assert [int(token) for token, _ in lines] == tokenizer.encode(text)
    marked = set(tokenizer.special_tokens)  # which the tool shows, and a text has not in it
    for token, piece in lines:
        assert int(token) in marked or tokenizer.piece(int(token)) == piece
