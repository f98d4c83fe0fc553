"""The llamafile that an image is made from."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.errors import InputError, InterruptedUpgradeError, ManifestError
from apepack.format.contents import read_programs
from apepack.format.prologue import SCAN_SIZE, original_head
from apepack.provenance.description import read_content
from apepack.provenance.manifest import MEMBER_NAME as MANIFEST_NAME
from apepack.provenance.manifest import Manifest
from apepack.provenance.models import is_model
from apepack.upgrade.contents import is_hard_to_move, split_contents
from apepack.upgrade.opening import magic_of
from apepack.upgrade.undo_record import is_interrupted
from runtime.gguf.file_names import is_gguf_name
from zipalign.inflate import entry_chunks
from zipalign.input_file import map_file, open_input
from zipalign.transaction import read_for_append

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apepack.format.contents import EmbeddedProgram
    from apepack.upgrade.contents import Contents
    from zipalign import Entry

__all__ = ["Source", "reading"]

# Names that mean the removal of a file, in a layer.
_WHITEOUT: Final = ".wh."


@dataclass(frozen=True, slots=True)
class Source:
    """A llamafile, also one that became an ELF program.

    Attributes:
        path: the file.
        fd: the file, open.
        data: its bytes, mapped.
        programs: its programs.
        contents: its members.
        manifest: its manifest; none if it has none or a damaged one, which nothing here relies on.
    """

    path: Path
    fd: int
    data: memoryview
    programs: tuple[EmbeddedProgram, ...]
    contents: Contents
    manifest: Manifest | None

    @property
    def large(self) -> tuple[Entry, ...]:
        """The members that get layers of their own: weights, and large files that are in no folder."""
        return tuple(entry for entry in self.contents.author if _has_own_layer(entry))

    @property
    def small(self) -> tuple[Entry, ...]:
        """The other members of the author, and those that describe all."""
        large = set(self.large)
        return tuple(entry for entry in (*self.contents.author, *self.contents.derived) if entry not in large)

    def content(self, entry: Entry) -> bytes:
        """Return the content of the small member ENTRY.

        Raises:
            ZipFormatError: it is damaged.
        """
        return b"".join(entry_chunks(self.fd, entry))


@contextmanager
def reading(path: Path) -> Iterator[Source]:
    """Read the llamafile PATH, but for the data of its members.

    Raises:
        InputError: it is no llamafile, has no weights, or cannot become an image.
        InterruptedUpgradeError: its upgrade was interrupted.
        LayoutError: a program in it is damaged.
        ZipalignError: its archive is damaged, or a member is faulty.
        OSError: it cannot be read.
    """
    with open_input(path) as fd:
        data = map_file(path)
        if is_interrupted(data):
            raise InterruptedUpgradeError(path)
        head = original_head(bytes(data[:SCAN_SIZE]))
        if head is None:
            magic_of(path, data)
            reason = "its runtime is that of another maker: exchange it first, with apepack upgrade"
            raise InputError(path, reason)
        archive, trailing = read_for_append(fd, path)
        if trailing is not None:  # of an interrupted append
            data = data[: trailing.old_size]
        entries = archive.require_sound().entries if archive else ()
        contents = split_contents(entries, fd)
        _check_weights(path, contents)
        listed = next((entry for entry in entries if entry.name == MANIFEST_NAME), None)
        yield Source(path, fd, data, read_programs(data, head), contents, _manifest(fd, listed) if listed else None)


def _has_own_layer(entry: Entry) -> bool:
    """Return whether ENTRY is a file beside the archive: weights, or what is large and named by an option."""
    return is_gguf_name(entry.name) or (is_hard_to_move(entry) and entry.is_stored and "/" not in entry.name)


def _check_weights(path: Path, contents: Contents) -> None:
    models = [entry for entry in contents.author if is_gguf_name(entry.name)]
    if not models:
        todo = f"pack a model first, with apepack -o my.llamafile --runtime {path} MODEL.gguf, and use that file"
        raise InputError(path, f"it holds no weights: {todo}")
    for entry in models:
        if not is_model(entry):
            raise InputError(path, f"{entry.name} is compressed, so that it cannot be mapped: add it with zipalign -0")
    for entry in contents.author:
        if any(part.startswith(_WHITEOUT) for part in entry.name.split("/")):
            raise InputError(path, f"{entry.name} begins with {_WHITEOUT}, which in an image removes another file")


def _manifest(fd: int, entry: Entry) -> Manifest | None:
    try:
        return Manifest.unpack(read_content(fd, entry))
    except ManifestError:
        return None
