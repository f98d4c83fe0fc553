r"""Pretokenizers: they split a text into words, within which BPE merges byte pairs.

GPT-2 (Radford et al., 2019) splits texts by one regular expression. Later families of models have others, or several,
each applied within the parts that the previous ones left. With another pretokenizer than in its training, a model gets
sequences of tokens that it does not know.

A GGUF names its pretokenizer in `tokenizer.ggml.pre`; only the engine defines the names (src/llama-vocab.cpp).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.portable.unicode_classes import (
    LETTER,
    MARK,
    NUMBER,
    PUNCTUATION,
    SPACE,
    SYMBOL,
    collapse,
    normalize_spaces,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Span = tuple[int, int]

__all__ = ["PRETOKENIZERS", "Pretokenizer"]


@dataclass(frozen=True, slots=True)
class _Split:
    """A regular expression, and the transformation of a text that it is matched against."""

    expression: str
    transform: Callable[[str], str] = collapse

    def within(self, text: str, spans: Iterable[Span]) -> Iterator[Span]:
        """Yield the matches within SPANS, and the ranges between them."""
        transformed = self.transform(text)
        find = re.compile(self.expression).finditer
        for start, end in spans:
            done = start
            for match in find(transformed, start, end):
                if match.start() > done:
                    yield done, match.start()
                yield match.span()
                done = match.end()
            if done < end:
                yield done, end


@dataclass(frozen=True, slots=True)
class Pretokenizer:
    """The pretokenizer of a family of models.

    Attributes:
        ignore_merges: a word in the vocabulary becomes that token, without merging.
        adds_bos: a text begins with the BOS token, unless the file says otherwise.
    """

    splits: tuple[_Split, ...]
    ignore_merges: bool = False
    adds_bos: bool = False

    def split(self, text: str) -> list[str]:
        """Return the words of TEXT; joined, they are TEXT."""
        spans: Iterable[Span] = [(0, len(text))] if text else []
        for split in self.splits:
            spans = split.within(text, spans)
        return [text[start:end] for start, end in spans]


def _class_of_ranges(ranges: str) -> str:
    """Return the content of a character class, given hexadecimal code points and ranges."""
    return "-".join(
        "".join(chr(int(code, 16)) for code in part.split()) for part in ranges.replace("-", " - ").split("-")
    )


# The last space before a word belongs to the word.
_SPACE_RUN: Final = rf"[{SPACE}]+(?![^{SPACE}])|[{SPACE}]+"
_LINE_ENDS: Final = rf"[{SPACE}]*[\r\n]+|{_SPACE_RUN}"
_OTHER_RUN: Final = rf" ?[^{SPACE}{LETTER}{NUMBER}]+"
_CONTRACTION: Final = r"'(?i:[sdmt]|ll|ve|re)"
_NUMBER_RUN: Final = rf"[{NUMBER}]+"
_NUMBERS_UP_TO_3: Final = rf"[{NUMBER}]{{1,3}}"
_SINGLE_NUMBER: Final = rf"[{NUMBER}]"

_GPT2: Final = _Split(rf"'(?:[sdmt]|ll|ve|re)| ?[{LETTER}]+| ?{_NUMBER_RUN}|{_OTHER_RUN}|{_SPACE_RUN}")


def _llama_split(numbers: str, *, contraction: str = rf"{_CONTRACTION}|", letters: str = LETTER) -> _Split:
    """Return a split where any one character may precede a word, and line ends follow punctuation."""
    others = rf" ?[^{SPACE}{letters}{NUMBER}]+[\r\n]*"
    return _Split(rf"{contraction}[^\r\n{LETTER}{NUMBER}]?[{letters}]+|{numbers}|{others}|{_LINE_ENDS}")


def _case_split(numbers: str, *, contraction: str = "") -> _Split:
    """Return the same, where a word also ends before an ASCII capital."""
    front = rf"[^\r\n{LETTER}{NUMBER}]?"
    words = rf"{front}[A-Zª]*[a-zª]+{contraction}|{front}[A-Zª]+[a-zª]*{contraction}"
    return _Split(rf"{words}|{numbers}|{_OTHER_RUN}[\r\n/]*|{_LINE_ENDS}")


# Letters with two cases, as listed in DeepSeek's first models.
_CASED_LETTERS: Final = _class_of_ranges(
    "41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a 38c "
    "38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b "
    "1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 "
    "1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113 "
    "2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f 2145-2149 214e 2183 2184 2c00-2c7b "
    "2c7e-2ce4 2ceb-2cee 2cf2 2cf3 a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06 "
    "fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df "
    "1e900-1e943 "
)
_NEWLINE: Final = _Split(r"[\r\n]")
_CJK_PUNCTUATION: Final = _Split(
    rf"[{SPACE}]?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", normalize_spaces
)
_IDEOGRAPHS: Final = _Split(r"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", normalize_spaces)
_IDEOGRAPHS_AND_KANA: Final = _Split(r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", normalize_spaces)
_LETTERS_AND_MARKS: Final = _Split(
    r"[!-/:-@\[-`{-~][A-Za-z]+"
    rf"|[^\r\n{LETTER}{PUNCTUATION}{SYMBOL}]?[{LETTER}{MARK}]+| ?[{PUNCTUATION}{SYMBOL}]+[\r\n]*|{_LINE_ENDS}"
)
_NON_PUNCTUATION_RUN: Final = _Split(
    rf" ?[^({SPACE}|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+", normalize_spaces
)
_PUNCTUATION_RUN: Final = _Split(rf"[{PUNCTUATION}$+<->^~|]+")
_CODE_PUNCTUATION_RUN: Final = _Split(rf"[{PUNCTUATION}$+<->^~|`]+")
_THREE_DIGITS: Final = _Split(r"[0-9][0-9][0-9]")

_DEEPSEEK: Final = (
    _NEWLINE,
    _Split(rf"[{SPACE}]?[{_CASED_LETTERS}]+", normalize_spaces),
    _CJK_PUNCTUATION,
    _Split(rf"[{SPACE}]+\Z"),
    _IDEOGRAPHS,
    _Split(_NUMBER_RUN),
)
_DEEPSEEK_CODER: Final = (
    _NEWLINE,
    _Split(rf"[{SPACE}]?[{LETTER}]+"),
    _Split(rf"[{SPACE}]?[{PUNCTUATION}]+"),
    _IDEOGRAPHS,
    _Split(_SINGLE_NUMBER),
)

_FAMILIES: Final = {
    "default": Pretokenizer((_PUNCTUATION_RUN, _GPT2, _Split(_NUMBER_RUN), _THREE_DIGITS)),
    "gpt-2 phi-2 gigachat a.x-4.0 mellum exaone4 mpt olmo jais trillion granite-docling": Pretokenizer((_GPT2,)),
    "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2": Pretokenizer(
        (_Split(_SINGLE_NUMBER), _GPT2)
    ),
    "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2": Pretokenizer(
        (_llama_split(_NUMBERS_UP_TO_3),), ignore_merges=True, adds_bos=True
    ),
    "dbrx smaug-bpe": Pretokenizer((_llama_split(_NUMBERS_UP_TO_3),)),
    "qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2": Pretokenizer(
        (_llama_split(_SINGLE_NUMBER),)
    ),
    "qwen35": Pretokenizer((_llama_split(_SINGLE_NUMBER, letters=LETTER + MARK),)),
    "ufakzeka": Pretokenizer((_llama_split(_SINGLE_NUMBER, contraction=""),)),
    "minicpm5": Pretokenizer((_Split(_NUMBERS_UP_TO_3), _llama_split(_NUMBER_RUN)), ignore_merges=True),
    "tekken": Pretokenizer((_case_split(_SINGLE_NUMBER),), ignore_merges=True, adds_bos=True),
    "gpt-4o llama4 kanana2 minimax-m2": Pretokenizer(
        (_case_split(_NUMBERS_UP_TO_3, contraction=rf"(?:{_CONTRACTION})?"),)
    ),
    "falcon": Pretokenizer((_CODE_PUNCTUATION_RUN, _GPT2, _THREE_DIGITS)),
    "deepseek-llm": Pretokenizer(_DEEPSEEK),
    "deepseek-coder": Pretokenizer(_DEEPSEEK_CODER),
    "deepseek-v3 hunyuan-dense joyai-llm": Pretokenizer(
        (_Split(_NUMBERS_UP_TO_3), _IDEOGRAPHS_AND_KANA, _LETTERS_AND_MARKS)
    ),
    "poro-chat bloom gpt3-finnish": Pretokenizer((_NON_PUNCTUATION_RUN,)),
    "viking": Pretokenizer((_NON_PUNCTUATION_RUN, _Split(_SINGLE_NUMBER))),
}
PRETOKENIZERS: Final = {name: pretokenizer for names, pretokenizer in _FAMILIES.items() for name in names.split()}
