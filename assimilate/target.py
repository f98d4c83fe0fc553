"""Which native program a file is to become."""

from __future__ import annotations

from typing import Final

from runtime.errors import UnknownPlatformError
from runtime.image.elf import Machine
from runtime.platforms import ImageFormat, Platform, host_platform, platform_named

__all__ = ["AMD64", "ARM64", "WINDOWS", "machine_of", "target_for"]

AMD64: Final = "amd64"
ARM64: Final = "arm64"
WINDOWS: Final = "windows-amd64"  # an APE with a program for it is a PE file as it is

_MACHINES: Final = {AMD64: Machine.X86_64, ARM64: Machine.AARCH64}
_SYSTEMS: Final = {ImageFormat.MACHO: "macos", ImageFormat.PE: "windows"}


def target_for(image_format: ImageFormat | None, machine: str | None) -> Platform:
    """Return the platform that a format and a machine (AMD64 or ARM64) mean on this computer.

    What is not given is this computer's own; Windows programs are for amd64 unless told otherwise.

    Raises:
        UnknownPlatformError: there is no such platform.
    """
    if image_format is None or (machine is None and image_format != ImageFormat.PE):
        host = host_platform()
        image_format = image_format or host.image_format
        machine = machine or _machine_name(host)
    return platform_named(f"{_system(image_format)}-{machine or AMD64}")


def machine_of(platform: Platform) -> Machine:
    """Return the machine that a platform's ELF programs name in e_machine."""
    return _MACHINES[_machine_name(platform)]


def _system(image_format: ImageFormat) -> str:
    if image_format in _SYSTEMS:
        return _SYSTEMS[image_format]
    try:
        host = host_platform()
    except UnknownPlatformError:  # another computer's program may be made on any
        return "linux"
    return host.name.partition("-")[0] if host.image_format == ImageFormat.ELF else "linux"


def _machine_name(platform: Platform) -> str:
    return platform.name.partition("-")[2]
