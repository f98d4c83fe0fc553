"""Checks the C++ and C sources: their format with clang-format, and the shim with clang-tidy.

    python -m tools.native_check             checks
    python -m tools.native_check --format    rewrites the sources in house style

clang-tidy parses the shim as the compiler for the host does, with zig's headers and those of the engine. A file that
passed is checked again only if it, a header, the checks or a tool changed. Problems are printed; the exit status is 1.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.compilation import jobs
from runtime.builder.engine import INCLUDES, engine_source
from runtime.builder.gpu_platform import gpu_program
from runtime.builder.program import Program, header_folders, shim_flags, shim_sources
from runtime.builder.toolchain import Toolchain, find_toolchain
from runtime.platforms import host_platform

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["check_format", "check_shim", "native_sources"]

_ROOT: Final = Path(__file__).parents[1]
_CHECKS: Final = _ROOT / ".clang-tidy"
_PASSED: Final = _ROOT / "build" / "native-check"
_NATIVE: Final = ("runtime/shim", "runtime/kernels", "runtime/loader", "tests")
_SUFFIXES: Final = {".c", ".cpp", ".h"}


def main() -> None:
    """Check everything, or format; exit with status 1 if there are problems."""
    if sys.argv[1:] == ["--format"]:
        subprocess.run([_tool("clang-format"), "-i", *native_sources()], check=True)
        return
    first, second = Program(host_platform()), gpu_program(host_platform())
    problems = [*check_format(), *check_shim(first, shim_sources(first))]
    if second:
        program = Program(second, has_vulkan=True)
        problems += check_shim(program, sorted({*shim_sources(program)} - {*shim_sources(first)}))
    for problem in problems:
        sys.stdout.write(problem)
    sys.exit(1 if problems else 0)


def native_sources() -> list[str]:
    """Return the paths of all sources in C and C++."""
    paths = (path for folder in _NATIVE for path in sorted((_ROOT / folder).rglob("*")))
    return [str(path) for path in paths if path.suffix in _SUFFIXES]


def check_format() -> Iterator[str]:
    """Yield what clang-format would change."""
    command = [_tool("clang-format"), "--dry-run", "--Werror", *native_sources()]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        yield result.stderr


def check_shim(program: Program, sources: Sequence[Path]) -> Iterator[str]:
    """Yield the findings of clang-tidy in SOURCES, which are compiled for PROGRAM."""
    options = _options(program, find_toolchain())
    common = hashlib.sha256(f"{importlib.metadata.version('clang-tidy')} {options}".encode())
    for path in [_CHECKS, *sorted((_ROOT / "runtime" / "shim").rglob("*.h"))]:
        common.update(path.read_bytes())

    def check(source: Path) -> str:
        key = common.copy()
        key.update(source.read_bytes())
        passed = _PASSED / key.hexdigest()
        if passed.exists():
            return ""
        command = [_tool("clang-tidy"), "--quiet", f"--config-file={_CHECKS}", str(source), "--", *options]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            return result.stdout + result.stderr
        passed.touch()
        return ""

    _PASSED.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs()) as pool:
        yield from filter(None, pool.map(check, sources))


def _options(program: Program, tools: Toolchain) -> list[str]:
    """Return the compiler's options, with those that zig adds for the headers of its C and C++ libraries."""
    flags = shim_flags(program)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "empty.cpp")
        source.touch()
        result = subprocess.run(
            [str(tools.zig), "c++", *flags, "-v", "-c", str(source), "-o", str(Path(scratch, "empty.o"))],
            env=tools.environment(Path(scratch)),
            capture_output=True,
            text=True,
            check=True,
        )
    arguments = shlex.split(next(line for line in result.stderr.splitlines() if " -cc1 " in line))
    compiler_headers = Path("lib", "include").parts  # of zig's clang; clang-tidy has its own
    options = ["-nostdlibinc", "-nostdinc++"]
    for name, value in pairwise(arguments):
        if name == "-triple":
            options.append(f"--target={value}")
        elif name == "-D" or (name == "-isystem" and Path(value).parts[-2:] != compiler_headers):
            options += [name, value]
    folders = [*(engine_source() / folder for folder in INCLUDES), *header_folders(program)]
    options += [f"-isystem{folder}" for folder in folders]
    return [*(flag for flag in flags if flag.startswith(("-std", "-I", "-DLLAMAFILE"))), *options]


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    main()
