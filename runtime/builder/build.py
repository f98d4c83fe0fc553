"""The runtime of one platform: the engine with our shim around it, linked into one native program, and the web page."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from runtime.builder.build_record import FILE_NAME as RECORD_NAME
from runtime.builder.build_record import current_build_record
from runtime.builder.cache import cache_root, cached, digest_of
from runtime.builder.engine import build_engine
from runtime.builder.gpu_part import FOLDER_NAME as GPU_NAME
from runtime.builder.gpu_part import build_gpu_part, gpu_part_key, has_gpu_members, has_gpu_part
from runtime.builder.metal.build import build_library as build_metal
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from runtime.builder.program import Program, link_program, program_key, program_name, shim_sources
from runtime.builder.toolchain import find_toolchain
from runtime.builder.vulkan.build import build_library as build_vulkan
from runtime.builder.webui.build import FOLDER_NAME as PAGES_NAME
from runtime.builder.webui.build import Pages, build_pages, pages_key
from runtime.platforms import PLATFORMS, Platform

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from runtime.builder.compilation import Progress
    from runtime.builder.toolchain import Toolchain

__all__ = ["Build", "build", "builds_in_cache", "is_gpu_part_in_cache"]


@dataclass(frozen=True, slots=True)
class Build:
    """A runtime that exists."""

    platform: Platform
    key: str
    path: Path

    @property
    def notices(self) -> Path:
        """The licence texts that must go where the program goes."""
        return self.path.with_name(NOTICES_NAME)


def build(
    platform: Platform,
    progress: Progress | None = None,
    pages_progress: Progress | None = None,
    gpu_progress: Progress | None = None,
    *,
    with_pages: bool = True,
    with_gpu: bool = True,
) -> Build:
    """Return the runtime for PLATFORM, compiled if the cache does not hold it.

    Without pages it has no web page, and Node is not needed. The page is built beside the program: fetching its
    packages keeps the network busy, compiling the processor. Without the part for GPUs, it computes on the CPU alone.
    PROGRESS is told the steps done and the steps of all, first with none done; PAGES_PROGRESS is told those of the
    page, from another thread, and GPU_PROGRESS those of the part for GPUs, after the program.

    Raises:
        BuildError: an input is missing or a tool failed; no partial result is left behind.
    """
    tools = find_toolchain()
    with_gpu = with_gpu and has_gpu_part(platform)
    parts = _Parts(with_pages=with_pages, with_gpu=with_gpu)
    program = parts.program_of(platform)

    def gather(folder: Path) -> None:
        with _PagesBeside(pages_progress) if with_pages else nullcontext() as pages:

            def link(folder: Path) -> None:
                backend = _build_backend(program, tools, gpu_progress)
                steps = _Steps(len(shim_sources(program)) + 2, progress, pages)
                steps.of_engine(0, 0)
                engine = build_engine(platform, tools, steps.of_engine)
                link_program(program, tools, engine, backend, folder, steps.one_of_ours)

            built = cached("program", program_key(program, tools), link)
            gpu_part = build_gpu_part(platform, tools, gpu_progress) if parts.has_members(platform) else None
            _gather(built, pages.result() if pages else None, gpu_part, folder)
            (folder / RECORD_NAME).write_bytes(record)

    record = current_build_record().pack()
    key = parts.key_of(platform, tools, record)
    return Build(platform, key, cached("runtime", key, gather) / program_name(platform))


def _build_backend(program: Program, tools: Toolchain, progress: Progress | None) -> list[Path]:
    """Return the object files of the code for GPUs in PROGRAM."""
    if program.has_metal:
        return build_metal(program.platform, tools)
    return build_vulkan(program.platform, tools, progress) if program.has_vulkan else []


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a runtime consists of beside its program."""

    with_pages: bool
    with_gpu: bool

    def program_of(self, platform: Platform) -> Program:
        """Return the program for PLATFORM: on Linux, another one computes on GPUs."""
        has_vulkan, has_metal = (self.with_gpu and platform.system == system for system in ("Windows", "Darwin"))
        return Program(platform, has_vulkan=has_vulkan, has_metal=has_metal)

    def has_members(self, platform: Platform) -> bool:
        """Say whether the archive of the runtime for PLATFORM has members for GPUs."""
        return self.with_gpu and has_gpu_members(platform)

    def key_of(self, platform: Platform, tools: Toolchain, record: bytes) -> str:
        """Return the cache key of the runtime for PLATFORM, with the build record RECORD."""
        keys = [program_key(self.program_of(platform), tools), pages_key() if self.with_pages else ""]
        return digest_of([*keys, *([gpu_part_key(platform, tools)] if self.has_members(platform) else []), record])


