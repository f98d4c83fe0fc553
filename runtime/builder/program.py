"""One native program: the shim, compiled and linked with the engine, and with its code for GPUs if it uses them."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime import VERSION
from runtime.builder.artifacts import ENGINE_SDIST, ZSTANDARD_SDIST
from runtime.builder.cache import digest_of
from runtime.builder.compilation import jobs, run_tool
from runtime.builder.engine import LIBRARIES, STANDARD_HEADERS, Engine, engine_key
from runtime.builder.gpu_platform import is_gpu_program
from runtime.builder.metal.build import LINK_FLAGS as METAL_FLAGS
from runtime.builder.metal.build import library_key as metal_key
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from runtime.builder.notices import collect_notices
from runtime.builder.toolchain import Toolchain, compiler_flags
from runtime.builder.vulkan.build import library_key as vulkan_key
from runtime.builder.vulkan.headers import vulkan_headers
from runtime.builder.zstd import SOURCE_NAME as ZSTD_NAME
from runtime.builder.zstd import zstd_source
from runtime.image.embedding import IMAGE_BASE
from runtime.platforms import PLATFORMS, ImageFormat, Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Program", "header_folders", "link_program", "program_key", "program_name", "shim_flags", "shim_sources"]

_SHIM: Final = Path(__file__).parents[1] / "shim"
_FLAGS: Final = ("-std=c++20", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
_ZSTD_FLAGS: Final = ("-O2", "-DNDEBUG", "-DZSTD_LEGACY_SUPPORT=0", "-ffunction-sections", "-fdata-sections")
# The systems of a source whose name ends with _SUFFIX; other sources are for all systems.
_POSIX: Final = {platform.system for platform in PLATFORMS} - {"Windows"}
_SYSTEMS: Final = {
    "posix": _POSIX,
    "linux": {"Linux"},
    "macos": {"Darwin"},
    "bsd": {"FreeBSD", "NetBSD"},
    "openbsd": {"OpenBSD"},
    "windows": {"Windows"},
}
_GPU_FOLDER: Final = _SHIM / "gpu"
_WITHOUT_GPU: Final = "gpu_none"
# Of programs that have a child look for GPUs (shim/gpu/probe.h), and inflate members of their archive.
_WITH_PROBE: Final = {"child_posix", "child_windows", "inflate", "probe"}
_SYSTEM_LIBRARIES: Final = {
    ImageFormat.PE: ("-lws2_32", "-lcrypt32", "-ladvapi32", "-lshell32", "-lapi-ms-win-core-synch-l1-2-0")
}


@dataclass(frozen=True, slots=True)
class Program:
    """A program to build: its platform, and whether it contains ggml-vulkan or ggml-metal."""

    platform: Platform
    has_vulkan: bool = False
    has_metal: bool = False

    @property
    def uses_vulkan(self) -> bool:
        """Whether it uses GPUs by Vulkan: itself, or through a second program."""
        return self.has_vulkan or self.platform.system == "Linux"


def program_name(platform: Platform) -> str:
    """Return the name of the file of a program for PLATFORM."""
    return "llamafile.exe" if platform.image_format is ImageFormat.PE else "llamafile"


def shim_sources(program: Program) -> list[Path]:
    """Return the shim's source files for PROGRAM."""
    return [source for source in sorted(_SHIM.rglob("*.cpp")) if _is_part_of(program, source)]


def _is_part_of(program: Program, source: Path) -> bool:
    if source.parent == _GPU_FOLDER and source.stem == _WITHOUT_GPU:
        return not program.uses_vulkan and not program.has_metal
    if source.parent == _GPU_FOLDER and source.stem in _WITH_PROBE and not program.uses_vulkan:
        return False
    suffix = source.stem.rpartition("_")[2]
    if suffix in _backends(program):
        return _backends(program)[suffix]
    return program.platform.system in _SYSTEMS.get(suffix, {program.platform.system})


def _backends(program: Program) -> dict[str, bool]:
    """Return the suffixes of sources that are for one kind of GPU code each, and whether PROGRAM has it."""
    return {"vulkan": program.has_vulkan, "metal": program.has_metal}


def shim_flags(program: Program, renamed: Sequence[tuple[Path, str]] = ()) -> list[str]:
    """Return the options to compile a source of the shim, without those for the headers of others.

    The program contains the names in RENAMED instead of these folders.
    """
    flags = compiler_flags(program.platform, renamed)
    # The engine's HTTP layer, which the shim compiles, includes the header of the web pages by its bare name.
    folders = (f"-I{_SHIM}", f"-I{_SHIM / 'hooks' / 'webui'}")
    return [*flags, *_FLAGS, *_macros(program), *folders]


def _macros(program: Program) -> list[str]:
    macros = [f'-DLLAMAFILE_VERSION="{_version_text(program.platform)}"']
    macros += [f"-DLLAMAFILE_{name.upper()}" for name, is_part in _backends(program).items() if is_part]
    return [*macros, *(["-DLLAMAFILE_FEW_VARIANTS"] if is_gpu_program(program.platform) else [])]


def _version_text(platform: Platform) -> str:
    return f"{VERSION} (llama.cpp of {ENGINE_SDIST.distribution} {ENGINE_SDIST.version}, {platform.name})"


