"""The runtime of one platform: the engine with our shim around it, linked into one native program, and the web page."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from runtime import VERSION
from runtime.builder.artifacts import ENGINE_SDIST
from runtime.builder.cache import cache_root, cached, digest_of
from runtime.builder.compilation import jobs, run_tool
from runtime.builder.engine import LIBRARIES, STANDARD_HEADERS, Engine, build_engine, engine_key
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from runtime.builder.notices import collect_notices
from runtime.builder.toolchain import Toolchain, compiler_flags, find_toolchain
from runtime.builder.webui.build import FOLDER_NAME as PAGES_NAME
from runtime.builder.webui.build import Pages, build_pages, pages_key
from runtime.image.embedding import IMAGE_BASE
from runtime.platforms import PLATFORMS, ImageFormat, Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from runtime.builder.compilation import Progress

__all__ = ["Build", "build", "builds_in_cache", "shim_flags", "shim_sources"]


_SHIM: Final = Path(__file__).parents[1] / "shim"
_FLAGS: Final = ("-std=c++20", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
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
_SYSTEM_LIBRARIES: Final = {
    ImageFormat.PE: ("-lws2_32", "-lcrypt32", "-ladvapi32", "-lshell32", "-lapi-ms-win-core-synch-l1-2-0")
}


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
    *,
    with_pages: bool = True,
) -> Build:
    """Return the runtime for PLATFORM, compiled if the cache does not hold it.

    Without pages it has no web page, and Node is not needed. The page is built beside the program: fetching its
    packages keeps the network busy, compiling the processor. PROGRESS is told the steps done and the steps of all,
    first with none done; PAGES_PROGRESS is told those of the page, from another thread.

    Raises:
        BuildError: an input is missing or a tool failed; no partial result is left behind.
    """
    tools = find_toolchain()
    program_key = _program_key(platform, tools)

    def gather(folder: Path) -> None:
        with _PagesBeside(pages_progress) if with_pages else nullcontext() as pages:

            def link(folder: Path) -> None:
                steps = _Steps(len(shim_sources(platform)) + 2, progress, pages)
                steps.of_engine(0, 0)
                engine = build_engine(platform, tools, steps.of_engine)
                _link(platform, tools, engine, folder, steps.one_of_ours)

            program = cached("program", program_key, link)
            _gather(program, pages.result() if pages else None, folder)

    key = _key(program_key, with_pages=with_pages)
    return Build(platform, key, cached("runtime", key, gather) / _program_name(platform))


def builds_in_cache() -> list[Build]:
    """Return the runtimes of the present sources that are compiled already, in the order of the platform table.

    Where there is one with the web page and one without, it is the one with it.

    Raises:
        ToolchainError: the tools that their keys name are not installed.
    """
    tools = find_toolchain()
    found = []
    for platform in PLATFORMS:
        program_key = _program_key(platform, tools)
        for key in (_key(program_key, with_pages=True), _key(program_key, with_pages=False)):
            path = cache_root() / "runtime" / key / _program_name(platform)
            if path.is_file():
                found.append(Build(platform, key, path))
                break
    return found


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


def _program_name(platform: Platform) -> str:
    return "llamafile.exe" if platform.image_format is ImageFormat.PE else "llamafile"


def shim_sources(platform: Platform) -> list[Path]:
    """Return the shim's source files for PLATFORM."""
    return [
        source
        for source in sorted(_SHIM.rglob("*.cpp"))
        if platform.system in _SYSTEMS.get(source.stem.rpartition("_")[2], {platform.system})
    ]


def shim_flags(platform: Platform, renamed: Sequence[tuple[Path, str]] = ()) -> list[str]:
    """Return the options to compile a source of the shim, without those for the engine's headers.

    The program contains the names in RENAMED instead of these folders.
    """
    flags = compiler_flags(platform, renamed)
    # The engine's HTTP layer, which the shim compiles, includes the header of the web pages by its bare name.
    folders = (f"-I{_SHIM}", f"-I{_SHIM / 'hooks' / 'webui'}")
    return [*flags, *_FLAGS, f'-DLLAMAFILE_VERSION="{_version_text(platform)}"', *folders]


