"""Byte pair encoding (BPE), of GPT-2 and most later models (`tokenizer.ggml.model` is "gpt2").

A word is a sequence of bytes, each mapped to one character (Radford et al., 2019, `bytes_to_unicode`); neighbours are
merged in the order of the list `tokenizer.ggml.merges`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Self

from runtime.errors import GgufFormatError, ModelError
from runtime.portable.merging import merge
from runtime.portable.pretokenizer import PRETOKENIZERS
from runtime.portable.vocabulary import TokenType, byte_token_value, read_vocabulary

if TYPE_CHECKING:
    from runtime.gguf.header import GgufHeader
    from runtime.portable.pretokenizer import Pretokenizer
    from runtime.portable.vocabulary import Vocabulary

__all__ = ["BpeEncoding"]

# Bytes that are printable in Latin-1 map to that character, the others to the characters after Latin-1, in order.
_PRINTABLE: Final = frozenset((*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)))
_UNPRINTABLE: Final = [byte for byte in range(0x100) if byte not in _PRINTABLE]
_CHARACTERS: Final = {byte: chr(0x100 + index) for index, byte in enumerate(_UNPRINTABLE)}
_BYTES: Final = {
    **{byte: byte for byte in _PRINTABLE},
    **{0x100 + index: byte for index, byte in enumerate(_UNPRINTABLE)},
}

_BOS_DEFAULT: Final = 11  # if the file does not name these tokens
_EOS_DEFAULT: Final = 11
_INVALID_UTF8: Final = re.compile("[\udc80-\udcff]")  # in the form of Python's surrogateescape


@dataclass(frozen=True, slots=True)
class BpeEncoding:
    """A BPE vocabulary.

    Attributes:
        merge_ranks: indices in the list of merges; a merge is two symbols with a space between them.
    """

    prefix: ClassVar[str] = ""  # prepended to texts

    vocabulary: Vocabulary
    pretokenizer: Pretokenizer
    merge_ranks: dict[str, int]
    cache: dict[str, list[int]] = field(default_factory=dict)  # the tokens of words

    @classmethod
    def from_header(cls, header: GgufHeader) -> Self:
        """Return the vocabulary in HEADER.

        Raises:
            GgufFormatError: a part of it is missing or has the wrong type.
            ModelError: its pretokenizer is not supported.
        """
        name = header.metadata.get("tokenizer.ggml.pre", "default")
        if name not in PRETOKENIZERS:
            known = ", ".join(sorted(PRETOKENIZERS))
            raise ModelError(f"texts are cut into words by {name!r}; the portable runtime knows {known}")
        merges = header.arrays.get("tokenizer.ggml.merges")
        if merges is None:
            raise GgufFormatError(
                "the file has no merges for its vocabulary", offset=header.data_offset, field="tokenizer.ggml.merges"
            )
        pairs = [pair.decode(errors="surrogateescape") for pair in merges.texts()]
        merge_ranks = dict(zip(reversed(pairs), range(len(pairs) - 1, -1, -1), strict=True))  # of duplicates, the first
        return cls(read_vocabulary(header, bos=_BOS_DEFAULT, eos=_EOS_DEFAULT), PRETOKENIZERS[str(name)], merge_ranks)

    @property
    def adds_bos(self) -> bool:
        """Whether a text begins with the BOS token, if the file does not say."""
        return self.pretokenizer.adds_bos

    def encode(self, text: str) -> list[int]:
        """Return the tokens of TEXT; each byte that is not UTF-8 becomes a replacement character."""
        tokens: list[int] = []
        for word in self.pretokenizer.split(_INVALID_UTF8.sub("\ufffd", text)):
            if word not in self.cache:
                self.cache[word] = self._encode_word(word)
            tokens += self.cache[word]
        return tokens

    def _encode_word(self, word: str) -> list[int]:
        written = word.encode().decode("latin-1").translate(_CHARACTERS)
        ids = self.vocabulary.ids
        if self.pretokenizer.ignore_merges and written in ids:
            return [ids[written]]
        tokens = []
        for symbol in merge(list(written), lambda left, right: self.merge_ranks.get(f"{left} {right}")):
            # A byte without a token is dropped; vocabularies have all bytes.
            letters = [symbol] if symbol in ids else filter(str.isascii, symbol)
            tokens += [ids[letter] for letter in letters if letter in ids]
        return tokens

    def piece(self, token: int) -> bytes:
        """Return the bytes that TOKEN adds to a text."""
        text, type_ = self.vocabulary.texts[token], self.vocabulary.types[token]
        if type_ == TokenType.USER_DEFINED:
            return text.encode(errors="surrogateescape")
        if type_ == TokenType.NORMAL:
            return b"".join(_byte(character) for character in text)
        if type_ == TokenType.BYTE:
            return byte_token_value(text)
        return b""


def _byte(character: str) -> bytes:
    code = ord(character)
    return bytes([_BYTES[code]]) if code in _BYTES else character.encode(errors="surrogateescape")