def builds_in_cache() -> list[Build]:
    """Return the runtimes of the present sources that are compiled already, in the order of the platform table.

    Where there is one with the web page and one without, it is the one with it.

    Raises:
        ToolchainError: the tools that their keys name are not installed.
    """
    tools, record = find_toolchain(), current_build_record().pack()
    found = []
    for platform in PLATFORMS:
        for with_gpu in (True, False) if has_gpu_part(platform) else (False,):
            keys = [
                _Parts(with_pages=pages, with_gpu=with_gpu).key_of(platform, tools, record) for pages in (True, False)
            ]
            paths = [cache_root() / "runtime" / key / program_name(platform) for key in keys]
            builds = [Build(platform, key, path) for key, path in zip(keys, paths, strict=True) if path.is_file()]
            if builds:
                found.append(builds[0])
                break
    return found


def is_gpu_part_in_cache(platform: Platform) -> bool:
    """Say whether the part for GPUs of the runtime for PLATFORM is built already.

    Raises:
        ToolchainError: the tools that its key names are not installed.
    """
    tools = find_toolchain()
    parts = _Parts(with_pages=False, with_gpu=has_gpu_part(platform))
    if not parts.has_members(platform):
        return parts.with_gpu  # Metal needs no time
    is_linked = (cache_root() / "program" / program_key(parts.program_of(platform), tools)).is_dir()
    return is_linked and (cache_root() / "gpu" / gpu_part_key(platform, tools)).is_dir()


class _PagesBeside:
    """The web page, built in another thread as long as the block lasts; left by an exception, the block stops it.

    The block is entered after the page's first step, which fails where there is no network.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._stop, self._begun = Event(), Event()
        self._progress = progress
        self._pool = ThreadPoolExecutor(1)
        self._pages = self._pool.submit(build_pages, self._show, self._stop)
        self._pages.add_done_callback(lambda _: self._begun.set())

    def _show(self, done: int, total: int) -> None:
        self._begun.set()
        if self._progress:
            self._progress(done, total)

    def __enter__(self) -> Self:
        try:
            self._begun.wait()
        except BaseException:
            self._stop.set()
            raise
        self.raise_failure()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def raise_failure(self) -> None:
        """Raise the error that the page ended with, if it did."""
        if self._pages.done():
            self._pages.result()

    def result(self) -> Pages:
        """Return the page, once it is built."""
        return self._pages.result()


class _Steps:
    """The steps of engine and shim as one count; those of the engine are known once its build begins."""

    def __init__(self, ours: int, progress: Progress | None, pages: _PagesBeside | None) -> None:
        self._ours = ours
        self._progress = progress
        self._pages = pages
        self._done = 0
        self._total = ours

    def of_engine(self, done: int, total: int) -> None:
        self._tell(done, total + self._ours)

    def one_of_ours(self) -> None:
        self._tell(self._done + 1, self._total)

    def _tell(self, done: int, total: int) -> None:
        self._done, self._total = done, total
        if self._pages:
            self._pages.raise_failure()  # now, instead of minutes later
        if self._progress:
            self._progress(done, total)


def _gather(program: Path, pages: Pages | None, gpu_part: Path | None, folder: Path) -> None:
    """Bring together what belongs together: the files of the entry PROGRAM, PAGES, and GPU_PART."""
    for file in program.iterdir():
        _hard_link(file, folder / file.name)
    if pages:
        shutil.copytree(pages.site, folder / PAGES_NAME, copy_function=_hard_link)
    if gpu_part:
        shutil.copytree(gpu_part, folder / GPU_NAME, copy_function=_hard_link)


def _hard_link(source: Path | str, target: Path | str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system has them
        shutil.copy2(source, target)