def header_folders(program: Program) -> list[Path]:
    """Return the folders of the headers that the shim of PROGRAM includes, beside the engine's.

    Raises:
        ArtifactError: they cannot be downloaded.
    """
    folders = [zstd_source()] if program.uses_vulkan else []
    return [*folders, *([vulkan_headers()] if program.has_vulkan else [])]


def _unit_name(source: Path) -> str:
    """Return the name of the object file of SOURCE: two folders may hold files of the same name."""
    return "-".join(source.relative_to(_SHIM).with_suffix("").parts)


def program_key(program: Program, tools: Toolchain) -> str:
    """Return the cache key of PROGRAM."""
    platform = program.platform
    files = [*shim_sources(program), *sorted(_SHIM.rglob("*.h"))]
    names = [file.relative_to(_SHIM).as_posix() for file in files]
    flags = [*compiler_flags(platform, []), *_FLAGS, *_macros(program), *_link_flags(platform), *LIBRARIES]
    parts: list[str | Path] = [engine_key(platform, tools), *flags, STANDARD_HEADERS]
    parts += [Path(__file__).with_name("notices.py")]
    parts += [ZSTANDARD_SDIST.sha256, *_ZSTD_FLAGS] if program.uses_vulkan else []
    parts += [vulkan_key(platform, tools)] if program.has_vulkan else []
    parts += [metal_key(platform, tools)] if program.has_metal else []
    return digest_of([*parts, *names, *files])


def link_program(
    program: Program,
    tools: Toolchain,
    engine: Engine,
    backend: Sequence[Path],
    folder: Path,
    step_done: Callable[[], None],
) -> None:
    """Compile the shim and link PROGRAM into FOLDER, with the licence texts of its parts.

    BACKEND are the object files of its code for GPUs, if it has such code.

    Raises:
        CompileError: a tool failed.
    """
    work = folder / "work"
    work.mkdir()
    renamed = [(engine.source, "engine"), (_SHIM, "shim"), (work, "build")]
    includes = [*engine.includes, *header_folders(program)]
    objects = _compile(program, tools, [*shim_flags(program, renamed), *_system(includes)], work, step_done)
    objects += [_compile_zstd(program, tools, renamed, work)] if program.uses_vulkan else []
    target = folder / program_name(program.platform)
    inputs = [*map(str, objects), *map(str, backend), *map(str, engine.libraries)]
    flags = compiler_flags(program.platform, renamed)
    options = [*_link_flags(program.platform), *(METAL_FLAGS if program.has_metal else ())]
    run_tool(
        [str(tools.zig), "c++", *flags, *inputs, *options, "-o", str(target)],
        tools.environment(work),
        f"linking the runtime for {program.platform.name}",
    )
    step_done()
    shutil.rmtree(work)
    for by_product in folder.iterdir():
        if by_product != target:  # zig leaves a .pdb or an import library beside a Windows program
            by_product.unlink()
    zstd = zstd_source() if program.uses_vulkan else None
    (folder / NOTICES_NAME).write_text(collect_notices(engine.source, tools.zig.parent, zstd), encoding="utf-8")


def _system(includes: Sequence[Path]) -> list[str]:
    return [f"-isystem{include}" for include in includes]


def _compile(
    program: Program, tools: Toolchain, flags: list[str], work: Path, step_done: Callable[[], None]
) -> list[Path]:
    compiler, environment = [str(tools.zig), "c++"], tools.environment(work)
    headers = work / "standard.pch"
    run_tool(
        [*compiler, *flags, "-x", "c++-header", str(STANDARD_HEADERS), "-o", str(headers)],
        environment,
        "compiling the standard library's headers",
    )
    step_done()
    flags = [*flags, "-include-pch", str(headers)]

    def compile_source(source: Path) -> Path:
        target = work / f"{_unit_name(source)}.o"
        run_tool([*compiler, *flags, "-c", str(source), "-o", str(target)], environment, f"compiling {source}")
        return target

    objects = []
    with ThreadPoolExecutor(jobs()) as pool:
        for compiled in pool.map(compile_source, shim_sources(program)):
            objects.append(compiled)
            step_done()
    return objects


def _compile_zstd(program: Program, tools: Toolchain, renamed: Sequence[tuple[Path, str]], work: Path) -> Path:
    source, target = zstd_source() / ZSTD_NAME, work / "zstd.o"
    flags = [*compiler_flags(program.platform, [*renamed, (source.parent, "zstd")]), *_ZSTD_FLAGS]
    command = [str(tools.zig), "cc", *flags, "-c", str(source), "-o", str(target)]
    run_tool(command, tools.environment(work), "compiling zstd")
    return target


def _link_flags(platform: Platform) -> list[str]:
    flags = ["-s"]
    if platform.image_format is not ImageFormat.MACHO:
        flags.append("-Wl,--gc-sections")  # leaves out the half of zstd that compresses
    if is_gpu_program(platform):
        flags += ["-ldl", "-lpthread", "-lm"]  # libraries of their own until glibc 2.34
    elif platform.system == "Linux":
        flags += ["-static", f"-Wl,--image-base={IMAGE_BASE:#x}"]
    if platform.cpu.startswith("x86_64") and platform.image_format is not ImageFormat.MACHO:
        flags.append("-Wl,--entry=llamafile_entry")  # which checks the processor (shim/cpu/entry.h)
    return flags + list(_SYSTEM_LIBRARIES.get(platform.image_format, ()))
