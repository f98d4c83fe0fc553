"""The properties of a GGUF file that is to be packed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.errors import InputError
from runtime.errors import GgufFormatError
from runtime.gguf.file_names import parse_shard_name
from runtime.gguf.header import MAGIC, GgufHeader
from zipalign.input_file import map_file, open_input

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Model", "Shard", "is_gguf_file", "model_of", "model_stem", "read_model", "shard_paths"]


@dataclass(frozen=True, slots=True)
class Shard:
    """The position of a file in a split model."""

    number: int  # from 1, as in file names
    count: int
    tensor_count: int  # of all shards together; 0 if unknown


@dataclass(frozen=True, slots=True)
class Model:
    """A complete GGUF file."""

    path: Path
    architecture: str  # empty if unknown; only the first shard of a model has it
    kind: str  # general.type: `model`, `mmproj`, `adapter`, …
    shard: Shard | None
    tensors: tuple[str, ...]
    size: int


def is_gguf_file(path: Path) -> bool:
    """Return whether the file PATH begins with the magic of GGUF.

    Raises:
        InputFileError: PATH is a folder, a pipe or a device.
        OSError: the file cannot be read.
    """
    with open_input(path) as fd:
        return os.pread(fd, len(MAGIC), 0) == MAGIC


def read_model(path: Path) -> Model:
    """Return the properties of the GGUF file PATH, after a check that the file contains all its tensors.

    Raises:
        InputError: the file is not a GGUF file, damaged or incomplete.
        InputFileError: PATH is a folder, a pipe or a device.
        OSError: the file cannot be read.
    """
    if not is_gguf_file(path):
        raise InputError(path, "this is not a GGUF file: it does not begin with 'GGUF'")
    return model_of(path, map_file(path))


def model_of(path: Path, data: memoryview) -> Model:
    """Return the properties of the GGUF file DATA, as read_model() does; PATH is its name.

    Raises:
        InputError: it is damaged or incomplete.
    """
    try:
        header = GgufHeader.unpack(data)
    except GgufFormatError as error:
        raise InputError(path, f"this GGUF file is damaged or incomplete: {error}") from error
    size = len(data)
    if header.file_end > size:
        reason = f"it has {size} bytes (expected {header.file_end}); fetch it again, or join its parts first"
        raise InputError(path, f"this GGUF file is incomplete: {reason}")
    return Model(
        path,
        _text(header.metadata, "general.architecture"),
        _text(header.metadata, "general.type") or "model",
        _shard(header.metadata),
        tuple(tensor.name for tensor in header.tensors),
        size,
    )


def _text(metadata: Mapping[str, int | float | str], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _number(metadata: Mapping[str, int | float | str], key: str) -> int:
    value = metadata.get(key)
    return value if isinstance(value, int) else 0


def _shard(metadata: Mapping[str, int | float | str]) -> Shard | None:
    count = _number(metadata, "split.count")
    if count < 2:
        return None
    return Shard(_number(metadata, "split.no") + 1, count, _number(metadata, "split.tensors.count"))


def shard_paths(path: Path) -> list[Path] | None:
    """Return the paths of all shards of the model if PATH is named like a shard, otherwise None."""
    name = parse_shard_name(path.name)
    return [path.with_name(name.sibling(number)) for number in range(1, name.count + 1)] if name else None


def model_stem(path: Path) -> str:
    """Return the name of the file PATH without the extension and without the number of a shard."""
    name = parse_shard_name(path.name)
    return name.stem if name and name.stem else path.stem
