"""The processors, beyond the oldest one, that the CPU backend is also compiled for.

The program selects one when it starts (shim/cpu/cpu_variant.cpp, which has the features that each requires).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from runtime.builder.gpu_platform import is_gpu_program

if TYPE_CHECKING:
    from runtime.platforms import Platform

__all__ = ["BASELINE", "Variant", "variants_of"]

# Part of every program: code for the processor in the platform table.
BASELINE: Final = "baseline"


@dataclass(frozen=True, slots=True)
class Variant:
    """A copy of the CPU backend for newer processors."""

    name: str  # a prefix of C identifiers
    cpu: str  # zig's -mcpu
    amx_cpu: str = ""  # the same for the AMX files, if there are any


# x86_64_v2, _v3 and _v4 are the levels of the x86-64 psABI; the names are those of the first processors with all of it.
_ZEN4: Final = "x86_64_v4+avx512vbmi+avx512vnni+avx512bf16"
_AMD64: Final = (
    Variant("nehalem", "x86_64_v2"),
    Variant("sandybridge", "x86_64_v2+avx"),
    Variant("haswell", "x86_64_v3"),
    Variant("alderlake", "x86_64_v3+avxvnni"),
    Variant("skylakex", "x86_64_v4"),
    Variant("zen4", _ZEN4, f"{_ZEN4}+amx_tile+amx_int8"),
)
# Beside the baseline, which is that of haswell in the program for GPUs.
_BESIDE_GPU: Final = ("zen4",)
# Not the levels of the architecture: each has more features than the code uses.
_ARM64: Final = (
    Variant("dotprod", "generic+v8a+dotprod"),
    Variant("fp16", "generic+v8a+dotprod+fullfp16"),
    Variant("i8mm", "generic+v8a+dotprod+fullfp16+i8mm"),
    Variant("sve", "generic+v8a+dotprod+fullfp16+i8mm+sve"),
)
# The oldest Apple processor has the first two of these.
_APPLE: Final = (Variant("i8mm", "apple_m1+i8mm"),)


def variants_of(platform: Platform) -> tuple[Variant, ...]:
    """Return the variants of PLATFORM beside its baseline."""
    if platform.cpu.startswith("x86_64"):
        # Windows has its own request for matrix registers, which is not tested; the other systems have none.
        has_amx = platform.system == "Linux"
        if is_gpu_program(platform):
            return tuple(variant for variant in _AMD64 if variant.name in _BESIDE_GPU)
        return _AMD64 if has_amx else tuple(replace(variant, amx_cpu="") for variant in _AMD64)
    return _APPLE if platform.system == "Darwin" else _ARM64
