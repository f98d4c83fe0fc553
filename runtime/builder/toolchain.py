"""The compiler: zig from PyPI, at one exact version, with the flags of each platform.

Builds are reproducible: the output has no debug information, no absolute paths and no time.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.cache import cache_root, cached, digest_of
from runtime.errors import ToolchainError, ToolMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.platforms import Platform

__all__ = ["TOOLS", "Toolchain", "compiler_flags", "find_toolchain"]

# The distributions of the tools; `pip install llamafile-toolchain[build]` installs exactly these.
TOOLS: Final = {"ziglang": "0.17.1", "cmake": "4.4.4", "ninja": "1.13.2"}


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The paths of the tools."""

    zig: Path
    cmake: Path
    ninja: Path

    @property
    def identity(self) -> str:
        """The versions of the tools, for cache keys."""
        return " ".join(f"{name}=={version}" for name, version in TOOLS.items())

    def environment(self, scratch: Path) -> dict[str, str]:
        """Return the environment of the tools; zig's cache for this build is in SCRATCH."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
        return kept | {
            "LC_ALL": "C",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": "0",
            # All builds share libc, libc++ and compiler-rt, compiled once for each platform. zig compiles them again
            # if the time or inode of a source changed, so all checkouts use the sources of the first one.
            "ZIG_LIB_DIR": str(_shared_sources(self.zig.with_name("lib"))),
            "ZIG_GLOBAL_CACHE_DIR": str(cache_root() / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(scratch / "zig"),
            "NINJA_STATUS": "[%f/%t] ",
        }


def _shared_sources(library: Path) -> Path:
    """Return zig's LIBRARY, in the cache: hard links, and copies where the cache is on another file system."""

    def link(source: str, target: str) -> None:
        with suppress(OSError):
            os.link(source, target)
            return
        shutil.copy2(source, target)

    def fill(folder: Path) -> None:
        shutil.copytree(library, folder / library.name, copy_function=link)

    return cached("zig-library", digest_of([TOOLS["ziglang"]]), fill) / library.name


def find_toolchain() -> Toolchain:
    """Return the tools of this Python environment.

    Raises:
        ToolMissingError: a tool is not installed.
        ToolchainError: a tool has another version.
    """
    for name, expected in TOOLS.items():
        try:
            got = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise ToolMissingError(
                f"{name} {expected} is not installed; run: pip install 'llamafile-toolchain[build]'"
            ) from None
        if got != expected:
            raise ToolchainError(f"{name} has version {got} (expected {expected}); run: pip install {name}=={expected}")
    import cmake  # noqa: PLC0415  # an extra: absent without compilers
    import ninja  # noqa: PLC0415  # the same
    import ziglang  # noqa: PLC0415  # the same

    return Toolchain(
        zig=Path(ziglang.__file__).with_name("zig"),
        cmake=Path(cmake.CMAKE_BIN_DIR) / "cmake",
        ninja=Path(ninja.BIN_DIR) / "ninja",
    )


def compiler_flags(platform: Platform, prefixes: Sequence[tuple[Path, str]]) -> list[str]:
    """Return the flags of all compilations for PLATFORM; PREFIXES are folders with their names in the output."""
    maps = [f"-ffile-prefix-map={folder}={name}" for folder, name in prefixes]
    # By default, zig turns undefined behaviour into traps; the engine is written for compilers that do not.
    return ["-target", platform.zig_target, f"-mcpu={platform.cpu}", "-g0", "-fno-sanitize=undefined", *maps]
