"""A llamafile that is to be published: its facts, and the files that belong to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from apepack.hub.metadata import ModelMetadata, read_metadata
from apepack.provenance.description import describe, read_manifest
from apepack.provenance.digests import Hasher, range_sha256
from apepack.provenance.manifest import SIGNATURE_NAME
from apepack.provenance.signature import signature_path
from zipalign import read_archive
from zipalign.input_file import map_file, open_input

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apepack.provenance.manifest import Manifest, MemberDigest
    from zipalign import Entry

__all__ = ["Llamafile", "file_sha256", "read_llamafile"]

_SUFFIX: Final = ".llamafile"
_TITLE_SIZE_MAX: Final = 120  # in characters; names of models may have a kilobyte


@dataclass(frozen=True, slots=True)
class Llamafile:
    """A llamafile and its facts.

    Attributes:
        path: the file.
        size: its size in bytes.
        sha256: its digest.
        manifest: the manifest in it, or one that was computed if it has none.
        models: the digests of its models: weights first, then projectors.
        entries: the places of the models in the file, in the same order.
        metadata: what the first model says of itself.
        is_signed: whether there is a signature, in the file or beside it.
        signature: the signature beside it.
        companion: the program beside it that starts it on Windows.
    """

    path: Path
    size: int
    sha256: str
    manifest: Manifest
    models: tuple[MemberDigest, ...]
    entries: tuple[Entry, ...]
    metadata: ModelMetadata
    is_signed: bool
    signature: Path | None
    companion: Path | None

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return self.name.removesuffix(_SUFFIX)

    @property
    def title(self) -> str:
        """The model's name and its quantization, in one line."""
        facts = self.manifest.models[0] if self.manifest.models else None
        parts = [(facts and facts.name) or self.stem, (facts and facts.quantization) or ""]
        return " ".join(" ".join(parts).split())[:_TITLE_SIZE_MAX]

    @property
    def description(self) -> str:
        """The title, and the versions of the runtime and the engine as far as they are known."""
        return f"{self.title}, {self.runtime}"

    @property
    def runtime(self) -> str:
        """The versions of the runtime and the engine as far as they are known."""
        origin = self.manifest.origin
        runtime = f"llamafile {origin.toolchain.version}" if origin.toolchain else "llamafile"
        return f"{runtime} ({origin.engine.name} {origin.engine.version})" if origin.engine else runtime


def read_llamafile(path: Path, *, progress: Callable[[int], None] | None = None) -> Llamafile:
    """Return the facts of the llamafile PATH; all of it is read, for its SHA-256.

    PROGRESS is called with the number of bytes read since the last call.

    Raises:
        InputError: the file is not an APE.
        ManifestError: its manifest is damaged.
        ZipalignError: its archive is damaged.
        OSError: the file cannot be read.
    """
    manifest = read_manifest(path) or describe(path)
    archive = read_archive(path)
    facts = sorted(manifest.models, key=lambda model: model.type not in {None, "model"})
    found = [(manifest.member(model.member), archive.entry(model.member)) for model in facts]
    pairs = [(digest, entry) for digest, entry in found if digest and entry]
    data = map_file(path)
    contents = [data[entry.data_offset : entry.data_end] for _, entry in pairs]
    companion = path.with_suffix(".exe")
    signature = signature_path(path)
    return Llamafile(
        path,
        archive.file_size,
        file_sha256(path, progress),
        manifest,
        tuple(digest for digest, _ in pairs),
        tuple(entry for _, entry in pairs),
        read_metadata(contents[0], contents[1:]) if contents else ModelMetadata(),
        is_signed=signature.is_file() or archive.entry(SIGNATURE_NAME) is not None,
        signature=signature if signature.is_file() else None,
        companion=companion if path.suffix == _SUFFIX and companion.is_file() else None,
    )


def file_sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of the file PATH.

    Raises:
        InputFileError: it is a folder, a pipe or a device.
        OSError: it cannot be read.
    """
    with open_input(path) as fd, Hasher(progress) as hasher:
        return hasher.submit(partial(range_sha256, fd, [(0, os.fstat(fd).st_size)])).result()
