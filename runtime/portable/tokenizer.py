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
from runtime.portable.bpe import BytePairs
from runtime.portable.spm import SentencePieces
from runtime.portable.vocabulary import TokenKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.gguf.header import GgufHeader

__all__ = ["Tokenizer", "tokenizer_of"]

_WRITINGS: Final[dict[str, Callable[[GgufHeader], BytePairs | SentencePieces]]] = {
    "gpt2": BytePairs.of,
    "llama": SentencePieces.of,
}
_SPECIAL: Final = (TokenKind.CONTROL, TokenKind.UNKNOWN)
_MARKED: Final = (*_SPECIAL, TokenKind.USER_DEFINED)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """What turns a model's texts into tokens, and tokens into text.

    Attributes:
        before: the token that a text begins with, None where it has none.
        behind: the one that it ends with, which few models want.
        marked: tokens that are found in a text before anything else, the longest first.
    """

    writing: BytePairs | SentencePieces
    before: int | None
    behind: int | None
    marked: tuple[int, ...]

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end a text."""
        return self.writing.vocabulary.ends

    def encode(self, text: str, *, special: bool = True, begin: bool = True) -> list[int]:
        """Return the tokens of TEXT; bytes that are no UTF-8 stand in it as Python's surrogateescape has them.

        Args:
            text: what is to be read.
            special: whether tokens such as <|im_end|> count when they are written in it; otherwise they are text.
            begin: whether it is a text from its beginning, with the token before it that the model may want.
        """
        tokens = [] if self.before is None or not begin else [self.before]
        prefix = self.writing.prefix
        for part in self._parts(text, special=special):
            if isinstance(part, str):
                tokens += self.writing.encode(prefix + part)
                prefix = ""
            else:
                tokens.append(part)
                prefix = self.writing.prefix
        if self.behind is not None and begin:
            tokens.append(self.behind)
        return tokens

    def piece(self, token: int) -> bytes:
        """Return what TOKEN adds to a text, which is nothing for a special one. A character may be in several."""
        return self.writing.piece(token)

    def _parts(self, text: str, *, special: bool) -> list[str | int]:
        vocabulary = self.writing.vocabulary
        parts: list[str | int] = [text] if text else []
        for token in self.marked:
            mark = vocabulary.texts[token]
            if mark in text and (special or vocabulary.kinds[token] not in _SPECIAL):
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


def tokenizer_of(header: GgufHeader) -> Tokenizer:
    """Return the tokenizer that HEADER describes.

    Raises:
        GgufFormatError: a part of it is missing or of the wrong type.
        ModelError: it is of a kind that is not known here.
    """
    kind = header.metadata.get("tokenizer.ggml.model")
    if kind not in _WRITINGS:
        known = " and ".join(map(repr, _WRITINGS))
        raise ModelError(f"the tokenizer is of the kind {kind!r}; the portable runtime knows {known}")
    writing = _WRITINGS[str(kind)](header)
    vocabulary = writing.vocabulary
    marked = [token for token, kind in enumerate(vocabulary.kinds) if kind in _MARKED]
    marked.sort(key=lambda token: -len(vocabulary.texts[token].encode(errors="surrogateescape")))
    has_before = header.metadata.get("tokenizer.ggml.add_bos_token", writing.begin)
    has_behind = header.metadata.get("tokenizer.ggml.add_eos_token", False)
    before = vocabulary.begin if has_before else None
    return Tokenizer(writing, before, vocabulary.end if has_behind else None, tuple(marked))
