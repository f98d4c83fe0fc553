"""Requirements for macOS and BSD programs in an APE, which unpacks and starts them.

The rules are those of the kernels and of dyld. They start the unpacked program unchanged, so that faults must be found
when the APE is linked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runtime.image.code_signature import check_code_signature
from runtime.image.elf import Elf, ElfType, SegmentFlag
from runtime.image.errors import ImageFormatError, NotEmbeddableError
from runtime.image.mach_header import CpuType, HeaderFlag
from runtime.image.macho import Macho
from runtime.image.os_brand import read_brand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.image import Image

__all__ = ["check_unpackable", "unpacking_faults"]

_ARM64E: Final = 2  # cpusubtype, without its upper byte
_SUBTYPE_MASK: Final = 0x00FFFFFF
_DYLD: Final = "/usr/lib/dyld"
_SIGN: Final = "codesign -f -s - FILE on a Mac, rcodesign sign FILE elsewhere"
_FREEBSD_PAGE: Final = 4096
_NOTE_REQUIRED: Final = ("NetBSD", "OpenBSD")  # FreeBSD's kernel also accepts the path of its dynamic linker


def check_unpackable(image: Image, data: bytes | memoryview) -> None:
    """Raise NotEmbeddableError, with all reasons, if the macOS or BSD program DATA would not run after unpacking.

    Raises:
        ImageFormatError: its marks are damaged.
    """
    faults = tuple(unpacking_faults(image, data))
    if faults:
        raise NotEmbeddableError(faults)


def unpacking_faults(image: Image, data: bytes | memoryview) -> Iterator[str]:
    """Yield each reason why the macOS or BSD program DATA would not run, as a clause."""
    if isinstance(image.headers, Macho):
        yield from _linking_faults(image.headers)
        yield from _signature_faults(image.headers, data)
    elif isinstance(image.headers, Elf):
        yield from _bsd_faults(image.headers, data)


def _linking_faults(macho: Macho) -> Iterator[str]:
    header = macho.header
    if header.cputype == CpuType.ARM64:
        if header.cpusubtype & _SUBTYPE_MASK == _ARM64E:
            yield "it is for arm64e, which macOS allows its own programs only (compile it with -arch arm64)"
        if not macho.is_dynamic:
            yield "it starts without dyld, which macOS allows on x86_64 only (link it with libSystem)"
        elif not (header.flags & HeaderFlag.DYLDLINK and header.flags & HeaderFlag.PIE):
            yield "it is not position-independent (link it with -pie)"
    if macho.is_dynamic and macho.dylinker != _DYLD:
        yield f"its dynamic linker is {macho.dylinker or 'none'}, expected {_DYLD} (link it with -dylinker)"
    for dylib in macho.dylibs:
        if dylib.startswith("@"):
            yield f"it needs {dylib}, which is not unpacked with it (link it statically)"


def _signature_faults(macho: Macho, data: bytes | memoryview) -> Iterator[str]:
    if macho.code_signature is None:
        if macho.header.cputype == CpuType.ARM64:
            yield f"it has no code signature, and macOS kills arm64 programs without one (sign it: {_SIGN})"
        return
    try:
        check_code_signature(data, macho)
    except ImageFormatError as error:
        yield f"{error} (sign it again: {_SIGN})"


def _bsd_faults(elf: Elf, data: bytes | memoryview) -> Iterator[str]:
    brand = read_brand(data, elf)
    if elf.header.type not in (ElfType.EXEC, ElfType.DYN):
        yield f"e_type is {elf.header.type}, expected 2 (ET_EXEC) or 3 (ET_DYN): link it as a program"
    entry = elf.header.entry
    executable = (load for load in elf.loads if load.flags & SegmentFlag.X)
    if not any(load.vaddr <= entry < load.vaddr + load.filesz for load in executable):
        yield f"e_entry {entry:#x} is not inside an executable segment: a program is needed, not a library"
    if brand.system in _NOTE_REQUIRED and not brand.has_note:
        yield f"it has no note that says {brand.system}, as its kernel demands (link it with that system's crt0.o)"
    if brand.system == "FreeBSD" and elf.phdrs_end > _FREEBSD_PAGE:
        yield f"its program headers end at {elf.phdrs_end:#x}, FreeBSD reads up to {_FREEBSD_PAGE:#x} (use ld.lld)"
