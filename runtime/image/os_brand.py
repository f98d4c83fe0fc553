"""The operating system that an ELF program is for; ELF has no field that all systems set.

Programs for Linux have no brand. Programs for the BSDs have a note with the name of the system as its owner, which
their kernels check. EI_OSABI is set only by FreeBSD's tools, and in the header of every APE, without a meaning there.
The path of the dynamic linker differs by system.

Specification: System V gABI, "Note Section"; the owners and types are those of each system's <sys/exec_elf.h>.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from runtime.image.elf import OsAbi, ProgramHeader, SegmentType
from runtime.image.errors import ImageFormatError, NotAnImageError
from runtime.image.record import ImageRecord, image_damaged
from zipalign.alignment import align_up
from zipalign.cursor import Cursor
from zipalign.record import U32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.image.elf import Elf

__all__ = ["Brand", "Note", "read_brand", "read_notes"]

_SYSTEM_NOTE: Final = 1  # the type of the note that names the system, for each owner
_OWNERS: Final = {b"FreeBSD\0", b"NetBSD\0", b"OpenBSD\0", b"DragonFly\0"}
_INTERPRETERS: Final = {
    "/libexec/ld-elf.so.1": "FreeBSD",
    "/usr/libexec/ld.elf_so": "NetBSD",
    "/libexec/ld.elf_so": "NetBSD",
    "/usr/libexec/ld.so": "OpenBSD",
    "/usr/libexec/ld-elf.so.2": "DragonFly",
}
_PATH_SIZE_MAX: Final = 1024  # PATH_MAX of these systems
_NOTES_SIZE_MAX: Final = 1 << 20  # a thousand times the size in programs
_LINUX: Final = "Linux"


@dataclass(frozen=True, slots=True)
class _NoteHeader(ImageRecord):
    NAME: ClassVar = "n_namesz"

    namesz: U32
    descsz: U32
    type: U32

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in the specification."""
        return f"n_{name}"


@dataclass(frozen=True, slots=True)
class Note:
    """One entry of a note segment."""

    owner: bytes
    type: int
    description: bytes


@dataclass(frozen=True, slots=True)
class Brand:
    """The marks of the system that a program is for."""

    system: str  # as `uname -s` prints it
    has_note: bool  # whether a note names it
    interpreter: str | None  # the dynamic linker


def read_brand(data: bytes | memoryview, elf: Elf) -> Brand:
    """Find the system that the program ELF, whose bytes are DATA, is for.

    Raises:
        NotAnImageError: it is for several systems, or for an unknown one.
        ImageFormatError: its marks are damaged, or contradict each other.
    """
    owners = {note.owner for note in read_notes(data, elf) if note.type == _SYSTEM_NOTE and note.owner in _OWNERS}
    noted = sorted(owner.rstrip(b"\0").decode() for owner in owners)
    if len(noted) > 1:
        raise NotAnImageError(
            f"an ELF program with the notes of several systems ({', '.join(noted)}), built for an APE by another tool:"
            " give a program that was built for one system"
        )
    interpreter, offset = _interpreter(data, elf)
    linked_for = _INTERPRETERS.get(interpreter or "")
    if not noted:
        return Brand(linked_for or _system_of(elf.header.osabi), has_note=False, interpreter=interpreter)
    if linked_for not in (None, noted[0]):
        raise ImageFormatError(
            f"got {interpreter}, the dynamic linker of {linked_for}, but a note says {noted[0]}",
            field="PT_INTERP",
            offset=offset,
        )
    return Brand(noted[0], has_note=True, interpreter=interpreter)


def read_notes(data: bytes | memoryview, elf: Elf) -> Iterator[Note]:
    """Yield the notes of the program ELF, whose bytes are DATA.

    Raises:
        ImageFormatError: a note extends beyond its segment.
    """
    room = _NOTES_SIZE_MAX
    for at, segment in _segments(elf, SegmentType.NOTE):
        yield from _notes_in(_content(data, segment, at, room), segment)
        room -= segment.filesz


def _notes_in(content: bytes, segment: ProgramHeader) -> Iterator[Note]:
    # The gABI demands 8 in all 64-bit files; systems use 4, except in segments with that alignment.
    alignment = 8 if segment.align == 8 else 4
    start = 0
    while any(content[start : start + _NoteHeader.SIZE]):  # zeros pad segments
        at = segment.offset + start
        header = _NoteHeader.unpack(Cursor(content[start:], at, image_damaged))
        name_start = start + _NoteHeader.SIZE
        name_end = name_start + header.namesz
        description = align_up(name_end, alignment)
        end = description + header.descsz
        if end > len(content):
            raise _NoteHeader.error(
                f"the note ends at {segment.offset + end:#x}, its segment at {segment.file_end:#x}",
                "descsz" if name_end <= len(content) else "namesz",
                at,
            )
        yield Note(content[name_start:name_end], header.type, content[description:end])
        start = align_up(end, alignment)


def _system_of(osabi: int) -> str:
    """Return the system of a program without notes and without a known dynamic linker."""
    if osabi in (OsAbi.SYSV, OsAbi.LINUX):
        return _LINUX
    if osabi == OsAbi.FREEBSD:
        raise NotAnImageError(
            "an ELF program with EI_OSABI 9 (FreeBSD) and without the note of FreeBSD's programs; if it was an APE,"
            " restore it (assimilate --restore) and give the programs inside it"
        )
    raise NotAnImageError(f"an ELF program for a system we do not build for (EI_OSABI {osabi})")


def _interpreter(data: bytes | memoryview, elf: Elf) -> tuple[str | None, int]:
    """Return the path of the dynamic linker and its offset in the file."""
    for at, segment in _segments(elf, SegmentType.INTERP):
        path = _content(data, segment, at, _PATH_SIZE_MAX)
        if path.find(b"\0") != len(path) - 1 or len(path) == 0:
            raise ImageFormatError("no path that ends with a NUL byte", field="PT_INTERP", offset=segment.offset)
        return path[:-1].decode(errors="replace"), segment.offset
    return None, 0


def _segments(elf: Elf, kind: SegmentType) -> Iterator[tuple[int, ProgramHeader]]:
    """Yield the segments of one type, each after the offset of its program header."""
    for index, segment in enumerate(elf.segments):
        if segment.type == kind:
            yield elf.header.phoff + index * ProgramHeader.SIZE, segment


def _content(data: bytes | memoryview, segment: ProgramHeader, at: int, most: int) -> bytes:
    if segment.file_end > len(data):
        raise segment.error(f"the segment ends at {segment.file_end:#x}, the file at {len(data):#x}", "offset", at)
    if segment.filesz > most:
        raise segment.error(f"got {segment.filesz:#x}, expected at most {most:#x}", "filesz", at)
    return bytes(data[segment.offset : segment.file_end])
