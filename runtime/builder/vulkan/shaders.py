"""The shaders of ggml-vulkan: which there are, as the engine's own generator lists them, and their SPIR-V.

The generator calls a compiler for each module and writes all of them as C arrays, 200 MB of text for 44 MB. Here it
only says what it would compile. The modules become one file, which a program inflates into memory that the assembler
source beside it reserves: every array of the generator's header is a place in that memory.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.compilation import jobs, run_tool
from runtime.builder.vulkan.glslang import Compiler, Shader, source_text
from runtime.platforms import host_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runtime.builder.toolchain import Toolchain

__all__ = ["FEATURES", "Modules", "assembler_source", "compile_shaders", "join_modules", "list_shaders"]

# What the compiler knows of the extensions that the engine makes variants for, as the engine's own macros; it lacks
# E2M1 (4-bit floats of the newest GPUs) and COOPMAT2_DECODE_VECTOR.
FEATURES: Final = tuple(
    f"GGML_VULKAN_{name}_GLSLC_SUPPORT" for name in ("COOPMAT", "COOPMAT2", "INTEGER_DOT", "BFLOAT16", "FLOAT_E4M3")
)
_FOLDER: Final = Path("ggml", "src", "ggml-vulkan", "vulkan-shaders")
_RECORDER: Final = """\
#!/bin/sh
IFS='\t'
printf '%s\\n' "$*" >>"${0%/*}/calls"
"""
_NUMBER_SIZE: Final = 8
_HEADER_WORDS: Final = 5
_NAMES: Final = {3, 4, 5, 6}  # OpSource, OpSourceExtension, OpName, OpMemberName
_VERSIONS: Final = {"--target-env=vulkan1.2": (1, 5), "--target-env=vulkan1.3": (1, 6)}
_ARRAY: Final = re.compile(r"^extern const void \* (\w+)_data((?:\[\d\])+);$", re.MULTILINE)
_MODULE: Final = re.compile(r"^extern const unsigned char (\w+)_data\[\];$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Modules:
    """The compiled shaders, one behind the other, with a number at the end by which a program knows its own."""

    content: bytes
    extents: Mapping[str, tuple[int, int]]  # name: offset, size

    @property
    def number(self) -> int:
        """The number at the end."""
        return int.from_bytes(self.content[-_NUMBER_SIZE:], "little")


def list_shaders(source: Path, tools: Toolchain, work: Path) -> tuple[list[Shader], str]:
    """Return the shaders of the engine in SOURCE, and the header that declares them; WORK is a folder for files.

    Raises:
        CompileError: the generator does not compile or run.
    """
    folder = source / _FOLDER
    generator, header = work / "generator", work / "ggml-vulkan-shaders.hpp"
    environment = tools.environment(work)
    macros = [f"-D{feature}" for feature in FEATURES]
    # For this machine, with the libraries that programs are compiled with.
    target = ["-target", host_platform().zig_target, "-g0", "-fno-sanitize=undefined"]
    compiler = [str(tools.zig), "c++", *target, "-std=c++17", "-O1", *macros]
    run_tool(
        [*compiler, str(folder / "vulkan-shaders-gen.cpp"), "-o", str(generator)],
        environment,
        "compiling the engine's generator of shaders",
    )
    recorder = work / "recorder"
    recorder.write_text(_RECORDER)
    recorder.chmod(0o755)
    common = [str(generator), "--glslc", str(recorder), "--output-dir", str(work), "--target-hpp", str(header)]
    run_tool(common, environment, "listing the shaders")
    for file in sorted(folder.glob("*.comp")):
        run_tool([*common, "--source", str(file)], environment, f"listing the shaders of {file.name}")
    calls = (work / "calls").read_text(encoding="utf-8").splitlines()
    shaders = {shader.name: shader for shader in map(_shader_of, calls)}
    return [shaders[name] for name in sorted(shaders)], header.read_text(encoding="utf-8")


def _shader_of(call: str) -> Shader:
    """Return the shader that the generator would compile by CALL, the arguments of glslc."""
    arguments = call.split("\t")
    defines = [argument.removeprefix("-D").partition("=") for argument in arguments if argument.startswith("-D")]
    return Shader(
        name=Path(arguments[arguments.index("-o") + 1]).stem,
        source=next(Path(argument).name for argument in arguments if argument.endswith(".comp")),
        defines={name: value for name, _, value in defines},
        spirv_version=next(_VERSIONS[argument] for argument in arguments if argument in _VERSIONS),
        is_optimized="-O" in arguments,
    )


def compile_shaders(
    source: Path, shaders: Sequence[Shader], compiler: Compiler, step_done: Callable[[], None]
) -> dict[str, bytes]:
    """Return the SPIR-V of SHADERS, whose sources are in the engine's SOURCE, by their names.

    STEP_DONE is called after each.

    Raises:
        CompileError: one does not compile.
    """
    folder = source / _FOLDER

    def compile_one(shader: Shader) -> bytes:
        return compiler.compile(shader, source_text(folder, shader))

    modules = {}
    with ThreadPoolExecutor(jobs()) as pool:
        for shader, module in zip(shaders, pool.map(compile_one, shaders), strict=True):
            modules[shader.name] = without_names(module)
            step_done()
    return modules


def without_names(module: bytes) -> bytes:
    """Return MODULE without the instructions that hold its sources' names: drivers do not need them.

    SPIR-V specification, section 2.3: five words of header, then instructions that begin with their length in words
    and their number.
    """
    words = array("I", module)
    kept = words[:_HEADER_WORDS]
    at = _HEADER_WORDS
    while at < len(words):
        size, number = words[at] >> 16, words[at] & 0xFFFF
        if number not in _NAMES:
            kept.extend(words[at : at + size])
        at += size
    return kept.tobytes()


def join_modules(modules: Mapping[str, bytes]) -> Modules:
    """Join MODULES; equal ones are stored once. SPIR-V consists of 32-bit words, so each stays aligned."""
    offsets: dict[bytes, int] = {}
    extents = {}
    content = bytearray()
    for name, module in modules.items():
        if module not in offsets:
            offsets[module] = len(content)
            content += module
        extents[name] = (offsets[module], len(module))
    return Modules(bytes(content) + hashlib.sha256(content).digest()[:_NUMBER_SIZE], extents)


def assembler_source(header: str, modules: Modules) -> str:
    """Return the definitions of what HEADER, the generator's, declares, and the shim's names for the memory itself.

    `NAME_data` is a place in the memory, `NAME_len` its size. An array of modules has one for each variant.
    """
    lines = [".bss", ".balign 64", ".globl llamafile_shaders", "llamafile_shaders:", f".skip {len(modules.content)}"]
    lines += [".data", ".balign 8"]
    lines += _constant("llamafile_shaders_size", len(modules.content))
    lines += _constant("llamafile_shaders_number", modules.number)
    for name in _MODULE.findall(header):
        offset, size = modules.extents[name]
        lines += [
            f".globl {name}_data",
            f".set {name}_data, llamafile_shaders + {offset}",
            *_constant(f"{name}_len", size),
        ]
    for name, dimensions in _ARRAY.findall(header):
        members = _members(name, dimensions)
        for suffix in ("data", "len"):
            lines += [f".globl {name}_{suffix}", f"{name}_{suffix}:"]
            lines += [f".quad {_value(modules, member, suffix)}" for member in members]
    return "\n".join([*lines, ""])


def _constant(name: str, value: int) -> list[str]:
    return [f".globl {name}", f"{name}:", f".quad {value}"]


def _value(modules: Modules, member: str, suffix: str) -> str:
    offset, size = modules.extents[member]
    return f"llamafile_shaders + {offset}" if suffix == "data" else str(size)


def _members(array: str, dimensions: str) -> list[str]:
    """Return the modules in ARRAY of the generator's header, in order."""
    if dimensions == "[2][2][2]":
        types = ("_f32", "_f16")
        return [f"{array}{a}{b}{c}" for a in types for b in types for c in types]
    name = array.replace("arr_dmmv", "mul_mat_vec", 1)
    return [name, f"{name}_subgroup", f"{name}_subgroup_no_shmem"]
