"""Test programs, compiled once for all tests and checkouts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.builder.cache import cached, digest_of
from runtime.builder.compilation import run_tool
from runtime.builder.toolchain import compiler_flags, find_toolchain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.platforms import Platform

__all__ = ["compiled_object", "compiled_program"]


def compiled_program(
    platform: Platform, sources: Sequence[Path], flags: Sequence[str] = (), headers: Sequence[Path] = ()
) -> Path:
    """The program of SOURCES for a platform; HEADERS are those that it includes from outside its folder."""
    toolchain = find_toolchain()
    name = sources[0].stem
    options = [*compiler_flags(platform, []), "-O1", "-s", *flags]

    def fill(folder: Path) -> None:
        compiler = "c++" if sources[0].suffix == ".cpp" else "cc"
        with tempfile.TemporaryDirectory() as scratch:
            run_tool(
                [str(toolchain.zig), compiler, *options, "-o", str(folder / name), *map(str, sources)],
                toolchain.environment(Path(scratch)),
                f"compiling {sources[0].name} for {platform.name}",
            )

    return cached("test-program", digest_of([toolchain.identity, *options, *sources, *headers]), fill) / name


def compiled_object(platform: Platform, source: Path, flags: Sequence[str] = (), headers: Sequence[Path] = ()) -> Path:
    """The object file of a source in C++, with processor flags of its own: zig would compile its libraries for them."""
    toolchain = find_toolchain()
    options = [*compiler_flags(platform, []), *flags]

    def fill(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            run_tool(
                [str(toolchain.zig), "c++", *options, "-c", "-o", str(folder / "object.o"), str(source)],
                toolchain.environment(Path(scratch)),
                f"compiling {source.name} for {platform.name}",
            )

    return cached("test-program", digest_of([toolchain.identity, *options, source, *headers]), fill) / "object.o"
