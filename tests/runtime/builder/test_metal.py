"""ggml-metal compiled and linked without Apple's SDK. The results are looked at; nothing runs them."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import pytest

from runtime.builder import build as build_module
from runtime.builder.cache import cached, digest_of
from runtime.builder.compilation import run_tool
from runtime.builder.engine import INCLUDES, engine_source
from runtime.builder.gpu_part import has_gpu_members, has_gpu_part
from runtime.builder.metal.build import LINK_FLAGS, build_library, library_key
from runtime.builder.metal.kernels import assembler_source, kernel_names, kernel_text
from runtime.builder.program import Program, program_key, shim_flags, shim_sources
from runtime.builder.toolchain import compiler_flags, find_toolchain
from runtime.errors import CompileError
from runtime.image.load_commands import BuildVersion
from runtime.image.macho import read_macho
from runtime.platforms import PLATFORMS, platform_named

SDK: Final = Path(LINK_FLAGS[0].removeprefix("-F")).parent
PLATFORM: Final = platform_named("macos-arm64")
FRAMEWORKS: Final = (
    "/System/Library/Frameworks/CoreGraphics.framework/Versions/A/CoreGraphics",
    "/System/Library/Frameworks/Foundation.framework/Versions/C/Foundation",
    "/System/Library/Frameworks/Metal.framework/Versions/A/Metal",
)
STARTER: Final = "int main(void) { return 0; }\n"
# Names that ggml-metal and the shim's file leave to the engine's libraries, other files, and C++'s library.
OTHERS: Final = re.compile(r"_ggml_|_gguf_|__Z|___cxa_|___gxx_personality_v0$")
FOLDER: Final = "ggml/src/ggml-metal"


@pytest.fixture(scope="module")
def program() -> Path:
    """A small program with ggml-metal and the shim's file for it; names of others stay undefined."""
    tools, objects = find_toolchain(), build_library(PLATFORM, find_toolchain())
    with_metal = Program(PLATFORM, has_metal=True)
    (shim,) = (path for path in shim_sources(with_metal) if path.stem == "gpu_metal")

    def fill(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            environment, source, shim_object = tools.environment(Path(scratch)), Path(scratch, "a.c"), f"{scratch}/b.o"
            source.write_text(STARTER)
            includes = [f"-isystem{engine_source() / name}" for name in INCLUDES]
            command = [str(tools.zig), "c++", *shim_flags(with_metal), *includes, "-c", str(shim), "-o", shim_object]
            run_tool(command, environment, "compiling the shim's file for Metal")
            command = [str(tools.zig), "cc", *compiler_flags(PLATFORM, []), str(source), shim_object, "-s"]
            options = [*LINK_FLAGS, "-Wl,-undefined,dynamic_lookup", "-o", str(folder / "starter")]
            run_tool([*command, *map(str, objects), *options], environment, "linking a program with ggml-metal")

    key = digest_of([library_key(PLATFORM, tools), STARTER, shim, *sorted(shim.parent.glob("*.h"))])
    return cached("test-program", key, fill) / "starter"


def bindings(program: Path) -> dict[str | None, dict[str, bool]]:
    """The names that dyld resolves in each library, None for those that any may have, and whether they may lack."""
    import lief

    fat: Any = lief.MachO.parse(str(program))
    names: dict[str | None, dict[str, bool]] = defaultdict(dict)
    for binding in fat.at(0).bindings:
        library = binding.library.name if binding.has_library else None
        names[library][binding.symbol.name] = binding.weak_import
    return names


def declared(framework: str) -> set[str]:
    """The symbols in the stub of a framework."""
    text = (SDK / "frameworks" / f"{framework}.framework" / f"{framework}.tbd").read_text()
    lists = {key: re.findall(r"\w+", names) for key, names in re.findall(r"([\w-]+): \[([^]]*)\]", text)}
    return {*lists.get("symbols", []), *(f"_OBJC_CLASS_$_{name}" for name in lists.get("objc-classes", []))}


@pytest.mark.needs_compiler
def test_the_program_starts_without_the_frameworks(program: Path) -> None:
    macho = read_macho(program.read_bytes())
    assert macho.dylibs == ("/usr/lib/libSystem.B.dylib",)
    assert tuple(sorted(macho.weak_dylibs)) == FRAMEWORKS
    (version,) = macho.of_kind(BuildVersion)
    assert version.minos == 13 << 16  # frameworks raise no minimum
    for framework in FRAMEWORKS[1:]:
        assert set(bindings(program)[framework].values()) == {True}, framework


@pytest.mark.needs_compiler
def test_the_stubs_have_the_names_that_are_used_and_no_others(program: Path) -> None:
    names = bindings(program)
    assert set(names[FRAMEWORKS[1]]) == declared("Foundation")
    assert set(names[FRAMEWORKS[2]]) == declared("Metal")
    assert [name for name in names[None] if not OTHERS.match(name)] == []
    assert declared("CoreGraphics") == set()


@pytest.mark.needs_compiler
def test_the_kernels_are_in_the_program_as_text(program: Path) -> None:
    content, source = program.read_bytes(), engine_source()
    for name in kernel_names(source):
        assert kernel_text(source, name).encode() in content, name


@pytest.mark.needs_compiler
def test_a_method_that_the_headers_lack_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A new engine may call others; the compiler would guess their types."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "source" / FOLDER
    folder.mkdir(parents=True)
    (folder / "new.m").write_text("#import <Metal/Metal.h>\nvoid f(id<MTLDevice> d) { [d newThing]; }\n")
    monkeypatch.setattr("runtime.builder.metal.build.engine_source", lambda: tmp_path / "source")
    monkeypatch.setattr("runtime.builder.metal.build._SOURCES", ("new.m",))
    with pytest.raises(CompileError, match="'-newThing' not found"):
        build_library(PLATFORM, find_toolchain())


def test_the_kernels_are_those_of_the_engines_own_build() -> None:
    source = engine_source()
    listed = re.findall(r"^ +kernels/(\w+)\.metal$", (source / FOLDER / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert sorted(kernel_names(source)) == sorted(listed)


def test_kernels_need_no_other_file() -> None:
    source = engine_source()
    for name in kernel_names(source):
        text = kernel_text(source, name)
        assert re.findall(r'#include "|__embed|#pragma once', text) == [], name
        assert "kernel void" in text or "kernel_" in text, name
    assert kernel_text(source, "mul_mm").count("} block_q4_0;") == 1


def with_kernels(root: Path, kernels: dict[str, str]) -> Path:
    for name, text in kernels.items():
        (root / FOLDER / "kernels" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / FOLDER / "kernels" / name).write_text(text)
    return root


def test_an_included_file_is_inserted_once(tmp_path: Path) -> None:
    kernels = {
        "a.metal": '#include "b.h"\n#include "c.h"\n#include <metal_stdlib>\na\n',
        "b.h": '#pragma once\n#include "c.h"\nb\n',
        "c.h": '#pragma once\n__embed_d.h__\n#include "d.h"\nc\n',
        "../../d.h": "d\n",
    }
    (tmp_path / FOLDER / "kernels").mkdir(parents=True)
    assert kernel_text(with_kernels(tmp_path, kernels), "a") == "d\nc\nb\n#include <metal_stdlib>\na\n"


@pytest.mark.parametrize(
    ("files", "reason"),
    [({"a.metal": '#include "b.h"\n'}, r"has b\.h"), ({"../ggml-metal-device.m": "int x;\n"}, "GGML_METAL_LIBS")],
)
def test_an_engine_with_other_files_is_refused(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    (tmp_path / FOLDER / "kernels").mkdir(parents=True)
    source = with_kernels(tmp_path, files)
    with pytest.raises(CompileError, match=reason):
        kernel_text(source, "a") if "a.metal" in files else kernel_names(source)


def test_a_text_is_between_two_symbols() -> None:
    assert assembler_source(["a"]).splitlines() == [
        ".section __TEXT,__ggml_metallib",
        ".globl _ggml_metallib_a_start",
        "_ggml_metallib_a_start:",
        '.incbin "a.metal"',
        ".globl _ggml_metallib_a_end",
        "_ggml_metallib_a_end:",
    ]


def gpu_sources(program: Program) -> set[str]:
    return {path.stem for path in shim_sources(program) if path.parent.name == "gpu"}


@pytest.mark.parametrize("name", ["macos-arm64", "macos-amd64"])
def test_programs_for_macos_have_metal_unless_built_without(name: str) -> None:
    platform, tools = platform_named(name), find_toolchain()
    with_gpu, without = (build_module._Parts(with_pages=False, with_gpu=gpu) for gpu in (True, False))
    program, plain = with_gpu.program_of(platform), without.program_of(platform)
    assert (program, plain) == (Program(platform, has_metal=True), Program(platform))
    assert (has_gpu_part(platform), has_gpu_members(platform)) == (True, False)
    common = {"device", "gpu", "gpu_info", "selection"}
    assert (gpu_sources(program), gpu_sources(plain)) == (common | {"gpu_metal"}, common | {"gpu_none"})
    assert set(shim_flags(program)) - set(shim_flags(plain)) == {"-DLLAMAFILE_METAL"}
    assert program_key(program, tools) != program_key(plain, tools)


def test_no_other_program_has_metal() -> None:
    for platform in (platform for platform in PLATFORMS if platform.system != "Darwin"):
        program = build_module._Parts(with_pages=False, with_gpu=True).program_of(platform)
        assert not program.has_metal
        assert "gpu_metal" not in gpu_sources(program)


@pytest.mark.parametrize("name", sorted(path.name for path in SDK.rglob("*.*") if path.is_file()))
def test_the_key_follows_each_file_of_the_sdk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(SDK, tmp_path / "sdk")
    monkeypatch.setattr("runtime.builder.metal.build._SDK", copy)
    before = library_key(PLATFORM, find_toolchain())
    (changed,) = copy.rglob(name)
    changed.write_text(changed.read_text() + "\n")
    assert library_key(PLATFORM, find_toolchain()) != before
