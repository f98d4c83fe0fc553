"""What a publisher's GGUF file says of itself, read with the gguf package, whose exceptions end here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAGIC", "Model", "is_model", "read_model"]

MAGIC: Final = b"GGUF"


@dataclass(frozen=True, slots=True)
class Model:
    """A model file that is whole."""

    path: Path
    architecture: str
    tensor_count: int
    size: int


def is_model(path: Path) -> bool:
    """Return whether the file PATH begins like a GGUF file."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_model(path: Path) -> Model:
    """Return the facts of the GGUF file PATH, after checking that all its tensors lie inside the file.

    Raises:
        InputError: it is not a GGUF file, or is damaged or incomplete.
        OSError: it cannot be read.
    """
    if not is_model(path):
        raise InputError(path, "this is not a GGUF file: it does not begin with 'GGUF'")
    size = path.stat().st_size

    import gguf  # noqa: PLC0415  # takes a third of a second to import

    try:
        reader = gguf.GGUFReader(path)
        field = reader.get_field("general.architecture")
        architecture = str(field.contents()) if field else ""
        end = max((int(tensor.data_offset + tensor.n_bytes) for tensor in reader.tensors), default=0)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        # What the reader raises on a damaged file depends on the byte that is wrong.
        raise InputError(path, f"this GGUF file is damaged or incomplete: {error}") from error
    if not architecture:
        raise InputError(path, "this GGUF file does not say its general.architecture: the engine cannot run it")
    if end > size:
        raise InputError(path, f"this GGUF file is incomplete: it has {size} bytes (expected {end}); fetch it again")
    return Model(path, architecture, len(reader.tensors), size)
