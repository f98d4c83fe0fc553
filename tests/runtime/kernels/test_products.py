"""Products of matrices by the kernels, for each processor that this machine can run, and for arm64 by qemu."""

from __future__ import annotations

from typing import Final

import pytest

from runtime.builder.cpu_variants import variants_of
from runtime.platforms import platform_named
from tests.runtime.kernels.processors import NEEDS, Processor, processors

pytestmark = [pytest.mark.needs_compiler, pytest.mark.needs_runtime]

TYPES = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_K", "q5_K", "q6_K", "iq4_nl", "iq4_xs", "f32", "f16", "bf16"]
REPACKED = ["q4_0_repacked", "q4_K_repacked", "iq4_nl_repacked"]
# Sums of single precision, in another order than the reference's.
TOLERANCE: Final = 2e-6


def test_every_variant_is_known() -> None:
    assert {variant.name for variant in variants_of(platform_named("linux-amd64"))} == NEEDS.keys() - {"baseline"}


@pytest.mark.parametrize("processor", processors(), ids=str)
def test_products_are_those_of_a_plain_loop(processor: Processor) -> None:
    shapes = 12 if processor.is_emulated else 60
    found = {name: (int(count), float(worst)) for name, count, worst in processor.output_of("products.cpp", shapes)}
    assert list(found) == [*TYPES, *REPACKED]
    # The engine repacks for AVX2 and later.
    has_repacked = not processor.is_emulated and processor.variant not in {"baseline", "nehalem", "sandybridge"}
    some = list(found) if has_repacked else TYPES
    assert [name for name, (count, _) in found.items() if count >= shapes / 10] == some
    assert {name: worst for name, (_, worst) in found.items() if worst > TOLERANCE} == {}