def _unit_name(source: Path) -> str:
    """Return the name of the object file of SOURCE: two folders may hold files of the same name."""
    return "-".join(source.relative_to(_SHIM).with_suffix("").parts)


def _key(program_key: str, *, with_pages: bool) -> str:
    return digest_of([program_key, pages_key() if with_pages else ""])


def _program_key(platform: Platform, tools: Toolchain) -> str:
    files = [*shim_sources(platform), *sorted(_SHIM.rglob("*.h"))]
    names = [file.relative_to(_SHIM).as_posix() for file in files]
    flags = [*compiler_flags(platform, []), *_FLAGS, *_link_flags(platform), *LIBRARIES]
    notices = Path(__file__).with_name("notices.py")
    parts: list[str | Path] = [engine_key(platform, tools), *flags, _version_text(platform), notices, STANDARD_HEADERS]
    return digest_of([*parts, *names, *files])


def _version_text(platform: Platform) -> str:
    return f"{VERSION} (llama.cpp of {ENGINE_SDIST.distribution} {ENGINE_SDIST.version}, {platform.name})"


def _link(platform: Platform, tools: Toolchain, engine: Engine, folder: Path, step_done: Callable[[], None]) -> None:
    work = folder / "work"
    work.mkdir()
    renamed = [(engine.source, "engine"), (_SHIM, "shim"), (work, "build")]
    flags = compiler_flags(platform, renamed)
    compile_flags = [*shim_flags(platform, renamed), *(f"-isystem{include}" for include in engine.includes)]
    compiler = [str(tools.zig), "c++"]
    environment = tools.environment(work)
    headers = work / "standard.pch"
    run_tool(
        [*compiler, *compile_flags, "-x", "c++-header", str(STANDARD_HEADERS), "-o", str(headers)],
        environment,
        "compiling the standard library's headers",
    )
    step_done()
    compile_flags += ["-include-pch", str(headers)]

    def compile_source(source: Path) -> Path:
        target = work / f"{_unit_name(source)}.o"
        run_tool([*compiler, *compile_flags, "-c", str(source), "-o", str(target)], environment, f"compiling {source}")
        return target

    objects = []
    with ThreadPoolExecutor(jobs()) as pool:
        for compiled in pool.map(compile_source, shim_sources(platform)):
            objects.append(compiled)
            step_done()
    program = folder / _program_name(platform)
    inputs = [*map(str, objects), *map(str, engine.libraries)]
    run_tool(
        [*compiler, *flags, *inputs, *_link_flags(platform), "-o", str(program)],
        environment,
        f"linking the runtime for {platform.name}",
    )
    step_done()
    shutil.rmtree(work)
    for by_product in folder.iterdir():
        if by_product != program:  # zig leaves a .pdb or an import library beside a Windows program
            by_product.unlink()
    (folder / NOTICES_NAME).write_text(collect_notices(engine.source, tools.zig.parent), encoding="utf-8")


def _gather(program: Path, pages: Pages | None, folder: Path) -> None:
    """Bring together what belongs together: the files of the entry PROGRAM, and PAGES."""
    for file in program.iterdir():
        _hard_link(file, folder / file.name)
    if pages:
        shutil.copytree(pages.site, folder / PAGES_NAME, copy_function=_hard_link)


def _hard_link(source: Path | str, target: Path | str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system has them
        shutil.copy2(source, target)


def _link_flags(platform: Platform) -> list[str]:
    flags = ["-s"]
    if platform.system == "Linux":
        flags += ["-static", f"-Wl,--image-base={IMAGE_BASE:#x}"]
    if platform.cpu.startswith("x86_64") and platform.image_format is not ImageFormat.MACHO:
        flags.append("-Wl,--entry=llamafile_entry")  # which checks the processor (shim/cpu/entry.h)
    return flags + list(_SYSTEM_LIBRARIES.get(platform.image_format, ()))
