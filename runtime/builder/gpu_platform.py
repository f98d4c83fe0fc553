"""The program for GPUs: on Linux, drivers need the system's C library, so it is a second, dynamic program.

The program in the APE is static, and runs wherever there is a kernel. On Windows, one program does both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runtime.platforms import Platform

__all__ = ["gpu_program", "is_gpu_program"]

_SUFFIX: Final = "-gpu"
# The oldest C library that it runs with: that of Debian 10 and RHEL 8.
_TARGETS: Final = {"linux-amd64": "x86_64-linux-gnu.2.28", "linux-arm64": "aarch64-linux-gnu.2.28"}
# Where there is a GPU, the CPU computes what does not fit into its memory, and a processor beside it is not older; the
# static program checks (shim/gpu/gpu_linux.cpp).
_CPUS: Final = {"linux-amd64": "x86_64_v3"}


def gpu_program(platform: Platform) -> Platform | None:
    """Return the target of PLATFORM's second program; None if it has none."""
    target = _TARGETS.get(platform.name)
    if target is None:
        return None
    cpu = _CPUS.get(platform.name, platform.cpu)
    return replace(platform, name=platform.name + _SUFFIX, zig_target=target, cpu=cpu)


def is_gpu_program(platform: Platform) -> bool:
    """Say whether PLATFORM is the target of a second program."""
    return platform.name.endswith(_SUFFIX)
