"""Attention by the kernels, for each processor that this machine can run, and for arm64 by qemu."""

from __future__ import annotations

from typing import Final

import pytest

from tests.runtime.kernels.processors import Processor, processors

pytestmark = [pytest.mark.needs_compiler, pytest.mark.needs_runtime]

CACHES: Final = ["f16/f16", "f32/f32", "bf16/bf16", "q8_0/q8_0", "q8_0/q4_0", "q5_1/f16"]
# Of single precision, relative to the largest value. Scores of some shapes reach 100: their errors are those of e^100.
TOLERANCE: Final = 2e-5


@pytest.mark.parametrize("processor", processors(), ids=str)
def test_attention_is_that_of_a_plain_loop(processor: Processor) -> None:
    shapes = 8 if processor.is_emulated else 60
    found = {name: float(worst) for name, worst in processor.output_of("attention.cpp", shapes)}
    assert list(found) == CACHES
    assert {name: worst for name, worst in found.items() if worst > TOLERANCE} == {}
