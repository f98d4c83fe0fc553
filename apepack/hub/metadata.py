"""What a model's own metadata says of it, in the words of the Hub.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md has the keys of GGUF, and
https://huggingface.co/docs/hub/model-cards those of the Hub.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.errors import GgufFormatError
from runtime.gguf.architectures import PROJECTOR
from runtime.gguf.header import GgufHeader

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ModelMetadata", "read_metadata"]

_REPOSITORY_URL: Final = re.compile(r"https?://(?:huggingface\.co|hf\.co)/(?P<id>[\w.-]+/[\w.-]+?)(?:\.git)?/?")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_LANGUAGES_MAX: Final = 256
_BASES_MAX: Final = 64
# Encoders, whose result is a vector even where they state no kind of pooling.
_ENCODERS: Final = frozenset(
    {
        "bert", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "llama-embed", "modern-bert", "neo-bert",
        "nomic-bert", "nomic-bert-moe", "pangu-embedded", "t5encoder",
    }
)  # fmt: skip  # as many to a line as fit
_POOLING_RANK: Final = 4  # llama_pooling_type: a score for a query and a text


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """The facts that a model card states; what is not known is absent.

    Attributes:
        base_models: the repositories of the models that this one is made from.
        pipeline_tag: what it is for, one of https://huggingface.co/tasks.
        languages: codes of ISO 639.
    """

    name: str | None = None
    architecture: str | None = None
    license: str | None = None
    license_link: str | None = None
    base_models: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    languages: tuple[str, ...] = ()


def read_metadata(model: memoryview, others: Sequence[memoryview] = ()) -> ModelMetadata:
    """Return what the GGUF file MODEL says of itself; OTHERS are those beside it, such as a projector.

    A damaged file says nothing: whether it is one is not asked here.
    """
    try:
        header = GgufHeader.unpack(model)
        return ModelMetadata(
            name=header.text("general.name"),
            architecture=header.text("general.architecture"),
            license=header.text("general.license"),
            license_link=header.text("general.license.link"),
            base_models=_base_models(header),
            pipeline_tag=_pipeline_tag(header, [_header(other) for other in others]),
            languages=_languages(header),
        )
    except GgufFormatError:
        return ModelMetadata()


def _header(data: memoryview) -> GgufHeader | None:
    try:
        return GgufHeader.unpack(data)
    except GgufFormatError:
        return None


def _base_models(header: GgufHeader) -> tuple[str, ...]:
    """Return the model that the file is a conversion of, or those that this was made from."""
    own = _repository(header, "general.source.repo_url") or _repository(header, "general.repo_url")
    if own:
        return (own,)
    count = header.metadata.get("general.base_model.count", 0)
    count = min(count, _BASES_MAX) if isinstance(count, int) else 0
    bases = (_repository(header, f"general.base_model.{at}.repo_url") for at in range(count))
    return tuple(dict.fromkeys(base for base in bases if base))


def _repository(header: GgufHeader, key: str) -> str | None:
    found = _REPOSITORY_URL.fullmatch(header.text(key) or "")
    return found["id"] if found else None


def _pipeline_tag(header: GgufHeader, others: Sequence[GgufHeader | None]) -> str | None:
    architecture = header.text("general.architecture")
    if architecture is None or architecture == PROJECTOR:
        return None
    pooling = header.metadata.get(f"{architecture}.pooling_type")
    if pooling == _POOLING_RANK:
        return "text-ranking"
    if pooling or architecture in _ENCODERS:
        return "feature-extraction"
    projectors = [other for other in others if other and other.text("general.architecture") == PROJECTOR]
    sees = any(other.metadata.get("clip.has_vision_encoder") for other in projectors)
    hears = any(other.metadata.get("clip.has_audio_encoder") for other in projectors)
    if sees and hears:
        return "any-to-any"
    if sees:
        return "image-text-to-text"
    return "audio-text-to-text" if hears else "text-generation"


def _languages(header: GgufHeader) -> tuple[str, ...]:
    array = header.arrays.get("general.languages")
    if array is None or array.count > _LANGUAGES_MAX or array.element != "text":
        return ()
    codes = (text.decode(errors="replace") for text in array.texts())
    return tuple(code for code in codes if _LANGUAGE.fullmatch(code))
