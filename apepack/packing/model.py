"""A publisher's GGUF file: what it says of itself, and whether all of it is there."""

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

__all__ = ["Model", "Shard", "is_gguf_file", "model_stem", "read_model", "shard_paths"]


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of a split model a file is."""

    number: int  # the first one is 1, as in its name
    count: int
    tensor_count: int  # of all together; 0 where the file does not say


@dataclass(frozen=True, slots=True)
class Model:
    """A GGUF file that is whole."""

    path: Path
    architecture: str  # empty where the file does not say: only the first shard does
    kind: str  # general.type: `model`, `mmproj`, `adapter`, …
    shard: Shard | None
    tensors: tuple[str, ...]
    size: int


def is_gguf_file(path: Path) -> bool:
    """Return whether the file PATH begins like a GGUF file.

    Raises:
        InputFileError: it is a folder, a pipe or a device.
        OSError: it cannot be read.
    """
    with open_input(path) as fd:
        return os.pread(fd, len(MAGIC), 0) == MAGIC


def read_model(path: Path) -> Model:
    """Return the facts of the GGUF file PATH, after checking that all its tensors lie inside the file.

    Raises:
        InputError: it is not a GGUF file, or is damaged or incomplete.
        InputFileError: it is a folder, a pipe or a device.
        OSError: it cannot be read.
    """
    if not is_gguf_file(path):
        raise InputError(path, "this is not a GGUF file: it does not begin with 'GGUF'")
    data = map_file(path)
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
    """Return the paths of all shards of the model that PATH is named like a shard of, or None where it is not."""
    name = parse_shard_name(path.name)
    return [path.with_name(name.sibling(number)) for number in range(1, name.count + 1)] if name else None


def model_stem(path: Path) -> str:
    """Return the name of the file PATH without its ending, and without the number of a shard."""
    name = parse_shard_name(path.name)
    return name.stem if name and name.stem else path.stem
