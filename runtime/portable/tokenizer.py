"""The tokenizer: converts a text to tokens and back.

Special tokens, such as the end of a turn, are matched first, so that no other token contains a part of them; the text
between them is encoded by BPE or SPM. The tokens are those of the engine (src/llama-vocab.cpp), except that its special
cases for single models, such as Phi-3, are not implemented.
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
    """The tokenizer of a model.

    Attributes:
        bos: the first token of a text, None if there is none.
        eos: the last token of a text, None for most models.
        special_tokens: tokens that are matched first, in the order of matching: the longest first.
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
        """Return the tokens of TEXT; invalid UTF-8 in it has the form of Python's surrogateescape.

        Args:
            text: the text.
            parse_special: whether texts such as <|im_end|> become special tokens; otherwise they are ordinary text.
            add_special: whether to add the BOS and EOS tokens of the model.
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
        """Return the bytes that TOKEN adds to a text, none for a special one. A character may be in several tokens."""
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
    """Yield PART with TOKEN in place of each MARK, if it is a text."""
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
    """Return the tokenizer in HEADER.

    Raises:
        GgufFormatError: a part of it is missing or has the wrong type.
        ModelError: its kind is not supported.
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
