r"""Words: how a text is cut into pieces before byte pairs are merged within each of them.

GPT-2 (Radford et al., 2019) cut texts by one regular expression. Families of models since then have their own, or
several, one after the other, each applied within the pieces that the ones before it left. They are part of a model, as
its weights are: cut differently, a text becomes tokens that the model has never seen together.

A GGUF names them in `tokenizer.ggml.pre`; what each name means, only the engine says (src/llama-vocab.cpp).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.portable.unicode_classes import LETTER, MARK, NUMBER, PUNCTUATION, SPACE, SYMBOL, outline, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Span = tuple[int, int]

__all__ = ["WORDS", "Words"]


@dataclass(frozen=True, slots=True)
class _Cut:
    """One expression, and the view of a text that it is matched against."""

    expression: str
    view: Callable[[str], str] = outline

    def within(self, text: str, spans: Iterable[Span]) -> Iterator[Span]:
        """Yield where matches lie within SPANS, and what lies between them."""
        seen = self.view(text)
        find = re.compile(self.expression).finditer
        for start, end in spans:
            done = start
            for match in find(seen, start, end):
                if match.start() > done:
                    yield done, match.start()
                yield match.span()
                done = match.end()
            if done < end:
                yield done, end


@dataclass(frozen=True, slots=True)
class Words:
    """How a family of models cuts texts.

    Attributes:
        keep_known: a word that is in the vocabulary is that token, whatever merging would make of it.
        begin: a text begins with the token for that, unless the file says otherwise.
    """

    cuts: tuple[_Cut, ...]
    keep_known: bool = False
    begin: bool = False

    def of(self, text: str) -> list[str]:
        """Return the words of TEXT, which joined are TEXT again."""
        spans: Iterable[Span] = [(0, len(text))] if text else []
        for cut in self.cuts:
            spans = cut.within(text, spans)
        return [text[start:end] for start, end in spans]


def _characters(ranges: str) -> str:
    """Return a class's content, given code points and ranges of them in hexadecimal."""
    return "-".join(
        "".join(chr(int(code, 16)) for code in part.split()) for part in ranges.replace("-", " - ").split("-")
    )


# A run of spaces leaves the last one to the word behind it.
_SPACES: Final = rf"[{SPACE}]+(?![^{SPACE}])|[{SPACE}]+"
_LINES: Final = rf"[{SPACE}]*[\r\n]+|{_SPACES}"
_OTHERS: Final = rf" ?[^{SPACE}{LETTER}{NUMBER}]+"
_SUFFIX: Final = r"'(?i:[sdmt]|ll|ve|re)"
_NUMBERS: Final = rf"[{NUMBER}]+"
_THREE: Final = rf"[{NUMBER}]{{1,3}}"
_ONE: Final = rf"[{NUMBER}]"

_GPT2: Final = _Cut(rf"'(?:[sdmt]|ll|ve|re)| ?[{LETTER}]+| ?{_NUMBERS}|{_OTHERS}|{_SPACES}")


def _llama(numbers: str, *, suffix: str = rf"{_SUFFIX}|", letters: str = LETTER) -> _Cut:
    """Words may have any one character in front of them, and signs a line's end behind them."""
    others = rf" ?[^{SPACE}{letters}{NUMBER}]+[\r\n]*"
    return _Cut(rf"{suffix}[^\r\n{LETTER}{NUMBER}]?[{letters}]+|{numbers}|{others}|{_LINES}")


def _cased(numbers: str, *, suffix: str = "") -> _Cut:
    """The same, but a word also ends before a capital letter, if that is one of ASCII."""
    front = rf"[^\r\n{LETTER}{NUMBER}]?"
    words = rf"{front}[A-Zª]*[a-zª]+{suffix}|{front}[A-Zª]+[a-zª]*{suffix}"
    return _Cut(rf"{words}|{numbers}|{_OTHERS}[\r\n/]*|{_LINES}")


# Letters that come in two cases, as far as DeepSeek's first models know them.
_TWO_CASES: Final = _characters(
    "41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a 38c "
    "38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b "
    "1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 "
    "1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113 "
    "2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f 2145-2149 214e 2183 2184 2c00-2c7b "
    "2c7e-2ce4 2ceb-2cee 2cf2 2cf3 a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06 "
    "fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df "
    "1e900-1e943 "
)
_NEWLINE: Final = _Cut(r"[\r\n]")
_WIDE_SIGNS: Final = _Cut(rf"[{SPACE}]?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", plain)
_IDEOGRAPHS: Final = _Cut(r"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", plain)
_IDEOGRAPHS_AND_KANA: Final = _Cut(r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", plain)
_MARKED: Final = _Cut(
    r"[!-/:-@\[-`{-~][A-Za-z]+"
    rf"|[^\r\n{LETTER}{PUNCTUATION}{SYMBOL}]?[{LETTER}{MARK}]+| ?[{PUNCTUATION}{SYMBOL}]+[\r\n]*|{_LINES}"
)
_SENTENCES: Final = _Cut(rf" ?[^({SPACE}|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+", plain)
_SIGNS: Final = _Cut(rf"[{PUNCTUATION}$+<->^~|]+")
_CODE_SIGNS: Final = _Cut(rf"[{PUNCTUATION}$+<->^~|`]+")
_DIGITS: Final = _Cut(r"[0-9][0-9][0-9]")

_DEEPSEEK: Final = (
    _NEWLINE,
    _Cut(rf"[{SPACE}]?[{_TWO_CASES}]+", plain),
    _WIDE_SIGNS,
    _Cut(rf"[{SPACE}]+\Z"),
    _IDEOGRAPHS,
    _Cut(_NUMBERS),
)
_DEEPSEEK_CODER: Final = (
    _NEWLINE,
    _Cut(rf"[{SPACE}]?[{LETTER}]+"),
    _Cut(rf"[{SPACE}]?[{PUNCTUATION}]+"),
    _IDEOGRAPHS,
    _Cut(_ONE),
)

_FAMILIES: Final = {
    "default": Words((_SIGNS, _GPT2, _Cut(_NUMBERS), _DIGITS)),
    "gpt-2 phi-2 gigachat a.x-4.0 mellum exaone4 mpt olmo jais trillion granite-docling": Words((_GPT2,)),
    "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2": Words((_Cut(_ONE), _GPT2)),
    "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2": Words(
        (_llama(_THREE),), keep_known=True, begin=True
    ),
    "dbrx smaug-bpe": Words((_llama(_THREE),)),
    "qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2": Words((_llama(_ONE),)),
    "qwen35": Words((_llama(_ONE, letters=LETTER + MARK),)),
    "ufakzeka": Words((_llama(_ONE, suffix=""),)),
    "minicpm5": Words((_Cut(_THREE), _llama(_NUMBERS)), keep_known=True),
    "tekken": Words((_cased(_ONE),), keep_known=True, begin=True),
    "gpt-4o llama4 kanana2 minimax-m2": Words((_cased(_THREE, suffix=rf"(?:{_SUFFIX})?"),)),
    "falcon": Words((_CODE_SIGNS, _GPT2, _DIGITS)),
    "deepseek-llm": Words(_DEEPSEEK),
    "deepseek-coder": Words(_DEEPSEEK_CODER),
    "deepseek-v3 hunyuan-dense joyai-llm": Words((_Cut(_THREE), _IDEOGRAPHS_AND_KANA, _MARKED)),
    "poro-chat bloom gpt3-finnish": Words((_SENTENCES,)),
    "viking": Words((_SENTENCES, _Cut(_ONE))),
}
WORDS: Final = {name: words for names, words in _FAMILIES.items() for name in names.split()}
