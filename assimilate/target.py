"""The target platform of a conversion."""

from __future__ import annotations

from typing import Final

from runtime.errors import UnknownPlatformError
from runtime.image.elf import Machine
from runtime.platforms import ImageFormat, Platform, host_platform, platform_named

__all__ = ["AMD64", "ARM64", "WINDOWS", "machine_of", "target_for"]

AMD64: Final = "amd64"
ARM64: Final = "arm64"
WINDOWS: Final = "windows-amd64"  # an APE with a program for it is a PE file already

_MACHINES: Final = {AMD64: Machine.X86_64, ARM64: Machine.AARCH64}
_SYSTEMS: Final = {ImageFormat.MACHO: "macos", ImageFormat.PE: "windows"}


def target_for(image_format: ImageFormat | None, machine: str | None) -> Platform:
    """Return the platform for a format and a machine (AMD64 or ARM64).

    The defaults are those of this computer; the default machine of Windows programs is amd64.

    Raises:
        UnknownPlatformError: there is no such platform.
    """
    if image_format is None or (machine is None and image_format != ImageFormat.PE):
        host = host_platform()
        image_format = image_format or host.image_format
        machine = machine or _machine_name(host)
    return platform_named(f"{_system(image_format)}-{machine or AMD64}")


def machine_of(platform: Platform) -> Machine:
    """Return the e_machine of a platform's ELF programs."""
    return _MACHINES[_machine_name(platform)]


def _system(image_format: ImageFormat) -> str:
    if image_format in _SYSTEMS:
        return _SYSTEMS[image_format]
    try:
        host = host_platform()
    except UnknownPlatformError:  # programs for other computers can be made on any
        return "linux"
    return host.name.partition("-")[0] if host.image_format == ImageFormat.ELF else "linux"


def _machine_name(platform: Platform) -> str:
    return platform.name.partition("-")[2]
