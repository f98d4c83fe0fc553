"""The part of a runtime for GPUs: members of its archive, which nothing reads until a GPU is asked for.

Programs for macOS have no members for GPUs: all of ggml-metal is in the program.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from runtime.builder.cache import cached, digest_of
from runtime.builder.engine import build_engine
from runtime.builder.gpu_platform import gpu_program
from runtime.builder.program import Program, link_program, program_key, program_name, shim_sources
from runtime.builder.vulkan.build import SHADERS_NAME, build_library, build_shaders, shaders_key
from runtime.builder.vulkan.headers import headers_key, vulkan_notices
from runtime.builder.zstd import compress
from zipalign import Member

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runtime.builder.compilation import Progress
    from runtime.builder.toolchain import Toolchain
    from runtime.platforms import Platform

__all__ = [
    "FOLDER_NAME",
    "build_gpu_part",
    "gpu_member_names",
    "gpu_members",
    "gpu_part_key",
    "has_gpu_members",
    "has_gpu_part",
]

# The prefix of the members' names, and the folder beside a program that holds their files.
FOLDER_NAME: Final = "gpu"
_NOTICES_NAME: Final = "NOTICES.txt"


def has_gpu_part(platform: Platform) -> bool:
    """Say whether runtimes for PLATFORM can compute on GPUs."""
    return has_gpu_members(platform) or platform.system == "Darwin"


def has_gpu_members(platform: Platform) -> bool:
    """Say whether members of the archive are a part of that."""
    return gpu_program(platform) is not None or platform.system == "Windows"


def gpu_part_key(platform: Platform, tools: Toolchain) -> str:
    """Return its cache key."""
    second = gpu_program(platform)
    parts = [shaders_key(tools), headers_key(), _NOTICES_NAME]
    return digest_of([*parts, program_key(Program(second, has_vulkan=True), tools) if second else ""])


def build_gpu_part(platform: Platform, tools: Toolchain, progress: Progress | None = None) -> Path:
    """Return the folder with the members: the shaders, licences and, on Linux, the second program.

    Raises:
        BuildError: an input is missing, or a tool failed.
    """

    def fill(folder: Path) -> None:
        second = gpu_program(platform)
        if second:
            content = _build_second(second, tools, progress).read_bytes()
            (folder / f"{platform.name}.zst").write_bytes(compress(content))
        shutil.copyfile(build_shaders(tools, progress) / SHADERS_NAME, folder / SHADERS_NAME)
        (folder / _NOTICES_NAME).write_text(vulkan_notices(), encoding="utf-8")

    return cached("gpu", gpu_part_key(platform, tools), fill)


def _build_second(platform: Platform, tools: Toolchain, progress: Progress | None) -> Path:
    program = Program(platform, has_vulkan=True)
    done, total = 0, len(shim_sources(program)) + 2

    def link(folder: Path) -> None:
        # Half of the library's time is that of one file: beside the engine, it leaves no processor idle.
        with ThreadPoolExecutor(1) as pool:
            library = pool.submit(build_library, platform, tools)
            engine = build_engine(platform, tools, progress)

        def step_done() -> None:
            nonlocal done
            done += 1
            if progress:
                progress(done, total)

        link_program(program, tools, engine, library.result(), folder, step_done)

    return cached("program", program_key(program, tools), link) / program_name(platform)


def gpu_members(program: Path) -> list[Member]:
    """Return what goes into the archive of PROGRAM for GPUs: the files that lie beside it, if there are any."""
    folder = program.with_name(FOLDER_NAME)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [Member(f"{FOLDER_NAME}/{path.name}", path) for path in files]


def gpu_member_names(names: Iterable[str]) -> list[str]:
    """Return those of NAMES that are of the part for GPUs."""
    return [name for name in names if name.startswith(f"{FOLDER_NAME}/")]
