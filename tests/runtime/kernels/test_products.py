"""Products of matrices by the kernels, for each processor that this machine can run, and for arm64 by qemu."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from runtime.builder.cpu_variants import variants_of
from runtime.builder.engine import build_engine, engine_source
from runtime.builder.toolchain import find_toolchain
from runtime.platforms import platform_named
from tests.builders.compiled import compiled_object, compiled_program
from tests.conftest import tool

pytestmark = [pytest.mark.needs_compiler, pytest.mark.needs_runtime]

KERNELS = Path(__file__).parents[3] / "runtime" / "kernels"
INCLUDES = ("ggml/include", "ggml/src", "ggml/src/ggml-cpu")
TYPES = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_K", "q5_K", "q6_K", "iq4_nl", "iq4_xs", "f32", "f16", "bf16"]
REPACKED = ["q4_0_repacked", "q4_K_repacked", "iq4_nl_repacked"]
# Sums of single precision, in another order than the reference's.
TOLERANCE: Final = 2e-6
# What /proc/cpuinfo calls the instructions that a variant needs beyond those of every x86-64 processor.
NEEDS = {
    "baseline": "ssse3",
    "nehalem": "sse4_2",
    "sandybridge": "avx",
    "haswell": "avx2 fma f16c bmi2",
    "alderlake": "avx_vnni",
    "skylakex": "avx512bw avx512vl avx512dq",
    "zen4": "avx512_vnni avx512_bf16 avx512vbmi",
}


def processors() -> list[tuple[str, str]]:
    """Return the platforms and variants to test."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    present = {word for line in lines if line.startswith("flags") for word in line.split()}
    amd64 = [("linux-amd64", name) for name, needs in NEEDS.items() if set(needs.split()) <= present]
    # Without the instruction there are no kernels.
    arm64 = [
        ("linux-arm64", variant.name)
        for variant in variants_of(platform_named("linux-arm64"))
        if "dotprod" in variant.cpu
    ]
    return amd64 + arm64


def test_every_variant_is_known() -> None:
    assert {variant.name for variant in variants_of(platform_named("linux-amd64"))} == NEEDS.keys() - {"baseline"}


@pytest.mark.parametrize(
    ("platform_name", "variant_name"), [pytest.param(*names, id="-".join(names)) for names in processors()]
)
def test_products_are_those_of_a_plain_loop(platform_name: str, variant_name: str) -> None:
    platform = platform_named(platform_name)
    emulator = [tool("qemu-aarch64-static")] if platform_name == "linux-arm64" else []
    cpu = {variant.name: variant.cpu for variant in variants_of(platform)}.get(variant_name, platform.cpu)
    library = build_engine(platform, find_toolchain()).folder / "libggml-base.a"
    includes = [KERNELS, *(engine_source() / name for name in INCLUDES)]
    flags = ["-std=c++20", "-O2", "-Wno-psabi", "-DNDEBUG", *(f"-isystem{path}" for path in includes)]
    kernels = compiled_object(platform, KERNELS / "kernels.cpp", [f"-mcpu={cpu}", *flags], sorted(KERNELS.iterdir()))
    program = compiled_program(platform, [Path(__file__).with_name("products.cpp"), kernels, library], flags)
    shapes = 12 if emulator else 60
    result = subprocess.run([*emulator, program, str(shapes)], capture_output=True, text=True, check=True)
    found = {name: (int(count), float(worst)) for name, count, worst in map(str.split, result.stdout.splitlines())}
    assert list(found) == [*TYPES, *REPACKED]
    # The engine repacks for AVX2 and later.
    some = TYPES if emulator or variant_name in {"baseline", "nehalem", "sandybridge"} else list(found)
    assert [name for name, (count, _) in found.items() if count >= shapes / 10] == some
    assert {name: worst for name, (_, worst) in found.items() if worst > TOLERANCE} == {}
