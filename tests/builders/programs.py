"""A program that says what it found on any platform, and the APE that has it for all of them."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from apepack.format.link import link
from apepack.format.prologue import Magic
from runtime.platforms import PLATFORMS, Launch
from tests.builders.ape import SHELLS
from tests.builders.compiled import compiled_program

if TYPE_CHECKING:
    from runtime.platforms import Platform

__all__ = ["STARTS", "UNPACKED", "everywhere", "everywhere_ape", "everywhere_output", "start_id"]

UNPACKED: Final = tuple(platform for platform in PLATFORMS if platform.launch == Launch.UNPACKED)

# Each kind of file with each shell that reads it: two refuse binary, and a file for Windows has four bytes of it.
STARTS: Final = (
    *((Magic.MZ, shell) for shell in SHELLS if shell not in {("ksh",), ("yash",)}),
    *((Magic.NO_WINDOWS, shell) for shell in SHELLS),
)

_SOURCE: Final = Path(__file__).parents[1] / "apepack" / "format" / "programs" / "everywhere.cpp"


@cache
def everywhere(platform: Platform) -> Path:
    """The program for a platform, from the toolchain's cache if it was compiled before."""
    return compiled_program(platform, [_SOURCE], ["-std=c++17"])


@cache
def everywhere_ape(magic: Magic = Magic.MZ) -> bytes:
    """The APE with the program for every platform that can be in a file of this kind."""
    platforms = [platform for platform in PLATFORMS if magic == Magic.MZ or platform.launch != Launch.PE]
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "everywhere"
        link([everywhere(platform) for platform in platforms], output, magic=magic)
        return output.read_bytes()


def everywhere_output(arguments: list[str], path: str, head: bytes) -> str:
    """What the program prints when all is well.

    Args:
        arguments: with argv[0].
        path: of the file that it takes for its own.
        head: the first bytes of that.
    """
    lines = [f"argv {argument}" for argument in arguments]
    lines += [f"own file {path}", f"begins with {head[:8].hex(' ')}"]
    checks = ("data", "bss", "constructors", "exceptions", "threads", "exceptions of threads")
    return "\n".join([*lines, *(f"{check} good" for check in checks), "atexit ran", "destructor ran", ""])


def start_id(value: Magic | tuple[str, ...]) -> str:
    """The name that pytest shows for one of a pair in STARTS."""
    return value.name if isinstance(value, Magic) else " ".join(value)
