"""The kernels of ggml-metal as text, which macOS compiles when a GPU is used: Apple's compiler runs on Macs only.

The engine compiles each kernel file as a library of its own. It reads the texts between pairs of symbols.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["assembler_source", "kernel_names", "kernel_text"]

_STEP: Final = "reading the kernels of ggml-metal"
_GGML: Final = Path("ggml", "src")
_FOLDER: Final = _GGML / "ggml-metal"
_KERNELS: Final = _FOLDER / "kernels"
# Where an included file may be.
_FOLDERS: Final = (_KERNELS, _FOLDER, _GGML)
_LIST_FILE: Final = _FOLDER / "ggml-metal-device.m"
# The engine's list of the files, one macro call for each.
_LIST: Final = re.compile(r"#define GGML_METAL_LIBS\b(?:.*\\\n)+.*\n")
_ENTRY: Final = re.compile(r"\bX\(\w+, *(\w+)\)")
# `__embed_FILE__` is read where the text is embedded, `#include` elsewhere, beside it.
_INCLUDE: Final = re.compile(r'^(?:#include "([^"]+)"|__embed_(.+)__)$\n?', re.MULTILINE)
_PRAGMA: Final = re.compile(r"^#pragma once\n", re.MULTILINE)


def kernel_names(source: Path) -> list[str]:
    """Return the names of the kernel files of the engine in SOURCE, in its order.

    Raises:
        CompileError: the engine's list is not where it was.
    """
    found = _LIST.search((source / _LIST_FILE).read_text(encoding="utf-8"))
    names = _ENTRY.findall(found[0]) if found else []
    if not names:
        raise CompileError(_STEP, f"{_LIST_FILE} has no list GGML_METAL_LIBS")
    return names


def kernel_text(source: Path, name: str) -> str:
    """Return the kernel file NAME, with the files that it includes in their places, each once.

    Raises:
        CompileError: an included file is not where it was.
    """
    return _with_includes(source, source / _KERNELS / f"{name}.metal", set())


def _with_includes(source: Path, path: Path, seen: set[Path]) -> str:
    seen.add(path)

    def included(include: re.Match[str]) -> str:
        file = _find(source, include[1] or include[2])
        return "" if file in seen else _with_includes(source, file, seen)

    return _INCLUDE.sub(included, _PRAGMA.sub("", path.read_text(encoding="utf-8")))


def _find(source: Path, name: str) -> Path:
    for folder in _FOLDERS:
        if (source / folder / name).is_file():
            return source / folder / name
    raise CompileError(_STEP, f"no folder of ggml-metal has {name}")


def assembler_source(names: Sequence[str]) -> str:
    """Return the definitions of the symbols around the texts, for files NAME.metal in a folder of the assembler's."""
    lines = [".section __TEXT,__ggml_metallib"]
    for name in names:
        symbol = f"_ggml_metallib_{name}"
        lines += [f".globl {symbol}_start", f"{symbol}_start:", f'.incbin "{name}.metal"']
        lines += [f".globl {symbol}_end", f"{symbol}_end:"]
    return "\n".join([*lines, ""])
