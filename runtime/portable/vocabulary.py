"""The vocabulary: the tokens of a model, what each is written as, and what it is for.

It stands in the arrays `tokenizer.ggml.tokens`, `…token_type` and `…scores` of a GGUF. Files leave things out, or say
them wrong, so some tokens are known by what they are written as; the lists are the engine's (src/llama-vocab.cpp).
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
    """What a token is for, by the numbers of the specification."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3  # says something about the text, and is no part of it
    USER_DEFINED = 4  # text that is one token wherever it stands
    UNUSED = 5
    BYTE = 6  # written as <0x0A>


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
        texts: what each is written as; bytes that are no UTF-8 as Python's surrogateescape has them.
        scores: how early pieces of text are merged into it, the highest first.
        ids: of the texts.
        bos: the token before a text, None where there is none.
        eos: the token behind it, likewise.
        eog: all tokens that end a text.
    """

    texts: Sequence[str]
    types: Sequence[int]
    scores: Sequence[float]
    ids: dict[str, int]
    bos: int | None
    eos: int | None
    eog: frozenset[int]


def read_vocabulary(header: GgufHeader, *, bos: int, eos: int) -> Vocabulary:
    """Return the vocabulary that HEADER describes; BOS and EOS are what they are where it does not say so.

    Raises:
        GgufFormatError: there is none, or a part of it is missing or of the wrong type.
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
    """Return the byte that a token of that kind is written for; nothing if it is written in no such way."""
    try:
        return bytes.fromhex(text.removeprefix("<0x").removesuffix(">"))
    except ValueError:
        return b""


def _token_of_role(
    header: GgufHeader, count: int, role: str, *, old_name: str | None = None, default: int | None = None
) -> int | None:
    """Return which of COUNT tokens the header names for ROLE, maybe under an OLD name; no other number counts."""
    keys = [f"{_PREFIX}{name}_token_id" for name in (old_name, role) if name is not None]
    for number in (*map(header.metadata.get, keys), default):
        if isinstance(number, int) and 0 <= number < count:
            return number
    return None


def _texts(header: GgufHeader) -> list[str]:
    """Return what the tokens are written as; one that is empty gets the name that the engine gives it."""
    array = header.arrays.get(f"{_PREFIX}tokens")
    if array is None:
        raise GgufFormatError("the file has no vocabulary", offset=header.data_offset, field=f"{_PREFIX}tokens")
    texts = [text.decode(errors="surrogateescape") for text in array.texts()]
    return [text or f"[EMPTY_{number}]" for number, text in enumerate(texts)]


def _numbers(header: GgufHeader, name: str, count: int, default: float) -> Sequence[float]:
    """Return an array with a number for each token, DEFAULT for all if there is none."""
    array = header.arrays.get(f"{_PREFIX}{name}")
    if array is None:
        return [default] * count
    if array.count < count:
        reason = f"{array.key}: got {array.count} elements, expected one for each of {count} tokens"
        raise GgufFormatError(reason, offset=array.offset, field=array.key)
    return array.numbers()
