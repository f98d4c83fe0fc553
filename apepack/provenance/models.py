"""The facts about the GGUF files in a llamafile, from their metadata."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from apepack.provenance.manifest import BaseModel, ModelFacts
from runtime.errors import GgufFormatError
from runtime.gguf.file_names import is_gguf_name
from runtime.gguf.file_types import FILE_TYPES
from runtime.gguf.header import GgufHeader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apepack.provenance.manifest import Source
    from zipalign import Entry

__all__ = ["is_model", "model_facts", "read_models"]

_BASES_MAX: Final = 64
_BASE_FIELDS: Final = ("name", "organization", "version", "repo_url")


def is_model(entry: Entry) -> bool:
    """Return whether ENTRY is a GGUF file that the engine can map, by its name."""
    return is_gguf_name(entry.name) and entry.is_stored


def read_models(
    data: memoryview, entries: tuple[Entry, ...], sources: Mapping[str, Source] | None = None
) -> tuple[ModelFacts, ...]:
    """Return the facts about the models among ENTRIES of the file DATA.

    Args:
        data: the file.
        entries: the members of its archive.
        sources: where the models came from, by the names of their members.
    """
    found = []
    for entry in entries:
        if is_model(entry):
            source = (sources or {}).get(entry.name)
            found.append(model_facts(entry.name, data[entry.data_offset : entry.data_end], source))
    return tuple(found)


def model_facts(member: str, data: memoryview, source: Source | None = None) -> ModelFacts:
    """Return the facts about the GGUF file DATA, the member MEMBER; none of a damaged one."""
    try:
        header = GgufHeader.unpack(data)
        return ModelFacts(
            member,
            type=header.text("general.type"),
            name=header.text("general.name"),
            architecture=header.text("general.architecture"),
            quantization=_quantization(header),
            license=header.text("general.license"),
            base_models=_base_models(header),
            parameters=sum(prod(tensor.dimensions) for tensor in header.tensors),
            source=source,
        )
    except GgufFormatError:
        return ModelFacts(member, source=source)


def _quantization(header: GgufHeader) -> str | None:
    """Return the name of the file's quantization, or the type of its tensors if they all have one."""
    number = header.metadata.get("general.file_type")
    if isinstance(number, int) and number in FILE_TYPES:
        return FILE_TYPES[number]
    types = {tensor.type for tensor in header.tensors}
    return types.pop() if len(types) == 1 else None


def _base_models(header: GgufHeader) -> tuple[BaseModel, ...]:
    count = header.metadata.get("general.base_model.count", 0)
    count = min(count, _BASES_MAX) if isinstance(count, int) else 0
    return tuple(
        BaseModel(*(header.text(f"general.base_model.{at}.{name}") for name in _BASE_FIELDS)) for at in range(count)
    )
