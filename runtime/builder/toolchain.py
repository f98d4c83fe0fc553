"""The compiler: zig from PyPI, at one exact version, with the flags of each platform.

The same inputs give the same bytes wherever they are built: no debug information, no absolute path, no time of day.
"""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.cache import cache_root
from runtime.errors import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.platforms import Platform

__all__ = ["TOOLS", "Toolchain", "compiler_flags", "find_toolchain"]

# The distributions that compile; `pip install llamafile-toolchain[build]` brings exactly these.
TOOLS: Final = {"ziglang": "0.17.1", "cmake": "4.4.4", "ninja": "1.13.2"}


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Where the tools are."""

    zig: Path
    cmake: Path
    ninja: Path

    @property
    def identity(self) -> str:
        """What a cache key says of the tools."""
        return " ".join(f"{name}=={version}" for name, version in TOOLS.items())

    def environment(self, scratch: Path) -> dict[str, str]:
        """Return the environment to run the tools in; zig keeps what it compiles for this build alone in SCRATCH."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
        return kept | {
            "LC_ALL": "C",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": "0",
            # libc, libc++ and compiler-rt are compiled once for each platform and shared by all builds.
            "ZIG_GLOBAL_CACHE_DIR": str(cache_root() / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(scratch / "zig"),
            "NINJA_STATUS": "[%f/%t] ",
        }


def find_toolchain() -> Toolchain:
    """Return the tools of this Python environment.

    Raises:
        ToolchainError: one is missing, or has another version than the pinned one.
    """
    for name, expected in TOOLS.items():
        try:
            got = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise ToolchainError(
                f"{name} {expected} is not installed; run: pip install 'llamafile-toolchain[build]'"
            ) from None
        if got != expected:
            raise ToolchainError(f"{name} has version {got} (expected {expected}); run: pip install {name}=={expected}")
    import cmake  # noqa: PLC0415  # an extra: absent where nothing is compiled
    import ninja  # noqa: PLC0415  # the same
    import ziglang  # noqa: PLC0415  # the same

    return Toolchain(
        zig=Path(ziglang.__file__).with_name("zig"),
        cmake=Path(cmake.CMAKE_BIN_DIR) / "cmake",
        ninja=Path(ninja.BIN_DIR) / "ninja",
    )


def compiler_flags(platform: Platform, prefixes: Sequence[tuple[Path, str]]) -> list[str]:
    """Return the flags that every compiler run for PLATFORM gets; PREFIXES say how folders are called in the output."""
    maps = [f"-ffile-prefix-map={folder}={name}" for folder, name in prefixes]
    # zig turns undefined behaviour into traps unless told not to; the engine is written for compilers that do not.
    return ["-target", platform.zig_target, f"-mcpu={platform.cpu}", "-g0", "-fno-sanitize=undefined", *maps]
