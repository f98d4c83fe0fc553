"""The tokenizer: a text in, the numbers of its tokens out, and back.

Tokens that are special, such as the mark where somebody's turn ends, are found first, so that no other token has a part
of them; what lies between is written as the vocabulary's kind demands. The tokens are those that the engine makes of
the text (src/llama-vocab.cpp), because a model knows only what its own tokenizer gave it; but what the engine does for
single models by their names, such as Phi-3, is not done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.errors import ModelError
from runtime.portable.bpe import BpeEncoding
from runtime.portable.spm import SpmEncoding
from runtime.portable.vocabulary import TokenType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.gguf.header import GgufHeader

__all__ = ["Tokenizer", "read_tokenizer"]

_ENCODINGS: Final[dict[str, Callable[[GgufHeader], BpeEncoding | SpmEncoding]]] = {
    "gpt2": BpeEncoding.from_header,
    "llama": SpmEncoding.from_header,
}
_SPECIAL: Final = (TokenType.CONTROL, TokenType.UNKNOWN)
_MATCHED_FIRST: Final = (*_SPECIAL, TokenType.USER_DEFINED)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """What turns a model's texts into tokens, and tokens into text.

    Attributes:
        bos: the token that a text begins with, None where it has none.
        eos: the one that it ends with, which few models want.
        special_tokens: tokens that are found in a text before anything else, the longest first.
    """

    encoding: BpeEncoding | SpmEncoding
    bos: int | None
    eos: int | None
    special_tokens: tuple[int, ...]

    @property
    def eog(self) -> frozenset[int]:
        """The tokens that end a text."""
        return self.encoding.vocabulary.eog

    def encode(self, text: str, *, parse_special: bool = True, add_special: bool = True) -> list[int]:
        """Return the tokens of TEXT; bytes that are no UTF-8 stand in it as Python's surrogateescape has them.

        Args:
            text: what is to be read.
            parse_special: whether tokens such as <|im_end|> count when they are written in it; otherwise they are text.
            add_special: whether it is a text from its beginning, with the token before it that the model may want.
        """
        tokens = [] if self.bos is None or not add_special else [self.bos]
        prefix = self.encoding.prefix
        for part in self._fragments(text, parse_special=parse_special):
            if isinstance(part, str):
                tokens += self.encoding.encode(prefix + part)
                prefix = ""
            else:
                tokens.append(part)
                prefix = self.encoding.prefix
        if self.eos is not None and add_special:
            tokens.append(self.eos)
        return tokens

    def piece(self, token: int) -> bytes:
        """Return what TOKEN adds to a text, which is nothing for a special one. A character may be in several."""
        return self.encoding.piece(token)

    def _fragments(self, text: str, *, parse_special: bool) -> list[str | int]:
        vocabulary = self.encoding.vocabulary
        parts: list[str | int] = [text] if text else []
        for token in self.special_tokens:
            mark = vocabulary.texts[token]
            if mark in text and (parse_special or vocabulary.types[token] not in _SPECIAL):
                parts = [new for part in parts for new in _split(part, mark, token)]
        return parts


def _split(part: str | int, mark: str, token: int) -> Iterable[str | int]:
    """Yield PART with TOKEN instead of each MARK, if it is a text."""
    if isinstance(part, int):
        yield part
        return
    first, *rest = part.split(mark)
    if first:
        yield first
    for text in rest:
        yield token
        if text:
            yield text


def read_tokenizer(header: GgufHeader) -> Tokenizer:
    """Return the tokenizer that HEADER describes.

    Raises:
        GgufFormatError: a part of it is missing or of the wrong type.
        ModelError: it is of a kind that is not known here.
    """
    kind = header.metadata.get("tokenizer.ggml.model")
    if kind not in _ENCODINGS:
        known = " and ".join(map(repr, _ENCODINGS))
        raise ModelError(f"the tokenizer is of the kind {kind!r}; the portable runtime knows {known}")
    encoding = _ENCODINGS[str(kind)](header)
    vocabulary = encoding.vocabulary
    special_tokens = [token for token, type_ in enumerate(vocabulary.types) if type_ in _MATCHED_FIRST]
    special_tokens.sort(key=lambda token: -len(vocabulary.texts[token].encode(errors="surrogateescape")))
    has_bos = header.metadata.get("tokenizer.ggml.add_bos_token", encoding.adds_bos)
    has_eos = header.metadata.get("tokenizer.ggml.add_eos_token", False)
    bos = vocabulary.bos if has_bos else None
    return Tokenizer(encoding, bos, vocabulary.eos if has_eos else None, tuple(special_tokens))
