"""The engine: llama.cpp's libraries for one platform, compiled once and kept in the cache."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.artifacts import ENGINE_SDIST, download, unpack_engine
from runtime.builder.cache import cached, digest_of
from runtime.builder.compilation import jobs, run_tool
from runtime.builder.cpu_variants import variants_of
from runtime.builder.engine_patches import PATCHES
from runtime.builder.patches import apply_patches, patches_key
from runtime.builder.toolchain import Toolchain, compiler_flags
from runtime.platforms import ImageFormat, Platform

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "INCLUDES",
    "LIBRARIES",
    "STANDARD_HEADERS",
    "Engine",
    "build_engine",
    "engine_key",
    "engine_source",
    "source_key",
]

_HOOKS: Final = Path(__file__).parents[1] / "shim" / "hooks"
# Compiled before what includes most of it: the engine's C++ here, and the shim.
STANDARD_HEADERS: Final = Path(__file__).with_name("cmake") / "standard.h"
# The files of the CMake project: their names there, and their sources.
_PROJECT: Final = {
    "CMakeLists.txt": Path(__file__).with_name("cmake") / "CMakeLists.txt",
    "hooks.h": _HOOKS / "hooks.h",
    "member_file.h": _HOOKS / "member_file.h",
    "standard.h": STANDARD_HEADERS,
    "pages/ui.h": _HOOKS / "webui" / "ui.h",
    # The installed packages have no C++ and import this module: a folder that is missing has no files.
    **{f"kernels/{file.name}": file for file in sorted((Path(__file__).parents[1] / "kernels").glob("*.*"))},
}
_SYMBOL_PREFIX: Final = Path(__file__).with_name("symbol_prefix.py")

# zig maps -O1, -O2 and -O3 to one level, so the hot code passes -O3 to clang directly. Measurements:
# docs/decisions/building.md.
_HOT: Final = "-O2;SHELL:-Xclang -O3"
_COLD: Final = "-Os"

_OPTIONS: Final = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_C_FLAGS_RELEASE": "-DNDEBUG",
    "CMAKE_CXX_FLAGS_RELEASE": "-DNDEBUG",
    "BUILD_SHARED_LIBS": "OFF",
    # Or the commit of whatever repository the cache happens to lie in becomes part of the library.
    "CMAKE_DISABLE_FIND_PACKAGE_Git": "ON",
    "GIT_EXE": "",
    "GIT_EXECUTABLE": "",
    "GGML_ACCELERATE": "OFF",
    "GGML_BLAS": "OFF",
    "GGML_BUILD_COMMIT": ENGINE_SDIST.version,
    "GGML_CCACHE": "OFF",
    "GGML_METAL": "OFF",
    "GGML_NATIVE": "OFF",
    "GGML_OPENMP": "OFF",
    "LLAMA_ALL_WARNINGS": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_COMMIT": ENGINE_SDIST.version,
    "LLAMA_BUILD_COMMON": "ON",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_NUMBER": "0",
    "LLAMA_BUILD_SERVER": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
}

# In the order that a linker wants them: a library stands before those it calls. Those of the variants follow.
LIBRARIES: Final = (
    "llama-bench-impl",
    "llama-imatrix-impl",
    "llama-perplexity-impl",
    "llama-quantize-impl",
    "llama-tokenize-impl",
    "llama-cli-impl",
    "llama-server-impl",
    "server-context",
    "mtmd",
    "llama-common",
    "llama-common-base",
    "cpp-httplib",
    "vendor-hash",
    "llama",
    "ggml",
    "ggml-cpu",
    "ggml-base",
)

# Where the engine's headers are, from the root of its source.
INCLUDES: Final = (
    "include", "ggml/include", "ggml/src", "common", "tools/server", "tools/cli", "tools/mtmd", "vendor", ".",
)  # fmt: skip  # a list


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine of one platform: its libraries and the source that its headers are in."""

    key: str
    platform: Platform
    source: Path
    folder: Path

    @property
    def libraries(self) -> list[Path]:
        """The static libraries in link order."""
        variants = [f"ggml-cpu-{variant.name}" for variant in variants_of(self.platform)]
        *others, base = LIBRARIES
        return [self.folder / f"lib{name}.a" for name in (*others, *variants, base)]

    @property
    def includes(self) -> list[Path]:
        """The folders of the headers."""
        return [self.source / folder for folder in INCLUDES]


