from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import time
import tomllib
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NoReturn

import pytest

from runtime import VERSION
from runtime.builder import build as build_module
from runtime.builder import engine, toolchain
from runtime.builder.artifacts import ZSTANDARD_SDIST
from runtime.builder.build import Build, build, builds_in_cache, is_gpu_part_in_cache
from runtime.builder.cache import digest_of
from runtime.builder.compilation import run_tool
from runtime.builder.engine import build_engine, engine_key, engine_source
from runtime.builder.gpu_part import gpu_part_key
from runtime.builder.notices import collect_notices
from runtime.builder.program import Program, program_key
from runtime.builder.toolchain import TOOLS, compiler_flags, find_toolchain
from runtime.errors import CompileError, PagesError, ToolchainError
from runtime.platforms import PLATFORMS, platform_named
from tests.conftest import tool

if TYPE_CHECKING:
    from runtime.builder.compilation import Progress

ROOT = Path(__file__).parents[3]


def test_the_version_is_the_projects() -> None:
    assert importlib.metadata.version("llamafile-toolchain") == VERSION


def test_the_tools_are_the_ones_the_extra_names() -> None:
    """And the compressor, whose version is that of the decompressor's source, and the writer of our own wheels."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*(f"{name}=={version}" for name, version in TOOLS.items()), f"zstandard=={ZSTANDARD_SDIST.version}"]
    wanted += configuration["build-system"]["requires"]
    assert sorted(configuration["project"]["optional-dependencies"]["build"]) == sorted(wanted)


def test_another_version_of_a_tool_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOOLS, "ziglang", "0.1.0")
    with pytest.raises(ToolchainError, match=r"ziglang has version .* \(expected 0\.1\.0\)"):
        find_toolchain()


def test_a_missing_tool_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOOLS, "no-such-distribution", "1")
    with pytest.raises(ToolchainError, match=r"llamafile-toolchain\[build\]"):
        find_toolchain()


def test_every_platform_has_a_key_of_its_own() -> None:
    tools = find_toolchain()
    assert len({engine_key(platform, tools) for platform in PLATFORMS}) == len(PLATFORMS)


@pytest.mark.parametrize("name", ["_HOT", "_COLD"])
def test_the_key_follows_the_options(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    tools, platform = find_toolchain(), PLATFORMS[0]
    before = engine_key(platform, tools)
    monkeypatch.setattr(engine, name, "-O0")
    assert engine_key(platform, tools) != before


def test_flags_carry_no_path_into_the_output() -> None:
    flags = compiler_flags(PLATFORMS[0], [(Path("/somewhere/source"), "engine")])
    assert "-ffile-prefix-map=/somewhere/source=engine" in flags
    assert "-g0" in flags


def test_the_environment_of_tools_is_fixed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CFLAGS", "-march=native")
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    environment = find_toolchain().environment(tmp_path)
    assert "CFLAGS" not in environment
    assert (environment["TZ"], environment["LC_ALL"]) == ("UTC", "C")


def test_a_tool_that_fails_is_quoted() -> None:
    with pytest.raises(CompileError, match="cannot do this") as caught:
        run_tool(["sh", "-c", "echo cannot do this; exit 3"], {"PATH": "/usr/bin:/bin"}, "a test")
    assert caught.value.what == "a test"


def test_steps_of_ninja_are_told() -> None:
    steps: list[tuple[int, int]] = []
    script = "echo '[1/2] one'; echo noise; echo '[2/2] two'"
    run_tool(["sh", "-c", script], {"PATH": "/usr/bin:/bin"}, "a test", lambda done, of: steps.append((done, of)))
    assert steps == [(1, 2), (2, 2)]


def test_an_error_of_the_progress_ends_the_tool() -> None:
    def fail(_done: int, _total: int) -> None:
        raise PagesError("no network")

    script = "echo '[1/2] one'; exec sleep 600"
    started = time.monotonic()
    with pytest.raises(PagesError, match="no network"):
        run_tool(["sh", "-c", script], {"PATH": "/usr/bin:/bin"}, "a test", fail)
    assert time.monotonic() - started < 60


def test_a_page_that_fails_ends_the_compilation(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Event()

    def fail(progress: Progress, _stop: Event) -> NoReturn:
        progress(1, 4)
        begun.wait(60)
        raise PagesError("no network")

    def compile_for_ever(_platform: object, _tools: object, progress: Progress) -> NoReturn:
        begun.set()
        while True:
            progress(1, 2)

    monkeypatch.setattr(build_module, "build_pages", fail)
    monkeypatch.setattr(build_module, "build_engine", compile_for_ever)
    with pytest.raises(PagesError, match="no network"):
        build(platform_named("host"))
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_compilation_that_fails_stops_the_page(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = []

    def wait(progress: Progress, stop: Event) -> NoReturn:
        progress(1, 4)
        stopped.append(stop.wait(60))
        raise PagesError("stopped")

    def fail(*_arguments: object) -> NoReturn:
        raise CompileError("compiling", "no such file")

    monkeypatch.setattr(build_module, "build_pages", wait)
    monkeypatch.setattr(build_module, "build_engine", fail)
    with pytest.raises(CompileError, match="no such file"):
        build(platform_named("host"))
    assert stopped == [True]


@pytest.mark.needs_runtime
@pytest.mark.timeout(1800)  # it compiles the shim twice
def test_a_program_is_the_same_bytes_wherever_it_is_linked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The shim is compiled and linked in two caches with different names, over one engine."""
    platform = platform_named("host")
    shared = build_engine(platform, find_toolchain())
    monkeypatch.setattr(build_module, "build_engine", lambda *_: shared)
    made: list[Build] = []
    for folder in ("one", "another/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder))
        # zig's own libraries need not be compiled again for this.
        monkeypatch.setattr(toolchain, "cache_root", lambda: shared.folder.parents[1])
        made.append(build(platform, with_pages=False, with_gpu=False))
    assert made[0].path != made[1].path
    assert digest_of([made[0].path]) == digest_of([made[1].path])
    assert made[0].notices.read_text() == made[1].notices.read_text()


def test_the_part_for_gpus_is_in_the_cache_or_not(cache: Path) -> None:
    """Both its members and the program count, for one of which a compiler needs minutes."""
    tools = find_toolchain()
    windows, macos, openbsd = map(platform_named, ("windows-amd64", "macos-arm64", "openbsd-amd64"))
    assert not is_gpu_part_in_cache(windows)
    (cache / "gpu" / gpu_part_key(windows, tools)).mkdir(parents=True)
    assert not is_gpu_part_in_cache(windows)
    (cache / "program" / program_key(Program(windows, has_vulkan=True), tools)).mkdir(parents=True)
    assert is_gpu_part_in_cache(windows)
    assert is_gpu_part_in_cache(macos)
    assert not is_gpu_part_in_cache(openbsd)


def test_only_built_platforms_are_found(cache: Path) -> None:
    assert builds_in_cache() == []


def test_a_missing_licence_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"licence of llama\.cpp and ggml"):
        collect_notices(tmp_path, tmp_path, None)


@pytest.mark.slow
def test_the_engine_does_not_see_where_it_is_built(tmp_path: Path) -> None:
    """The engine is compiled by the same commands inside and outside a git repository."""
    repository, outside = tmp_path / "repository", tmp_path / "outside"
    git = [tool("git"), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "init", "--quiet", str(repository)], check=True)
    subprocess.run([*git, "-C", str(repository), "commit", "--quiet", "--allow-empty", "-m", "one"], check=True)
    commands = []
    for folder in (repository, outside):
        source, work = folder / "source", folder / "work"
        shutil.copytree(engine_source(), source)
        work.mkdir()
        engine._configure(platform_named("host"), find_toolchain(), source, work)
        generated = [path for path in sorted(work.rglob("*")) if path.suffix in {".ninja", ".cpp", ".h"}]
        texts = [path.read_text().replace(str(folder), "FOLDER") for path in generated if path.is_file()]
        commands.append(texts)
    assert commands[0] == commands[1]
