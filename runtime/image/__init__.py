"""Native programs as bytes: which platform an image is for, and what its headers say.

Codecs of our own decide; they read what linking and loading need and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.image.elf import ELF_MAGIC, Elf, Machine, OsAbi, read_elf
from runtime.image.errors import ImageFormatError, NotAnImageError, NotEmbeddableError
from runtime.image.pe import DOS_MAGIC, Pe, PeMachine, read_pe
from runtime.platforms import Platform, platform_named

__all__ = ["Image", "ImageFormatError", "NotAnImageError", "NotEmbeddableError", "read_image"]

_LINUX: dict[int, str] = {Machine.X86_64: "linux-amd64", Machine.AARCH64: "linux-arm64"}
_OSABI_LINUX = 3


@dataclass(frozen=True, slots=True)
class Image:
    """A native program and the platform it is for."""

    platform: Platform
    headers: Elf | Pe


def read_image(data: bytes | memoryview) -> Image:
    """Read the headers of the native program DATA and find its platform.

    Raises:
        NotAnImageError: DATA is no native program, or for none of the platforms.
        ImageFormatError: it is damaged.
    """
    if bytes(data[:4]) == ELF_MAGIC:
        elf = read_elf(data)
        return Image(_elf_platform(elf), elf)
    if bytes(data[:2]) == DOS_MAGIC:
        pe = read_pe(data)
        return Image(_pe_platform(pe), pe)
    raise NotAnImageError(f"not a native program (ELF or PE): it begins with {bytes(data[:8])!r}")


def _elf_platform(elf: Elf) -> Platform:
    """Linux programs carry no mark that says so: what names another system in its header is not one."""
    header = elf.header
    if header.osabi not in (OsAbi.SYSV, _OSABI_LINUX):
        raise NotAnImageError(f"an ELF program for a system we do not build for (EI_OSABI {header.osabi})")
    try:
        return platform_named(_LINUX[header.machine])
    except KeyError:
        raise NotAnImageError(
            f"an ELF program for a machine we do not build for (e_machine {header.machine})"
        ) from None


def _pe_platform(pe: Pe) -> Platform:
    if pe.coff.machine != PeMachine.AMD64:
        raise NotAnImageError(f"a Windows program for a machine we do not build for (Machine {pe.coff.machine:#x})")
    return platform_named("windows-amd64")
