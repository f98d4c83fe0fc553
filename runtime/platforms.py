"""The table of the platforms that a llamafile runs on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from runtime.errors import UnknownPlatformError

__all__ = ["PLATFORMS", "Evidence", "ImageFormat", "Launch", "Platform", "host_platform", "platform_named"]


class ImageFormat(StrEnum):
    """The native executable format of a platform."""

    ELF = "elf"
    PE = "pe"
    MACHO = "macho"


class Launch(StrEnum):
    """How the native image inside an APE is started."""

    MAPPED = "mapped"  # the loader maps it from its place in the file
    PE = "pe"  # the file itself is the Windows program
    UNPACKED = "unpacked"  # copied once into a private cache, then executed


class Evidence(StrEnum):
    """How images for a platform are tested."""

    NATIVE = "run natively"
    QEMU = "run under qemu-user"
    WINE = "run under wine64"
    STRUCTURE = "checked, never run"


@dataclass(frozen=True, slots=True)
class Platform:
    """One operating system on one machine."""

    name: str  # as users write it, `linux-amd64`
    zig_target: str  # zig's triple, with the oldest supported system where zig takes one
    cpu: str  # zig's -mcpu: the oldest supported processor
    system: str  # CMAKE_SYSTEM_NAME
    processor: str  # CMAKE_SYSTEM_PROCESSOR, as `uname -m` prints it
    image_format: ImageFormat
    launch: Launch
    evidence: Evidence


_X86_64: Final = "x86_64+sse3+ssse3"  # every 64-bit Intel since 2006, AMD since 2011
_ARM64: Final = "generic+v8a"

PLATFORMS: Final = (
    Platform(
        "linux-amd64", "x86_64-linux-musl", _X86_64, "Linux", "x86_64", ImageFormat.ELF, Launch.MAPPED, Evidence.NATIVE
    ),
    Platform(
        "linux-arm64", "aarch64-linux-musl", _ARM64, "Linux", "aarch64", ImageFormat.ELF, Launch.MAPPED, Evidence.QEMU
    ),
    Platform(
        "windows-amd64", "x86_64-windows-gnu", _X86_64, "Windows", "AMD64", ImageFormat.PE, Launch.PE, Evidence.WINE
    ),
    Platform(
        "macos-arm64",
        "aarch64-macos.13.0",
        "apple_m1",
        "Darwin",
        "arm64",
        ImageFormat.MACHO,
        Launch.UNPACKED,
        Evidence.STRUCTURE,
    ),
    Platform(
        "macos-amd64",
        "x86_64-macos.13.0",
        _X86_64,
        "Darwin",
        "x86_64",
        ImageFormat.MACHO,
        Launch.UNPACKED,
        Evidence.STRUCTURE,
    ),
    Platform(
        "freebsd-amd64",
        "x86_64-freebsd",
        _X86_64,
        "FreeBSD",
        "amd64",
        ImageFormat.ELF,
        Launch.UNPACKED,
        Evidence.STRUCTURE,
    ),
    Platform(
        "netbsd-amd64",
        "x86_64-netbsd",
        _X86_64,
        "NetBSD",
        "amd64",
        ImageFormat.ELF,
        Launch.UNPACKED,
        Evidence.STRUCTURE,
    ),
    Platform(
        "openbsd-amd64",
        "x86_64-openbsd",
        _X86_64,
        "OpenBSD",
        "amd64",
        ImageFormat.ELF,
        Launch.UNPACKED,
        Evidence.STRUCTURE,
    ),
)


def platform_named(name: str) -> Platform:
    """Return the platform called NAME; `host` is the present machine.

    Raises:
        UnknownPlatformError: no platform has that name.
    """
    if name == "host":
        return host_platform()
    for platform in PLATFORMS:
        if platform.name == name:
            return platform
    raise UnknownPlatformError(name, tuple(platform.name for platform in PLATFORMS))


def host_platform() -> Platform:
    """Return the platform of the present machine.

    Raises:
        UnknownPlatformError: the table lacks it.
    """
    import platform as this_machine  # noqa: PLC0415  # elsewhere, the name is a variable

    system, machine = this_machine.system(), this_machine.machine().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    system = {"Darwin": "macos"}.get(system, system.lower())
    return platform_named(f"{system}-{machine}")
