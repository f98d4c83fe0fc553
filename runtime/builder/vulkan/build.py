"""Builds ggml-vulkan: the shaders once for all systems, the library for each program that contains it."""

from __future__ import annotations

import platform as this_machine
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.artifacts import SLANGPY_WHEELS, download
from runtime.builder.cache import cached, digest_of
from runtime.builder.compilation import jobs, run_tool
from runtime.builder.engine import engine_source, source_key
from runtime.builder.toolchain import compiler_flags
from runtime.builder.vulkan.glslang import Compiler
from runtime.builder.vulkan.headers import headers_key, vulkan_headers
from runtime.builder.vulkan.shaders import (
    FEATURES,
    assembler_source,
    compile_shaders,
    join_modules,
    list_shaders,
)
from runtime.builder.zstd import compress
from runtime.errors import ArtifactError

if TYPE_CHECKING:
    from runtime.builder.compilation import Progress
    from runtime.builder.toolchain import Toolchain
    from runtime.platforms import Platform

__all__ = ["SHADERS_NAME", "build_library", "build_shaders", "library_key", "shaders_key"]

SHADERS_NAME: Final = "shaders.zst"
_HEADER_NAME: Final = "ggml-vulkan-shaders.hpp"
_ASSEMBLER_NAME: Final = "shaders.S"
_COMPILER_LIBRARY: Final = "slangpy/libslang-glslang-2026.12.so"
_FOLDER: Final = Path("ggml", "src", "ggml-vulkan")
_SOURCES: Final = ("ggml-vulkan.cpp", "ggml-vulkan-buffers.cpp", "ggml-vulkan-debug.cpp")
_INCLUDES: Final = ("ggml/src", "ggml/include", str(_FOLDER))
_FLAGS: Final = ("-std=c++17", "-Os", "-DNDEBUG", *(f"-D{feature}" for feature in FEATURES))
# Listing, joining and compressing count as many steps as they take time, compared with one shader.
_OTHER_STEPS: Final = 400


def shaders_key(tools: Toolchain) -> str:
    """Return the cache key of the shaders."""
    here = Path(__file__)
    sources = [here.with_name(name) for name in ("shaders.py", "glslang.py")]
    wheels = [wheel.sha256 for wheel in SLANGPY_WHEELS.values()]
    return digest_of([source_key(), tools.identity, *wheels, *sources, here.parents[1] / "zstd.py"])


def library_key(platform: Platform, tools: Toolchain) -> str:
    """Return the cache key of ggml-vulkan for PLATFORM."""
    flags = [*compiler_flags(platform, []), *_FLAGS, *_SOURCES, *_INCLUDES]
    return digest_of([shaders_key(tools), headers_key(), *flags])


def build_shaders(tools: Toolchain, progress: Progress | None = None) -> Path:
    """Return the folder of the shaders, their header and their assembler source.

    Raises:
        BuildError: the compiler cannot be had, or refuses a shader.
    """
    source = engine_source()

    def fill(folder: Path) -> None:
        compiler = _shader_compiler(folder)
        work = folder / "work"
        work.mkdir()
        shaders, header = list_shaders(source, tools, work)
        done = 0

        def step_done() -> None:
            nonlocal done
            done += 1
            if progress:
                progress(done, len(shaders) + _OTHER_STEPS)

        modules = join_modules(compile_shaders(source, shaders, compiler, step_done))
        (folder / _HEADER_NAME).write_text(header, encoding="utf-8")
        (folder / _ASSEMBLER_NAME).write_text(assembler_source(header, modules), encoding="utf-8")
        (folder / SHADERS_NAME).write_bytes(compress(modules.content))
        for name in ("work", "slangpy"):
            shutil.rmtree(folder / name)

    return cached("shaders", shaders_key(tools), fill)


def _shader_compiler(folder: Path) -> Compiler:
    """Unpack the library below FOLDER, and load it.

    Raises:
        ArtifactError: this machine has none, or it cannot be downloaded.
    """
    wheel = SLANGPY_WHEELS.get(this_machine.machine()) if this_machine.system() == "Linux" else None
    if wheel is None:
        raise ArtifactError("the shader compiler exists for Linux on amd64 and arm64 only: build with --no-gpu")
    with zipfile.ZipFile(download(wheel)) as archive:
        return Compiler(Path(archive.extract(_COMPILER_LIBRARY, folder)))


def build_library(platform: Platform, tools: Toolchain, progress: Progress | None = None) -> list[Path]:
    """Return the object files of ggml-vulkan for PLATFORM.

    PROGRESS is that of the shaders, which take most of the time.

    Raises:
        BuildError: an input is missing, or a tool failed.
    """
    source, headers, shaders = engine_source(), vulkan_headers(), build_shaders(tools, progress)
    includes = (*(source / name for name in _INCLUDES), shaders, headers)

    def fill(folder: Path) -> None:
        flags = compiler_flags(platform, [(source, "engine"), (shaders, "shaders"), (headers, "headers")])
        environment = tools.environment(folder / "work")
        options = [*flags, *_FLAGS, *(f"-isystem{include}" for include in includes)]

        def compile_source(file: Path) -> None:
            target = folder / f"{file.stem}.o"
            command = [str(tools.zig), "c++" if file.suffix == ".cpp" else "cc"]
            extra = options if file.suffix == ".cpp" else flags
            run_tool([*command, *extra, "-c", str(file), "-o", str(target)], environment, f"compiling {file.name}")

        (folder / "work").mkdir()
        with ThreadPoolExecutor(jobs()) as pool:
            files = [*(source / _FOLDER / name for name in _SOURCES), shaders / _ASSEMBLER_NAME]
            list(pool.map(compile_source, files))
        shutil.rmtree(folder / "work")

    folder = cached("vulkan", library_key(platform, tools), fill)
    return sorted(folder.glob("*.o"))
