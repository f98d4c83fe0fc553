"""Pretokenizers; test_tokenizer_engine compares with the engine."""

from __future__ import annotations

import random
import unicodedata

import pytest

from runtime.portable.pretokenizer import PRETOKENIZERS
from runtime.portable.unicode_classes import collapse

ASSIGNED = [character for character in map(chr, range(0x30000)) if unicodedata.category(character) not in {"Cn", "Cs"}]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("gpt-2", "", []),
        ("gpt-2", "I've  seen 1234!?", ["I", "'ve", " ", " seen", " 1234", "!?"]),
        ("gpt-2", "I'VE", ["I", "'", "VE"]),
        ("gpt-2", "a \n\n b", ["a", " \n\n", " b"]),
        ("gpt-2", "a  ", ["a", "  "]),
        ("smollm", "in 1984", ["in", " ", "1", "9", "8", "4"]),
        ("llama-bpe", "I'VE 12345", ["I", "'VE", " ", "123", "45"]),
        ("llama-bpe", "(x)\n\ny", ["(x", ")\n\n", "y"]),
        ("qwen2", "a1234", ["a", "1", "2", "3", "4"]),
        ("qwen2", "e\u0301x", ["e", "\u0301x"]),  # a combining accent is no letter
        ("qwen35", "e\u0301x", ["e\u0301x"]),
        ("tekken", "camelCase HTTPServer", ["camel", "Case", " HTTPServer"]),
        ("gpt-4o", "It'S", ["It'S"]),
        ("default", "a=1234", ["a", "=", "123", "4"]),
        ("deepseek-llm", "ab cd\u4e00e", ["ab", " cd", "\u4e00", "e"]),
        ("viking", "a,b 12", ["a", ",", "b", " ", "1", "2"]),
    ],
)
def test_words(name: str, text: str, expected: list[str]) -> None:
    assert PRETOKENIZERS[name].split(text) == expected


@pytest.mark.parametrize("name", sorted(PRETOKENIZERS))
def test_nothing_is_lost(name: str) -> None:
    source = random.Random(name)
    for _ in range(5):
        text = "".join(source.choice(ASSIGNED if source.random() < 0.5 else ASSIGNED[:128]) for _ in range(500))
        words = PRETOKENIZERS[name].split(text)
        assert "".join(words) == text
        assert all(words)


def test_an_outline() -> None:
    assert collapse("aZ9 \t'") == "aZ9 \t'"
    assert collapse("\u00e9\u4e00\u02b0") == "ªªª"  # letters, whether or not they have cases
    assert collapse("\u0663\u00bd") == "²²"
    assert collapse("\u0301\u00bf\u20ac") == "\u0300¡¢"
    assert collapse("\xa0\x85\u3000\u2003") == "\v\v\v\v"
    assert collapse("\u200b\ue000\U000e0001\x00\x1c") == "\x80\x80\x80\x00\x1c"  # invisible, but no space
