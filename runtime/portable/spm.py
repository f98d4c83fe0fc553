"""Sentence pieces: texts as Llama 2, Mistral and Gemma write them (`tokenizer.ggml.model` is "llama").

A text is a sequence of characters, a space written as U+2581 among them; neighbours are merged into the token with the
highest score, wherever they stand, since there are no words. A character that is no token is written as its bytes.
Kudo and Richardson, 2018 (https://arxiv.org/abs/1808.06226).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from runtime.portable.merging import merged
from runtime.portable.vocabulary import TokenKind, byte_written, vocabulary_of

if TYPE_CHECKING:
    from runtime.gguf.header import GgufHeader
    from runtime.portable.vocabulary import Vocabulary

__all__ = ["SentencePieces"]

_SPACE: Final = "\u2581"
_NO_UTF8: Final = re.compile("[\udc80-\udcff]")  # as Python's surrogateescape has it
_SIZES: Final = (*[1] * 12, 2, 2, 3, 4)  # of characters in UTF-8, by the first four bits
_BEGIN: Final = 1  # where a file does not say which tokens these are
_END: Final = 2


@dataclass(frozen=True, slots=True)
class SentencePieces:
    """A vocabulary, and how texts are made of it.

    Attributes:
        prefix: what is put in front of texts that begin, or follow a special token.
        begin: whether a text begins with the token for that, where the file does not say.
    """

    vocabulary: Vocabulary
    prefix: str
    begin: bool = True

    @classmethod
    def of(cls, header: GgufHeader) -> Self:
        """Return what HEADER describes.

        Raises:
            GgufFormatError: a part of it is missing or of the wrong type.
        """
        has_prefix = header.metadata.get("tokenizer.ggml.add_space_prefix", True)
        return cls(vocabulary_of(header, begin=_BEGIN, end=_END), " " if has_prefix else "")

    def encode(self, text: str) -> list[int]:
        """Return the tokens of TEXT."""
        tokens: list[int] = []
        for symbol in merged(_characters(text.replace(" ", _SPACE)), self._rank):
            number = self.vocabulary.numbers.get(symbol)
            tokens += self._bytes(symbol) if number is None else [number]
        return tokens

    def _rank(self, left: str, right: str) -> float | None:
        number = self.vocabulary.numbers.get(left + right)
        return None if number is None else -self.vocabulary.scores[number]

    def _bytes(self, symbol: str) -> list[int]:
        numbers = self.vocabulary.numbers
        written = [(f"<0x{byte:02X}>", chr(byte)) for byte in symbol.encode(errors="surrogateescape")]
        found = [numbers.get(name, numbers.get(character)) for name, character in written]
        return [number for number in found if number is not None]

    def piece(self, token: int) -> bytes:
        """Return what TOKEN adds to a text."""
        text, kind = self.vocabulary.texts[token], self.vocabulary.kinds[token]
        if kind == TokenKind.USER_DEFINED:
            return text.encode(errors="surrogateescape")
        if kind == TokenKind.NORMAL:
            return text.replace(_SPACE, " ").encode(errors="surrogateescape")
        return byte_written(text) if kind == TokenKind.BYTE else b""


def _characters(text: str) -> list[str]:
    """Return the characters of TEXT; in what is no UTF-8, as many bytes are one as the first of them demands."""
    if not _NO_UTF8.search(text):
        return list(text)
    data = text.encode(errors="surrogateescape")
    characters = []
    start = 0
    while start < len(data):
        end = start + _SIZES[data[start] >> 4]
        characters.append(data[start:end].decode(errors="surrogateescape"))
        start = end
    return characters
