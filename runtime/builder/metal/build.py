"""Builds ggml-metal for the programs for macOS, without Apple's SDK: sdk/ declares what is used of it.

The frameworks are linked weakly. macOS has them all since long before the oldest version that the programs run on, but
a name that one of them lacks must not keep a program from starting: it is null then, and the CPU computes.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.cache import cached, digest_of
from runtime.builder.compilation import jobs, run_tool
from runtime.builder.engine import engine_source, source_key
from runtime.builder.metal.kernels import assembler_source, kernel_names, kernel_text
from runtime.builder.toolchain import compiler_flags

if TYPE_CHECKING:
    from runtime.builder.toolchain import Toolchain
    from runtime.platforms import Platform

__all__ = ["LINK_FLAGS", "build_library", "library_key"]

_SDK: Final = Path(__file__).with_name("sdk")
_FOLDER: Final = Path("ggml", "src", "ggml-metal")
_SOURCES: Final = (
    "ggml-metal.cpp",
    "ggml-metal-common.cpp",
    "ggml-metal-context.m",
    "ggml-metal-device.cpp",
    "ggml-metal-device.m",
    "ggml-metal-fusion.cpp",
    "ggml-metal-ops.cpp",
    "ggml-metal-tuning.cpp",
)
_INCLUDES: Final = ("ggml/src", "ggml/include")
# Without GGML_METAL_NDEBUG, it lists all GPUs and logs each buffer.
_MACROS: Final = ("-DNDEBUG", "-DGGML_METAL_EMBED_LIBRARY=1", "-DGGML_METAL_NDEBUG=1")
# A call of a method that sdk/ does not declare would compile, with types that are guessed.
_CHECKS: Final = ("-Werror=objc-method-access", "-Werror=incompatible-pointer-types", "-Werror=int-conversion")
_LANGUAGE_FLAGS: Final = {
    ".cpp": ("c++", "-std=c++17", "-O2", *_MACROS),
    ".m": ("cc", "-std=gnu11", "-O2", *_MACROS, *_CHECKS),
}
_ASSEMBLER_NAME: Final = "kernels.S"

# Foundation stands for CoreFoundation and Objective-C's runtime, too: it re-exports them. Nothing of CoreGraphics is
# called, but Metal has no default device in programs that are not linked with it.
_FRAMEWORKS: Final = ("Foundation", "Metal", "CoreGraphics")
# How a program that contains ggml-metal is linked.
LINK_FLAGS: Final = (
    f"-F{_SDK / 'frameworks'}",
    *(flag for framework in _FRAMEWORKS for flag in ("-weak_framework", framework)),
)


def library_key(platform: Platform, tools: Toolchain) -> str:
    """Return the cache key of ggml-metal for PLATFORM, with the names that a program links."""
    flags = [*compiler_flags(platform, []), *_SOURCES, *_INCLUDES, repr(_LANGUAGE_FLAGS)]
    files = [path for path in sorted(_SDK.rglob("*")) if path.is_file()]
    names = [path.relative_to(_SDK).as_posix() for path in files]
    inputs: list[str | Path] = [*_FRAMEWORKS, *names, *files, Path(__file__).with_name("kernels.py")]
    return digest_of([source_key(), tools.identity, *flags, *inputs])


def build_library(platform: Platform, tools: Toolchain) -> list[Path]:
    """Return the object files of ggml-metal for PLATFORM, its kernels included.

    Raises:
        BuildError: an input is missing, or a tool failed.
    """
    source = engine_source()

    def fill(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        environment = tools.environment(work)
        flags = compiler_flags(platform, [(source, "engine"), (_SDK, "sdk"), (work, "build")])
        includes = [f"-isystem{path}" for path in (_SDK / "include", *(source / name for name in _INCLUDES))]

        def compile_source(name: str) -> None:
            file = source / _FOLDER / name
            language, *options = _LANGUAGE_FLAGS[file.suffix]
            command = [str(tools.zig), language, *flags, *options, *includes]
            target = folder / f"{name.replace('.', '-')}.o"  # two sources differ in their suffixes alone
            run_tool([*command, "-c", str(file), "-o", str(target)], environment, f"compiling {name}")

        with ThreadPoolExecutor(jobs()) as pool:
            list(pool.map(compile_source, _SOURCES))
        command = [str(tools.zig), "cc", *flags, f"-I{work}", "-c", str(_write_kernels(source, work))]
        run_tool([*command, "-o", str(folder / "kernels.o")], environment, "assembling the kernels of ggml-metal")
        shutil.rmtree(work)

    return sorted(cached("metal", library_key(platform, tools), fill).glob("*.o"))


def _write_kernels(source: Path, folder: Path) -> Path:
    """Write the kernels' texts into FOLDER; return the assembler source that contains them."""
    names = kernel_names(source)
    for name in names:
        (folder / f"{name}.metal").write_text(kernel_text(source, name), encoding="utf-8")
    assembler = folder / _ASSEMBLER_NAME
    assembler.write_text(assembler_source(names), encoding="utf-8")
    return assembler