def engine_source() -> Path:
    """Return the engine's source tree, downloaded, checked, patched and kept in the cache.

    Raises:
        ArtifactError, AnchorError, CacheError: see there; nothing half-made is left behind.
    """

    def unpack(folder: Path) -> None:
        unpack_engine(download(ENGINE_SDIST), folder)
        apply_patches(folder, PATCHES)

    return cached("source", source_key(), unpack)


def source_key() -> str:
    """Return the cache key of the engine's source."""
    return digest_of([ENGINE_SDIST.sha256, patches_key(PATCHES)])


def engine_key(platform: Platform, tools: Toolchain) -> str:
    """Return the cache key of the engine for PLATFORM: it changes with everything that its bytes depend on."""
    target = [platform.zig_target, platform.cpu, platform.system, platform.processor]
    flags = compiler_flags(platform, [])
    variants = repr(variants_of(platform))
    # With their names: a file that is renamed or moved is another input.
    files = [part for name, file in _PROJECT.items() for part in (name, file)]
    settings = [*target, *flags, variants, repr(_OPTIONS), _HOT, _COLD]
    return digest_of([source_key(), tools.identity, *settings, *files, _SYMBOL_PREFIX])


def build_engine(platform: Platform, tools: Toolchain, progress: Callable[[int, int], None] | None = None) -> Engine:
    """Return the engine for PLATFORM, compiled if the cache does not hold it.

    PROGRESS is told the steps done and the steps of all.

    Raises:
        CompileError: a tool said no; nothing is left behind.
    """
    source = engine_source()
    key = engine_key(platform, tools)

    def compile_into(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        _configure(platform, tools, source, work)
        run_tool(
            [str(tools.ninja), "-C", str(work), "-j", str(jobs()), "engine"],
            tools.environment(work),
            f"compiling the engine for {platform.name}",
            progress,
        )
        for library in work.rglob("*.a"):
            shutil.move(library, folder / f"lib{library.stem.removeprefix('lib')}.a")
        shutil.rmtree(work)

    return Engine(key, platform, source, cached("engine", key, compile_into))


def _configure(platform: Platform, tools: Toolchain, source: Path, work: Path) -> None:
    project = work / "project"
    for name, file in _PROJECT.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, project / name)
    # CMake links small programs to identify the compiler, and zig compiles libc and libc++ for the first of them.
    # Without -s, which the runtime is linked with, it would do so twice, once with debug information.
    flags = [*compiler_flags(platform, [(source, "engine"), (work, "build")]), "-s"]
    options = _OPTIONS | {
        "CMAKE_SYSTEM_NAME": platform.system,
        "CMAKE_SYSTEM_PROCESSOR": platform.processor,
        "CMAKE_MAKE_PROGRAM": str(tools.ninja),
        "CMAKE_C_COMPILER": f"{tools.zig};cc",
        "CMAKE_CXX_COMPILER": f"{tools.zig};c++",
        "CMAKE_C_FLAGS": " ".join(flags),
        "CMAKE_CXX_FLAGS": " ".join(flags),
        # CMake wants programs here, and zig's are sub-commands of one.
        "CMAKE_AR": str(_sub_command(tools.zig, "ar", work)),
        "CMAKE_RANLIB": str(_sub_command(tools.zig, "ranlib", work)),
        "ENGINE_HOT": _HOT,
        "ENGINE_COLD": _COLD,
        "LLAMA_SOURCE": str(source),
        "CPU_VARIANTS": ";".join(
            f"{variant.name}={variant.cpu}={variant.amx_cpu}" for variant in variants_of(platform)
        ),
        "SYMBOL_PREFIX": f"{sys.executable};{_SYMBOL_PREFIX}",
    }
    if platform.image_format is ImageFormat.MACHO:
        options["CMAKE_INSTALL_NAME_TOOL"] = "true"  # CMake asks for it on Darwin; nothing is installed
    command = [str(tools.cmake), "-G", "Ninja", "-S", str(project), "-B", str(work)]
    command += [f"-D{name}={value}" for name, value in options.items()]
    run_tool(command, tools.environment(work), f"configuring the engine for {platform.name}")


def _sub_command(zig: Path, name: str, folder: Path) -> Path:
    script = folder / f"zig-{name}"
    script.write_text(f'#!/bin/sh\nexec "{zig}" {name} "$@"\n')
    script.chmod(0o755)
    return script
