"""The loaders: small freestanding programs that map a Linux image from its place in an APE (sources: loader/).

One is compiled for each Linux platform, with the pinned zig, into the cache; the result is reproducible.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.cache import cached, digest_of
from runtime.builder.compilation import run_tool
from runtime.builder.toolchain import compiler_flags, find_toolchain
from runtime.errors import ToolchainError
from runtime.image.embedding import LOADER_START
from runtime.installed import installed_loader
from runtime.platforms import Launch

if TYPE_CHECKING:
    from runtime.platforms import Platform

__all__ = ["LOADER_SIZE_MAX", "compiled_loader", "loader_bytes"]

LOADER_SIZE_MAX: Final = 16384

_SOURCES: Final = Path(__file__).parents[1] / "loader"
_NAME: Final = "ape"
_FLAGS: Final = (
    "-std=c11", "-Oz", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wstrict-prototypes",
    "-ffreestanding", "-fno-builtin", "-nostdlib", "-static", "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
    # Position-independent code linked for one address: no relocations, and no limit to the low 2 GiB.
    "-fPIC", "-fvisibility=hidden", "-no-pie", f"-Wl,--image-base={LOADER_START:#x}",
    # The largest page size of any machine, so that the loader starts on all of them.
    "-Wl,-z,max-page-size=65536", "-Wl,-z,norelro", "-Wl,--gc-sections", "-Wl,--build-id=none", "-s",
)  # fmt: skip  # grouped by purpose


def loader_bytes(platform: Platform) -> bytes:
    """Return the loader for a Linux platform: the installed one, or one compiled into the cache.

    Raises:
        RuntimeVersionError, RuntimeDamagedError: the installed ones cannot be used.
        ToolchainError: zig is missing or has another version, or the platform has no loader.
        CompileError: the compilation fails.
        CacheError: the cache cannot be written.
    """
    if platform.launch != Launch.MAPPED:
        raise ToolchainError(f"there is no loader for {platform.name}: its programs are not mapped")
    installed = installed_loader(platform)
    return compiled_loader(platform) if installed is None else installed


def compiled_loader(platform: Platform) -> bytes:
    """Return the loader for a Linux platform, compiled into the cache.

    Raises:
        ToolchainError, CompileError, CacheError: as for loader_bytes().
    """
    toolchain = find_toolchain()
    sources = sorted(path for path in _SOURCES.iterdir() if path.suffix in {".c", ".h", ".S"})
    units = [path for path in sources if path.suffix == ".c"]
    units.append(_SOURCES / f"start-{platform.processor}.S")

    def compile_into(folder: Path) -> None:
        flags = compiler_flags(platform, [(_SOURCES, "loader")])
        with tempfile.TemporaryDirectory(prefix="ape-loader-") as scratch:
            run_tool(
                [str(toolchain.zig), "cc", *flags, *_FLAGS, "-o", str(folder / _NAME), *map(str, units)],
                toolchain.environment(Path(scratch)),
                f"compiling the loader for {platform.name}",
            )

    # The flags contain the path of the sources only to remove it from the result: it is not part of the key.
    key = digest_of(
        [
            toolchain.identity,
            *compiler_flags(platform, []),
            *_FLAGS,
            *(part for path in sources for part in (path.name, path)),
        ]
    )
    return (cached("loader", key, compile_into) / _NAME).read_bytes()
