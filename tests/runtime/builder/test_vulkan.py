"""The parts of ggml-vulkan that are made before it is compiled."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
import zstandard

from runtime.builder import debian, zstd
from runtime.builder.artifacts import NODE_WHEELS, SLANGPY_WHEELS, ZSTANDARD_SDIST, _target_options
from runtime.builder.cpu_variants import variants_of
from runtime.builder.gpu_part import gpu_member_names, gpu_members
from runtime.builder.gpu_platform import gpu_program
from runtime.builder.program import Program, shim_sources
from runtime.builder.vulkan.glslang import Shader, source_text
from runtime.builder.vulkan.headers import PACKAGES, vulkan_headers, vulkan_notices
from runtime.builder.vulkan.shaders import _shader_of, assembler_source, join_modules, without_names
from runtime.errors import ArtifactError, ToolchainError
from runtime.platforms import PLATFORMS, platform_named

if TYPE_CHECKING:
    from pathlib import Path

HEADER = """\
#include <cstdint>

extern const uint64_t copy_len;
extern const unsigned char copy_data[];

extern const uint64_t mul_mat_vec_q4_len;
extern const unsigned char mul_mat_vec_q4_data[];

extern const void * arr_dmmv_q4_data[3];
extern const uint64_t arr_dmmv_q4_len[3];
"""


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def instruction(number: int, *operands: int) -> tuple[int, ...]:
    return (len(operands) + 1 << 16 | number, *operands)


def test_the_compiler_gets_one_text(tmp_path: Path) -> None:
    """It reads no files: macros follow the version, included files stand where they are named."""
    (tmp_path / "types.glsl").write_text('int t;\n#include "inner.glsl"\n')
    (tmp_path / "inner.glsl").write_text("int i;\n")
    (tmp_path / "a.comp").write_text('#version 450\n  #include "types.glsl" // why\nvoid main() {}\n')
    shader = Shader("a", "a.comp", {"X": "1", "U": ""}, (1, 5), is_optimized=True)
    text = source_text(tmp_path, shader)
    assert text.splitlines() == [
        "#version 450",
        "#define X 1",
        "#define U ",
        "int t;",
        "int i;",
        "",
        "",
        "void main() {}",
    ]


def test_a_call_of_the_generator_is_a_shader() -> None:
    call = ["-fshader-stage=compute", "--target-env=vulkan1.3", "/x/mul_mm.comp", "-o", "/y/mul_cm2.spv", "-O"]
    shader = _shader_of("\t".join([*call, "-MD", "-MF", ".d", "-DA_TYPE=float", "-DUNROLL=[[unroll]]", "-DB="]))
    assert shader == Shader(
        "mul_cm2", "mul_mm.comp", {"A_TYPE": "float", "UNROLL": "[[unroll]]", "B": ""}, (1, 6), is_optimized=True
    )


def test_names_are_left_out() -> None:
    header = (0x07230203, 0x10500, 0, 9, 0)
    kept = (*instruction(17, 1), *instruction(71, 4, 30, 0))
    named = (*header, *instruction(5, 4, 0x6E69616D, 0), *kept, *instruction(3, 2, 450), *instruction(6, 1, 0, 0x61))
    assert without_names(words(*named)) == words(*header, *kept)


def test_equal_modules_are_stored_once() -> None:
    modules = join_modules({"a": b"1234", "b": b"12345678", "c": b"1234"})
    assert modules.extents == {"a": (0, 4), "b": (4, 8), "c": (0, 4)}
    assert modules.content[:-8] == b"123412345678"
    assert modules.number == int.from_bytes(modules.content[-8:], "little")
    assert modules.number != join_modules({"a": b"1235"}).number


def test_the_memory_is_reserved_and_named() -> None:
    names = ("copy", "mul_mat_vec_q4", "mul_mat_vec_q4_subgroup", "mul_mat_vec_q4_subgroup_no_shmem")
    modules = join_modules({name: name.encode().ljust(36)[:36] + bytes([at] * 4) for at, name in enumerate(names)})
    lines = assembler_source(HEADER, modules).splitlines()
    assert lines[:5] == [".bss", ".balign 64", ".globl llamafile_shaders", "llamafile_shaders:", ".skip 168"]
    assert ".set mul_mat_vec_q4_data, llamafile_shaders + 40" in lines
    at = lines.index("arr_dmmv_q4_data:")
    assert lines[at + 1 : at + 4] == [f".quad llamafile_shaders + {offset}" for offset in (40, 80, 120)]
    at = lines.index("arr_dmmv_q4_len:")
    assert lines[at + 1 : at + 4] == [".quad 40"] * 3


def test_headers_come_with_their_licences() -> None:
    notices = vulkan_notices()
    assert [notices.count(f"\n{title}\n") for title in PACKAGES] == [1, 1]
    assert notices.count("The Khronos Group Inc") > 1


def test_without_headers_the_option_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(debian, "_run", lambda *_: None)
    with pytest.raises(ArtifactError, match=r"^cannot get Vulkan's headers: .*; or build with --no-gpu$"):
        vulkan_headers()


def test_a_wheel_for_one_python_is_asked_for_as_such() -> None:
    assert _target_options(SLANGPY_WHEELS["x86_64"]) == [
        "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--platform", "manylinux_2_34_x86_64"
    ]  # fmt: skip  # as in a command
    assert _target_options(NODE_WHEELS["Linux", "x86_64"]) == []
    assert _target_options(ZSTANDARD_SDIST) == []


def test_compressed_content_states_its_size() -> None:
    content = bytes(range(256)) * 100
    frame = zstd.compress(content)
    assert zstandard.frame_content_size(frame) == len(content)
    assert zstandard.ZstdDecompressor().decompress(frame) == content
    assert zstd.compress(content) == frame


def test_without_the_compressor_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(ToolchainError, match=r"pip install 'llamafile-toolchain\[build\]'"):
        zstd.compress(b"")


def test_which_platforms_have_a_second_program() -> None:
    found = {platform.name: second for platform in PLATFORMS if (second := gpu_program(platform))}
    assert [(name, second.name, second.zig_target) for name, second in found.items()] == [
        ("linux-amd64", "linux-amd64-gpu", "x86_64-linux-gnu.2.28"),
        ("linux-arm64", "linux-arm64-gpu", "aarch64-linux-gnu.2.28"),
    ]
    assert [variant.name for variant in variants_of(found["linux-amd64"])] == ["zen4"]
    assert found["linux-amd64"].cpu == "x86_64_v3"


def test_each_program_has_its_sources() -> None:
    second = gpu_program(platform_named("linux-amd64"))
    assert second is not None
    expected = {
        "gpu_linux": [Program(platform_named("linux-amd64")), Program(platform_named("linux-arm64"))],
        "gpu_vulkan": [Program(second, has_vulkan=True), Program(platform_named("windows-amd64"), has_vulkan=True)],
        "gpu_metal": [Program(platform_named("macos-arm64"), has_metal=True)],
        "gpu_none": [Program(platform_named(name)) for name in ("windows-amd64", "macos-arm64", "openbsd-amd64")],
    }
    for name, programs in expected.items():
        for program in programs:
            # gpu_linux.cpp is empty in the second program, whose sources are those of Linux
            found = {source.stem for source in shim_sources(program)} & set(expected)
            assert found - ({"gpu_linux"} if program.platform == second else set()) == {name}, program


def test_members_lie_beside_the_program(tmp_path: Path) -> None:
    program = tmp_path / "llamafile"
    assert gpu_members(program) == []
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu" / "shaders.zst").write_bytes(b"x")
    assert [member.name for member in gpu_members(program)] == ["gpu/shaders.zst"]
    assert gpu_member_names(["pages/gpu/x", "gpu/shaders.zst", "gpus"]) == ["gpu/shaders.zst"]
