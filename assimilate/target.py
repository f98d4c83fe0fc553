"""Which native program a file is to become."""

from __future__ import annotations

from typing import Final

from assimilate.errors import TargetError
from runtime.image.elf import Machine
from runtime.platforms import Platform, platform_named

__all__ = ["WINDOWS", "machine_of", "platform_of", "target_named"]

WINDOWS: Final = "windows-amd64"  # an APE with a program for it is a PE file as it is

# What is started by its first bytes, so that overwriting these makes it native.
_MACHINES: Final = {"linux-amd64": Machine.X86_64, "linux-arm64": Machine.AARCH64}
_TARGETS: Final = (*_MACHINES, WINDOWS)


def target_named(name: str) -> Platform:
    """Return the platform NAME (or `host`) that a file is to become native for.

    Raises:
        UnknownPlatformError: there is no such platform.
        TargetError: no APE becomes native for it.
    """
    platform = platform_named(name)
    if platform.name not in _TARGETS:
        raise TargetError(f"no file is converted for {platform.name} (choose {' or '.join(_TARGETS)} with -t)")
    return platform


def machine_of(platform: Platform) -> Machine:
    """Return the machine of a Linux platform that target_named() returned."""
    return _MACHINES[platform.name]


def platform_of(machine: int) -> str | None:
    """Return the name of the platform whose programs have this e_machine, or None."""
    return next((name for name, known in _MACHINES.items() if known == machine), None)
