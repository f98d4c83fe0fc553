"""The shader compiler: glslang, in the library that slangpy distributes, called in this process."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Compiler", "Shader", "source_text"]

# Values of slang's `glslang_CompileRequest_1_2` and `SlangStage`.
_COMPUTE: Final = 6
_COMPILE_TO_SPIRV: Final = 0
_ENTRY: Final = b"main"
_SPIRV_MAGIC: Final = b"\x03\x02\x23\x07"

_INCLUDE: Final = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)".*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shader:
    """One module to compile: a source with macros defined, as in a call of glslc."""

    name: str
    source: str  # the name of a file in the folder of the shaders
    defines: Mapping[str, str]
    spirv_version: tuple[int, int]
    is_optimized: bool


def source_text(folder: Path, shader: Shader) -> str:
    """Return the GLSL of SHADER, whose sources are in FOLDER: macros defined, included files inserted.

    The compiler reads no files.
    """
    version, _, rest = _with_includes(folder, shader.source).partition("\n")
    return "\n".join([version, *(f"#define {name} {value}" for name, value in shader.defines.items()), rest])


def _with_includes(folder: Path, name: str) -> str:
    text = (folder / name).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda include: _with_includes(folder, include[1]), text)


_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class _Request(ctypes.Structure):
    """`glslang_CompileRequest_1_2` of slang's source/slang-glslang/slang-glslang.h."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("source_path", ctypes.c_char_p),
        ("source_begin", ctypes.c_void_p),
        ("source_end", ctypes.c_void_p),
        ("on_diagnostic", _Callback),
        ("diagnostic_data", ctypes.c_void_p),
        ("on_output", _Callback),
        ("output_data", ctypes.c_void_p),
        ("stage", ctypes.c_int),
        ("action", ctypes.c_uint),
        ("optimization", ctypes.c_uint),
        ("debug_info", ctypes.c_uint),
        ("target_name", ctypes.c_char_p),
        ("spirv_version", ctypes.c_int * 3),
        ("entry_point", ctypes.c_char_p),
    )


class Compiler:
    """The library, loaded from a file; calls from several threads run at once."""

    def __init__(self, library: Path) -> None:
        self._compile = ctypes.CDLL(str(library)).glslang_compile_1_2

    def compile(self, shader: Shader, text: str) -> bytes:
        """Return the SPIR-V of SHADER, whose GLSL is TEXT.

        Raises:
            CompileError: the compiler refuses it.
        """
        source = text.encode()
        buffer = ctypes.create_string_buffer(source, len(source))
        begin = ctypes.addressof(buffer)
        output: list[bytes] = []
        diagnostics: list[bytes] = []
        major, minor = shader.spirv_version
        request = _Request(
            size=ctypes.sizeof(_Request),
            source_path=shader.source.encode(),
            source_begin=begin,
            source_end=begin + len(source),
            on_diagnostic=_Callback(lambda data, size, _: diagnostics.append(ctypes.string_at(data, size))),
            on_output=_Callback(lambda data, size, _: output.append(ctypes.string_at(data, size))),
            stage=_COMPUTE,
            action=_COMPILE_TO_SPIRV,
            optimization=2 if shader.is_optimized else 0,
            target_name=f"spv{major}.{minor}".encode(),
            spirv_version=(ctypes.c_int * 3)(major, minor, 0),
            entry_point=_ENTRY,
        )
        status = self._compile(ctypes.byref(request))
        module = b"".join(output)
        if status != 0 or not module.startswith(_SPIRV_MAGIC):
            raise CompileError(f"compiling the shader {shader.name}", b"".join(diagnostics).decode(errors="replace"))
        return module
