"""Programs with the kernels for each processor that this machine can run, and for arm64 by qemu."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.builder.cpu_variants import variants_of
from runtime.builder.engine import build_engine, engine_source
from runtime.builder.toolchain import find_toolchain
from runtime.platforms import platform_named
from tests.builders.compiled import compiled_object, compiled_program
from tests.conftest import tool

HERE: Final = Path(__file__).parent
KERNELS: Final = Path(__file__).parents[3] / "runtime" / "kernels"
INCLUDES: Final = ("ggml/include", "ggml/src", "ggml/src/ggml-cpu")
# What /proc/cpuinfo calls the instructions that a variant needs beyond those of every x86-64 processor.
NEEDS: Final = {
    "baseline": "ssse3",
    "nehalem": "sse4_2",
    "sandybridge": "avx",
    "haswell": "avx2 fma f16c bmi2",
    "alderlake": "avx_vnni",
    "skylakex": "avx512bw avx512vl avx512dq",
    "zen4": "avx512_vnni avx512_bf16 avx512vbmi",
}


@dataclass(frozen=True, slots=True)
class Processor:
    """A variant of the kernels."""

    platform_name: str
    variant: str

    def __str__(self) -> str:
        return f"{self.platform_name}-{self.variant}"

    @property
    def is_emulated(self) -> bool:
        """Whether another processor's instructions are interpreted."""
        return self.platform_name == "linux-arm64"

    def output_of(self, source: str, shapes: int) -> list[list[str]]:
        """Return the words of each line that the program SOURCE, with the kernels, prints about SHAPES shapes."""
        platform = platform_named(self.platform_name)
        emulator = [tool("qemu-aarch64-static")] if self.is_emulated else []
        cpu = {variant.name: variant.cpu for variant in variants_of(platform)}.get(self.variant, platform.cpu)
        library = build_engine(platform, find_toolchain()).folder / "libggml-base.a"
        includes = [KERNELS, *(engine_source() / name for name in INCLUDES)]
        flags = ["-std=c++20", "-O2", "-Wno-psabi", "-DNDEBUG", *(f"-isystem{path}" for path in includes)]
        headers = sorted(KERNELS.iterdir())
        kernels = compiled_object(platform, KERNELS / "kernels.cpp", [f"-mcpu={cpu}", *flags], headers)
        program = compiled_program(platform, [HERE / source, kernels, library], flags, sorted(HERE.glob("*.h")))
        result = subprocess.run([*emulator, program, str(shapes)], capture_output=True, text=True, check=True)
        return [line.split() for line in result.stdout.splitlines()]


def processors() -> list[Processor]:
    """Return the variants to test."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    present = {word for line in lines if line.startswith("flags") for word in line.split()}
    amd64 = [Processor("linux-amd64", name) for name, needs in NEEDS.items() if set(needs.split()) <= present]
    # Without the instruction there are no kernels.
    arm64 = [
        Processor("linux-arm64", variant.name)
        for variant in variants_of(platform_named("linux-arm64"))
        if "dotprod" in variant.cpu
    ]
    return amd64 + arm64
