"""SentencePiece encoding (SPM), of Llama 2, Mistral and Gemma (`tokenizer.ggml.model` is "llama").

A text is a sequence of characters, with U+2581 for a space; neighbours are merged into the token with the highest
score, without regard to words. A character without a token is encoded as its bytes.
Kudo and Richardson, 2018 (https://arxiv.org/abs/1808.06226).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from runtime.portable.merging import merge
from runtime.portable.vocabulary import TokenType, byte_token_value, read_vocabulary

if TYPE_CHECKING:
    from runtime.gguf.header import GgufHeader
    from runtime.portable.vocabulary import Vocabulary

__all__ = ["SpmEncoding"]

_SPACE: Final = "\u2581"
_INVALID_UTF8: Final = re.compile("[\udc80-\udcff]")  # in the form of Python's surrogateescape
_UTF8_SIZES: Final = (*[1] * 12, 2, 2, 3, 4)  # of UTF-8 characters, by the first four bits
_BOS_DEFAULT: Final = 1  # if the file does not name these tokens
_EOS_DEFAULT: Final = 2


@dataclass(frozen=True, slots=True)
class SpmEncoding:
    """A SentencePiece vocabulary.

    Attributes:
        prefix: prepended to a text, and to the text after a special token.
        adds_bos: whether a text begins with the BOS token, if the file does not say.
    """

    vocabulary: Vocabulary
    prefix: str
    adds_bos: bool = True

    @classmethod
    def from_header(cls, header: GgufHeader) -> Self:
        """Return the vocabulary in HEADER.

        Raises:
            GgufFormatError: a part of it is missing or has the wrong type.
        """
        has_prefix = header.metadata.get("tokenizer.ggml.add_space_prefix", True)
        return cls(read_vocabulary(header, bos=_BOS_DEFAULT, eos=_EOS_DEFAULT), " " if has_prefix else "")

    def encode(self, text: str) -> list[int]:
        """Return the tokens of TEXT."""
        tokens: list[int] = []
        for symbol in merge(_characters(text.replace(" ", _SPACE)), self._rank):
            token = self.vocabulary.ids.get(symbol)
            tokens += self._byte_tokens(symbol) if token is None else [token]
        return tokens

    def _rank(self, left: str, right: str) -> float | None:
        token = self.vocabulary.ids.get(left + right)
        return None if token is None else -self.vocabulary.scores[token]

    def _byte_tokens(self, symbol: str) -> list[int]:
        ids = self.vocabulary.ids
        written = [(f"<0x{byte:02X}>", chr(byte)) for byte in symbol.encode(errors="surrogateescape")]
        found = [ids.get(name, ids.get(character)) for name, character in written]
        return [token for token in found if token is not None]

    def piece(self, token: int) -> bytes:
        """Return the bytes that TOKEN adds to a text."""
        text, type_ = self.vocabulary.texts[token], self.vocabulary.types[token]
        if type_ == TokenType.USER_DEFINED:
            return text.encode(errors="surrogateescape")
        if type_ == TokenType.NORMAL:
            return text.replace(_SPACE, " ").encode(errors="surrogateescape")
        return byte_token_value(text) if type_ == TokenType.BYTE else b""


def _characters(text: str) -> list[str]:
    """Return the characters of TEXT; invalid UTF-8 is split by the sizes that first bytes announce."""
    if not _INVALID_UTF8.search(text):
        return list(text)
    data = text.encode(errors="surrogateescape")
    characters = []
    start = 0
    while start < len(data):
        end = start + _UTF8_SIZES[data[start] >> 4]
        characters.append(data[start:end].decode(errors="surrogateescape"))
        start = end
    return characters
