"""Byte pairs: texts as GPT-2 and most models since then write them (`tokenizer.ggml.model` is "gpt2").

A word is a sequence of bytes, each written as one character (Radford et al., 2019, `bytes_to_unicode`); neighbours are
merged in the order of the list `tokenizer.ggml.merges`, which training made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Self

from runtime.errors import GgufFormatError, ModelError
from runtime.portable.merging import merged
from runtime.portable.pretokenizer import WORDS
from runtime.portable.vocabulary import TokenKind, byte_written, vocabulary_of

if TYPE_CHECKING:
    from runtime.gguf.header import GgufHeader
    from runtime.portable.pretokenizer import Words
    from runtime.portable.vocabulary import Vocabulary

__all__ = ["BytePairs"]

# Bytes that are visible in Latin-1 are written as what they are there, the others as what follows Latin-1, in order.
_VISIBLE: Final = frozenset((*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)))
_HIDDEN: Final = [byte for byte in range(0x100) if byte not in _VISIBLE]
_CHARACTERS: Final = {byte: chr(0x100 + index) for index, byte in enumerate(_HIDDEN)}
_BYTES: Final = {**{byte: byte for byte in _VISIBLE}, **{0x100 + index: byte for index, byte in enumerate(_HIDDEN)}}

_BEGIN: Final = 11  # where a file does not say which tokens these are
_END: Final = 11
_NO_UTF8: Final = re.compile("[\udc80-\udcff]")  # as Python's surrogateescape has it


@dataclass(frozen=True, slots=True)
class BytePairs:
    """A vocabulary, and how texts are made of it.

    Attributes:
        ranks: places in the list of merges; an element is two symbols with a space between them.
    """

    prefix: ClassVar[str] = ""  # texts have nothing put in front of them

    vocabulary: Vocabulary
    words: Words
    ranks: dict[str, int]
    met: dict[str, list[int]] = field(default_factory=dict)  # words, and the tokens that became of them

    @classmethod
    def of(cls, header: GgufHeader) -> Self:
        """Return what HEADER describes.

        Raises:
            GgufFormatError: a part of it is missing or of the wrong type.
            ModelError: it cuts texts in a way that is not known here.
        """
        name = header.metadata.get("tokenizer.ggml.pre", "default")
        if name not in WORDS:
            known = ", ".join(sorted(WORDS))
            raise ModelError(f"texts are cut into words by {name!r}; the portable runtime knows {known}")
        merges = header.arrays.get("tokenizer.ggml.merges")
        if merges is None:
            raise GgufFormatError(
                "the file has no merges for its vocabulary", offset=header.data_offset, field="tokenizer.ggml.merges"
            )
        pairs = [pair.decode(errors="surrogateescape") for pair in merges.texts()]
        ranks = dict(zip(reversed(pairs), range(len(pairs) - 1, -1, -1), strict=True))  # of equals, the first
        return cls(vocabulary_of(header, begin=_BEGIN, end=_END), WORDS[str(name)], ranks)

    @property
    def begin(self) -> bool:
        """Whether a text begins with the token for that, where the file does not say."""
        return self.words.begin

    def encode(self, text: str) -> list[int]:
        """Return the tokens of TEXT; bytes that are no UTF-8 are read as the replacement character, each."""
        tokens: list[int] = []
        for word in self.words.of(_NO_UTF8.sub("\ufffd", text)):
            if word not in self.met:
                self.met[word] = self._tokens(word)
            tokens += self.met[word]
        return tokens

    def _tokens(self, word: str) -> list[int]:
        written = word.encode().decode("latin-1").translate(_CHARACTERS)
        numbers = self.vocabulary.numbers
        if self.words.keep_known and written in numbers:
            return [numbers[written]]
        tokens = []
        for symbol in merged(list(written), lambda left, right: self.ranks.get(f"{left} {right}")):
            # A byte that is no token is lost; vocabularies have all of them.
            letters = [symbol] if symbol in numbers else filter(str.isascii, symbol)
            tokens += [numbers[letter] for letter in letters if letter in numbers]
        return tokens

    def piece(self, token: int) -> bytes:
        """Return what TOKEN adds to a text."""
        text, kind = self.vocabulary.texts[token], self.vocabulary.kinds[token]
        if kind == TokenKind.USER_DEFINED:
            return text.encode(errors="surrogateescape")
        if kind == TokenKind.NORMAL:
            return b"".join(_byte(character) for character in text)
        if kind == TokenKind.BYTE:
            return byte_written(text)
        return b""


def _byte(character: str) -> bytes:
    code = ord(character)
    return bytes([_BYTES[code]]) if code in _BYTES else character.encode(errors="surrogateescape")
