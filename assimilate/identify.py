"""The kind of a file by its first bytes: an APE, a native program, or an interrupted conversion."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from apepack.errors import LayoutError, NotAnApeError
from apepack.format.dd import find_macho_statement
from apepack.format.inspect import read_platforms
from apepack.format.prologue import SCAN_SIZE, original_head
from assimilate.errors import ForeignFileError
from assimilate.undo_record import interrupted_platform
from runtime.image import linux_platform_name, read_image
from runtime.image.elf import ELF_MAGIC, SegmentType, read_elf
from runtime.image.errors import ImageFormatError, NotAnImageError
from runtime.image.mach_header import CpuType

if TYPE_CHECKING:
    from apepack.format.dd import DdStatement
    from runtime.image.elf import Elf

__all__ = ["MACOS_AMD64", "Identity", "Kind", "foreign_macho", "identify"]

MACOS_AMD64: Final = "macos-amd64"  # the only Mach-O programs of Cosmopolitan's files
_KINDS: Final = {"elf": "an ELF program", "macho": "a Mach-O program", "pe": "a PE program"}


class Kind(StrEnum):
    """The kinds of files."""

    APE = "ape"
    ELF = "elf"
    MACHO = "macho"
    PE = "pe"
    INTERRUPTED = "interrupted"  # an interrupted conversion

    @property
    def words(self) -> str:
        """The kind in a sentence, with its article."""
        return _KINDS.get(self.value, "an APE")


@dataclass(frozen=True, slots=True)
class Identity:
    """The kind and the platforms of a file."""

    kind: Kind
    platforms: tuple[str, ...]  # of its programs, or the target of an interrupted conversion
    keeps_head: bool  # whether it has a copy of the 64 bytes that an ELF header overwrites

    @property
    def names(self) -> str:
        """The platforms, for a sentence."""
        return ", ".join(self.platforms) or "another machine"


def identify(data: bytes | memoryview) -> Identity:
    """Return the identity of the file DATA.

    Raises:
        ForeignFileError: it is of an unknown kind, or a damaged program.
    """
    window = bytes(data[:SCAN_SIZE])
    keeps = original_head(window) is not None
    interrupted = interrupted_platform(window)
    if interrupted is not None:
        return Identity(Kind.INTERRUPTED, (interrupted,), keeps)
    try:
        platforms = read_platforms(data)
    except NotAnApeError as error:
        native = _native(data)
        if native is None:
            raise ForeignFileError(str(error)) from error
        return Identity(*native, keeps)
    return Identity(Kind.APE, _with_foreign_macho(platforms, data), keeps)


def foreign_macho(data: bytes | memoryview) -> DdStatement | None:
    """Return the dd statement with which a script of Cosmopolitan makes the file DATA a Mach-O program, or None.

    Raises:
        LayoutError: it copies bytes beyond the end of the file.
    """
    ours = original_head(bytes(data[:SCAN_SIZE])) is not None
    return None if ours else find_macho_statement(data, CpuType.X86_64)


def _with_foreign_macho(platforms: tuple[str, ...], data: bytes | memoryview) -> tuple[str, ...]:
    with suppress(LayoutError):  # reported by the conversion, and by --check
        if foreign_macho(data) and MACOS_AMD64 not in platforms:
            return (*platforms, MACOS_AMD64)
    return platforms


def _native(data: bytes | memoryview) -> tuple[Kind, tuple[str, ...]] | None:
    """Return the kind of a native program DATA and its known platforms, or None for other files."""
    try:
        image = read_image(data)
    except NotAnImageError:
        if bytes(data[:4]) != ELF_MAGIC:
            return None
        return Kind.ELF, _unmarked_platforms(read_elf(data))
    except ImageFormatError as error:
        raise ForeignFileError.damaged(error) from error
    return Kind(image.platform.image_format.value), (image.platform.name,)


def _unmarked_platforms(elf: Elf) -> tuple[str, ...]:
    """Return the platforms of a program without the brand of a single system, such as a converted APE.

    Its EI_OSABI is that of FreeBSD (-b), or it has the notes of several systems, because it runs on all of them.
    """
    name = linux_platform_name(elf.header.machine)
    return (name,) if name and not elf.has(SegmentType.INTERP) else ()
