"""The runtime that an upgrade puts into llamafiles: linked from builds, or taken from another llamafile."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from apepack.errors import NoRuntimeError
from apepack.format.prologue import Magic
from apepack.packing.runtime_part import copy_runtime, link_runtime, programs_for, read_runtime
from apepack.provenance.description import read_manifest
from apepack.upgrade.contents import split_contents
from runtime.image.embedding import IMAGE_ALIGNMENT
from runtime.installed import RuntimeSource, find_runtime, installed_llamafile
from zipalign import read_archive
from zipalign.copying import copy_extent
from zipalign.input_file import map_file, open_input
from zipalign.output_file import OutputFile
from zipalign.relocation import MemberCopy, relocation
from zipalign.replacement import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apepack.packing.runtime_part import RuntimePart
    from apepack.provenance.manifest import Manifest
    from apepack.upgrade.contents import Contents
    from zipalign import Archive, Entry

__all__ = ["NewRuntime", "Runtimes", "providing"]


@dataclass(frozen=True, slots=True)
class NewRuntime:
    """A runtime in a file.

    Attributes:
        path: the file, a llamafile without weights.
        part: its properties.
        entries: the members that it brings, in the order of the file.
        core_size: the bytes in front of the first of them that may lie elsewhere: script, loaders and programs.
        own_engine: whether this toolchain built it, or is installed with it.
        manifest: its manifest, if it has one.
    """

    path: Path
    part: RuntimePart
    entries: tuple[Entry, ...]
    core_size: int
    own_engine: bool
    manifest: Manifest | None

    @property
    def data(self) -> memoryview:
        """The bytes of the file, mapped."""
        return map_file(self.path)

    @property
    def size(self) -> int:
        """The size in bytes up to the end of its last member: all that a llamafile needs of it."""
        return self.front_size(self.part.size) or self.core_size

    def front_size(self, limit: int) -> int | None:
        """Return the size in bytes of its beginning with as many members as end before LIMIT, None if none fits."""
        if self.core_size > limit:
            return None
        movable = [entry for entry in self.entries if entry.header_offset >= self.core_size]
        size = self.core_size
        for entry in movable:
            if entry.data_end > limit:
                break
            size = entry.data_end
        return size

    @classmethod
    def read(cls, path: Path, *, own_engine: bool) -> Self:
        """Read the llamafile PATH, which has no weights.

        Raises:
            ApepackError, ZipalignError: it is none, or damaged.
        """
        part = read_runtime(path)
        archive = read_archive(path)
        with open_input(path) as fd:
            contents = split_contents(archive.entries, fd)
        entries = tuple(sorted([*contents.runtime, *contents.author], key=lambda entry: entry.header_offset))
        behind = [entry.header_offset for entry in entries if entry.header_offset >= IMAGE_ALIGNMENT]
        core_size = min([*behind, archive.directory_offset])
        return cls(path, part, entries, core_size, own_engine, read_manifest(path))


class Runtimes:
    """The runtimes of one run: each is prepared when it is first needed.

    Args:
        folder: a temporary folder for them.
        runtime: a llamafile to take the runtime from, or None to use the one that is found.
        portable: whether to include the portable runtime.
        gpu: whether to include the part for GPUs.
    """

    def __init__(self, folder: Path, runtime: Path | None, *, portable: bool, gpu: bool) -> None:
        self._folder = folder
        self._runtime = runtime
        self._parts = {"portable": portable, "gpu": gpu}
        self._prepared: dict[Magic, NewRuntime] = {}

    def beginning_with(self, magic: Magic) -> NewRuntime:
        """Return the runtime for a file that begins with MAGIC; one that exists begins as it does.

        Raises:
            NoRuntimeError: no runtime is given and none is built.
            ApepackError, RuntimePackageError, ZipalignError: it cannot be read or linked.
        """
        magic = Magic.MZ if self._runtime or magic is Magic.DEBUG else magic
        if magic not in self._prepared:
            self._prepared[magic] = self._copied(self._runtime) if self._runtime else self._linked(magic)
        return self._prepared[magic]

    def _linked(self, magic: Magic) -> NewRuntime:
        programs = programs_for(find_runtime() or RuntimeSource(), magic)
        if not programs:
            raise NoRuntimeError
        path = self._folder / f"llamafile-{magic.name.lower()}"
        link_runtime(programs, path, magic=magic, **self._parts)
        return NewRuntime.read(path, own_engine=True)

    def _copied(self, runtime: Path) -> NewRuntime:
        own_engine = runtime == installed_llamafile()
        archive = read_archive(runtime) if read_runtime(runtime).members else None
        with open_input(runtime) as fd:
            contents = split_contents(archive.entries if archive else (), fd)
        path = self._folder / "llamafile"
        if archive and contents.weights:
            _copy_without_weights(archive, contents, path)
            runtime, manifest = path, read_manifest(runtime)
            if all(self._parts.values()):
                return replace(NewRuntime.read(path, own_engine=own_engine), manifest=manifest)
            path = path.with_name("smaller")
        if not all(self._parts.values()):
            copy_runtime(runtime, path, **self._parts)
            runtime = path
        return NewRuntime.read(runtime, own_engine=own_engine)


def _copy_without_weights(archive: Archive, contents: Contents, target: Path) -> None:
    """Write a llamafile with the runtime of one with weights; files of its author stay behind, too."""
    end = contents.weights[0].header_offset
    front = [entry for entry in contents.runtime if entry.header_offset < end]
    end = max([entry.data_end for entry in front], default=end)
    data = map_file(archive.path)
    copies = [
        MemberCopy(entry, data[entry.data_offset : entry.data_end]) for entry in contents.runtime if entry not in front
    ]
    relocated = relocation(end, [entry.record for entry in front], copies, b"")
    with replacing(target, 0o755) as file, open_input(archive.path) as fd:
        output_file = OutputFile(file.fileno())
        copy_extent(fd, 0, output_file, 0, end, None)
        output_file.write(relocated.members, relocated.offset)
        output_file.write(relocated.directory, relocated.directory_offset)


@contextmanager
def providing(runtime: Path | None, *, portable: bool = True, gpu: bool = True) -> Iterator[Runtimes]:
    """Yield the runtimes for one run. Nothing is written beside the llamafiles or the builds."""
    with tempfile.TemporaryDirectory(prefix="apepack.") as folder:
        yield Runtimes(Path(folder), runtime, portable=portable, gpu=gpu)
