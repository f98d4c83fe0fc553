"""The vocabulary of a model: its tokens, their texts and their types.

It comes from the arrays `tokenizer.ggml.tokens`, `…token_type` and `…scores` of a GGUF. Some files lack entries, or
have wrong ones, so that certain tokens are known by their texts, as in the engine (src/llama-vocab.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from runtime.errors import GgufFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.gguf.header import GgufHeader

__all__ = ["TokenType", "Vocabulary", "byte_token_value", "read_vocabulary"]

_PREFIX: Final = "tokenizer.ggml."


class TokenType(IntEnum):
    """The type of a token, with the numbers of the specification."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3  # structures the text, and is no part of it
    USER_DEFINED = 4  # text that is always one token
    UNUSED = 5
    BYTE = 6  # its text is <0x0A>


# Tokens that end a text in any vocabulary; and by role, those for filling in the middle of a text.
# Table token texts: generated from src/llama-vocab.cpp by tools/engine_tables.py
_EOG_TEXTS: Final = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
    "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>",
    "<eos>", "<turn|>", "<|tool_response>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "[e~[",
)  # fmt: skip  # as many to a line as fit
_FIM_TEXTS: Final = {
    "fim_pre": (
        "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<\uff5cfim\u2581begin\uff5c>", "<PRE>", "\u2581<PRE>",
        "<|code_prefix|>", "<|prefix|>",
    ),
    "fim_suf": (
        "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<\uff5cfim\u2581hole\uff5c>", "<SUF>", "\u2581<SUF>",
        "<|code_suffix|>", "<|suffix|>",
    ),
    "fim_mid": (
        "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<\uff5cfim\u2581end\uff5c>", "<MID>", "\u2581<MID>",
        "<|code_middle|>", "<|middle|>",
    ),
    "fim_pad": (
        "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]",
    ),
    "fim_rep": (
        "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>",
    ),
    "fim_sep": (
        "<|file_sep|>",
    ),
}  # fmt: skip  # as many to a line as fit
# End of table token texts
# After the text that was filled in.
_FIM_EOG_ROLES: Final = ("fim_pad", "fim_rep", "fim_sep")
_OLD_KEYS: Final = {"fim_pre": "prefix", "fim_suf": "suffix", "fim_mid": "middle"}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All tokens, by number.

    Attributes:
        texts: of the tokens; invalid UTF-8 in the form of Python's surrogateescape.
        scores: priorities for merging, the highest first.
        ids: the tokens by their texts.
        bos: the token at the beginning of a text (beginning of sequence), None if there is none.
        eos: the token at its end (end of sequence), None if there is none.
        eog: all tokens that end a generated text (end of generation).
    """

    texts: Sequence[str]
    types: Sequence[int]
    scores: Sequence[float]
    ids: dict[str, int]
    bos: int | None
    eos: int | None
    eog: frozenset[int]


def read_vocabulary(header: GgufHeader, *, bos: int, eos: int) -> Vocabulary:
    """Return the vocabulary in HEADER; BOS and EOS are the defaults for these tokens.

    Raises:
        GgufFormatError: there is none, or a part of it is missing or has the wrong type.
    """
    texts = _texts(header)
    ids = {text: number for number, text in enumerate(texts)}
    types = [int(kind) for kind in _numbers(header, "token_type", len(texts), TokenType.NORMAL)]
    scores = _numbers(header, "scores", len(texts), 0.0)
    bos_id = _token_of_role(header, len(texts), "bos", default=bos)
    eos_id = _token_of_role(header, len(texts), "eos", default=eos)
    eog = {eos_id, _token_of_role(header, len(texts), "eot"), _token_of_role(header, len(texts), "eom")}
    control = {ids[text] for text in _EOG_TEXTS if text in ids}
    eog |= control
    for role, names in _FIM_TEXTS.items():
        token = _token_of_role(header, len(texts), role, old_name=_OLD_KEYS.get(role))
        if token is None:
            token = next((ids[name] for name in names if name in ids), None)
            control |= set() if token is None else {token}
        if role in _FIM_EOG_ROLES:
            eog.add(token)
    for token in control:
        types[token] = TokenType.CONTROL
    found = frozenset(token for token in eog if token is not None)
    return Vocabulary(texts, types, scores, ids, bos_id, eos_id, found)


def byte_token_value(text: str) -> bytes:
    """Return the byte of a token of type BYTE with this TEXT, or no byte if the text is invalid."""
    try:
        return bytes.fromhex(text.removeprefix("<0x").removesuffix(">"))
    except ValueError:
        return b""


def _token_of_role(
    header: GgufHeader, count: int, role: str, *, old_name: str | None = None, default: int | None = None
) -> int | None:
    """Return the token for ROLE, or for its old name, if it is one of COUNT tokens."""
    keys = [f"{_PREFIX}{name}_token_id" for name in (old_name, role) if name is not None]
    for number in (*map(header.metadata.get, keys), default):
        if isinstance(number, int) and 0 <= number < count:
            return number
    return None


def _texts(header: GgufHeader) -> list[str]:
    """Return the texts of the tokens; an empty one gets the name that the engine gives it."""
    array = header.arrays.get(f"{_PREFIX}tokens")
    if array is None:
        raise GgufFormatError("the file has no vocabulary", offset=header.data_offset, field=f"{_PREFIX}tokens")
    texts = [text.decode(errors="surrogateescape") for text in array.texts()]
    return [text or f"[EMPTY_{number}]" for number, text in enumerate(texts)]


def _numbers(header: GgufHeader, name: str, count: int, default: float) -> Sequence[float]:
    """Return an array with a number for each token, or DEFAULT for each if there is none."""
    array = header.arrays.get(f"{_PREFIX}{name}")
    if array is None:
        return [default] * count
    if array.count < count:
        reason = f"{array.key}: got {array.count} elements, expected one for each of {count} tokens"
        raise GgufFormatError(reason, offset=array.offset, field=array.key)
    return array.numbers()
