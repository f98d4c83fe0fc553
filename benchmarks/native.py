"""Native builds to compare with: the same engine source, built by a compiler of the system for this very processor.

Configured as its own README says, with the system's gcc or clang: `-O3` (CMake's Release) and `-march=native` (the
engine's default), OpenMP where the compiler has it. And llama-cpp-python, installed by pip as its users do, which
compiles the same way. All are kept in the cache.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.builder.artifacts import ENGINE_SDIST, download
from runtime.builder.cache import cached, digest_of
from runtime.builder.compilation import jobs, run_tool
from runtime.builder.toolchain import find_toolchain

__all__ = ["PEERS", "WITHOUT_AMX", "Native", "has_amx", "native_build", "native_compilers", "peers_python"]

# Installed as by its users, and the library that draws plots.
PEERS: Final = (f"{ENGINE_SDIST.distribution}=={ENGINE_SDIST.version}", "matplotlib==3.11.2")
TARGETS: Final = ("llama-bench", "llama-completion", "llama-server", "ggml-rpc-server")
# The newest clang that there is: Debian numbers them.
_CLANGS: Final = ("clang", *(f"clang-{version}" for version in range(25, 13, -1)))
_OPTIONS: Final = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_DISABLE_FIND_PACKAGE_Git=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DGGML_RPC=ON",
)


# To gcc 12.2 the instruction that configures matrix registers reads 8 bytes of the 64, so it leaves out the stores to
# the others (_tile_loadconfig in its amxtileintrin.h), and the engine ends by SIGSEGV at the first prompt.
_BROKEN_AMX: Final = ("gcc 12.2",)
WITHOUT_AMX: Final = " without AMX"
_NO_AMX: Final = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


@dataclass(frozen=True, slots=True)
class Native:
    """The engine's own programs, built for the processor of this machine."""

    name: str  # of the compiler, with the instructions that it lacks
    folder: Path

    def program(self, name: str) -> str:
        """Return the path of one of TARGETS."""
        return str(self.folder / "bin" / name)


def native_compilers() -> dict[str, tuple[str, str]]:
    """Return the compilers of C and C++ on this machine, by their own names."""
    found = {}
    clang = next((name for name in _CLANGS if shutil.which(name)), "clang")
    for c, cxx in (("gcc", "g++"), (clang, clang.replace("clang", "clang++"))):
        if shutil.which(c) and shutil.which(cxx):
            version = subprocess.run(
                [c, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=True
            )
            found[f"{c.partition('-')[0]} {version.stdout.strip()}"] = (c, cxx)
    return found


def has_amx() -> bool:
    """Return whether the processor of this machine multiplies matrices."""
    return " amx_int8" in _processor()


def native_build(name: str, compilers: tuple[str, str], *, amx: bool = True) -> Native:
    """Return the engine built by COMPILERS, compiled if the cache does not hold it, which takes some ten minutes.

    Without AMX where the compiler cannot, or where it is not wanted.
    """
    tools = find_toolchain()
    flags = _flags(name) if amx else _NO_AMX
    key = digest_of([ENGINE_SDIST.sha256, name, flags, *_OPTIONS, *TARGETS, tools.identity, _processor()])

    def compile_into(folder: Path) -> None:
        source, work = folder / "source", folder / "work"
        with tarfile.open(download(ENGINE_SDIST)) as archive:
            archive.extractall(source, filter="data")
        command = [str(tools.cmake), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tools.ninja}", *_OPTIONS]
        command += [f"-DCMAKE_C_COMPILER={compilers[0]}", f"-DCMAKE_CXX_COMPILER={compilers[1]}"]
        command += [f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}"]
        # Its programs find its libraries when the folder has been renamed, too.
        command += ["-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON", "-B", str(work)]
        command += ["-S", str(next(source.glob("*/vendor/llama.cpp")))]
        run_tool(command, dict(os.environ), f"configuring the engine for {name}")
        build = [str(tools.ninja), "-C", str(work), "-j", str(jobs()), *TARGETS]
        run_tool(build, dict(os.environ), f"compiling the engine by {name}")
        shutil.move(work / "bin", folder / "bin")
        shutil.rmtree(work)
        shutil.rmtree(source)

    return Native(f"{name}{WITHOUT_AMX if flags and has_amx() else ''}", cached("native", key, compile_into))


def peers_python() -> Path:
    """Return the Python of an environment with PEERS, which pip compiles and installs if the cache does not hold it."""
    flags = _flags(next(iter(native_compilers())))
    key = digest_of([*PEERS, flags, sys.version, _processor()])

    def install_into(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        # Its commands know the folder's first name; its Python, the only one that is called, does not.
        pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PEERS], check=True, env={**os.environ, "CFLAGS": flags, "CXXFLAGS": flags})

    return cached("native", key, install_into) / "venv/bin/python"


def _flags(compiler: str) -> str:
    return _NO_AMX if compiler.startswith(_BROKEN_AMX) else ""


def _processor() -> str:
    """Return the processor features that `-march=native` depends on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return " ".join(line for line in lines if line.startswith(("model name", "flags"))) or platform.processor()
