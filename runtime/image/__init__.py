"""Native images: their headers, and the platform that each is for.

The codecs read only the fields that linking and loading need.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import UnknownPlatformError
from runtime.image.elf import ELF_MAGIC, Elf, Machine, read_elf
from runtime.image.errors import ImageFormatError, NotAnImageError, NotEmbeddableError, UnsignedImageError
from runtime.image.mach_header import CpuType, is_macho
from runtime.image.macho import Macho, MachPlatform, read_macho
from runtime.image.os_brand import read_brand
from runtime.image.pe import DOS_MAGIC, Pe, PeMachine, read_pe
from runtime.platforms import Platform, platform_named

__all__ = [
    "Image",
    "ImageFormatError",
    "NotAnImageError",
    "NotEmbeddableError",
    "UnsignedImageError",
    "linux_platform_name",
    "read_image",
]

# The machines in the names of platforms.
_ELF_MACHINES: dict[int, str] = {Machine.X86_64: "amd64", Machine.AARCH64: "arm64"}
_MACHO_MACHINES: dict[int, str] = {CpuType.X86_64: "amd64", CpuType.ARM64: "arm64"}


@dataclass(frozen=True, slots=True)
class Image:
    """A native program and the platform it is for."""

    platform: Platform
    headers: Elf | Pe | Macho


def read_image(data: bytes | memoryview) -> Image:
    """Read the headers of the native program DATA and find its platform.

    Raises:
        NotAnImageError: DATA is not a native program, or not for any of the platforms.
        ImageFormatError: it is damaged, or of an unsupported variety.
    """
    if bytes(data[:4]) == ELF_MAGIC:
        elf = read_elf(data)
        return Image(_elf_platform(data, elf), elf)
    if bytes(data[:2]) == DOS_MAGIC:
        pe = read_pe(data)
        return Image(_pe_platform(pe), pe)
    if is_macho(data):
        macho = read_macho(data)
        return Image(_macho_platform(macho), macho)
    raise NotAnImageError(f"not a native program (ELF, PE or Mach-O): it begins with {bytes(data[:8])!r}")


def linux_platform_name(machine: int) -> str | None:
    """Return the name of the Linux platform whose programs have this e_machine, or None."""
    name = _ELF_MACHINES.get(machine)
    return f"linux-{name}" if name else None


def _elf_platform(data: bytes | memoryview, elf: Elf) -> Platform:
    system = read_brand(data, elf).system
    machine = _ELF_MACHINES.get(elf.header.machine)
    if machine is None:
        raise NotAnImageError(f"an ELF program for a machine we do not build for (e_machine {elf.header.machine})")
    try:
        return platform_named(f"{system.lower()}-{machine}")
    except UnknownPlatformError:
        raise NotAnImageError(f"an ELF program for {system} on {machine}, which we do not build for") from None


def _pe_platform(pe: Pe) -> Platform:
    if pe.coff.machine != PeMachine.AMD64:
        raise NotAnImageError(f"a Windows program for a machine we do not build for (Machine {pe.coff.machine:#x})")
    return platform_named("windows-amd64")


def _macho_platform(macho: Macho) -> Platform:
    if macho.platform not in (MachPlatform.MACOS, None):
        raise NotAnImageError(f"a Mach-O program for a system we do not build for (platform {macho.platform})")
    return platform_named(f"macos-{_MACHO_MACHINES[macho.header.cputype]}")
