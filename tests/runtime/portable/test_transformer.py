"""The transformer without an oracle: batches, cached tokens and rewinding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from runtime.errors import ContextFullError, ModelError
from runtime.portable.transformer import Transformer
from runtime.portable.weights import Weights
from tests.builders.architectures import LLAMA, MODELS, VOCABULARY

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = [1, *(5 + step * 7 % 200 for step in range(299))]


def transformer_of(model: Path, context: int = 512) -> Transformer:
    return Transformer(Weights(memoryview(model.read_bytes())), context)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", MODELS)
def test_batch_sizes_give_the_same_result(architecture: str, tmp_path: Path) -> None:
    """In whole batches, in parts of any size, and one by one; also after going back."""
    transformer = transformer_of(MODELS[architecture].write(tmp_path / "model.gguf"))
    whole = transformer.forward(TOKENS)
    assert (whole.shape, whole.dtype.name, transformer.position) == ((VOCABULARY,), "float32", len(TOKENS))
    for parts in ([1] * 20 + [280], [90, 200, 10], [299, 1]):
        transformer.rewind(0)
        start = 0
        for size in parts:
            scores = transformer.forward(TOKENS[start : start + size])
            start += size
        np.testing.assert_allclose(scores, whole, atol=1e-3)
    transformer.forward([9, 8, 7])
    transformer.rewind(len(TOKENS) - 1)
    np.testing.assert_allclose(transformer.forward(TOKENS[-1:]), whole, atol=1e-3)


def test_going_back_is_not_going_on(tmp_path: Path) -> None:
    transformer = transformer_of(LLAMA.write(tmp_path / "model.gguf"))
    transformer.forward(TOKENS[:10])
    transformer.rewind(20)
    assert transformer.position == 10


def test_a_full_context(tmp_path: Path) -> None:
    transformer = transformer_of(LLAMA.write(tmp_path / "model.gguf"), context=10)
    transformer.forward(TOKENS[:10])
    with pytest.raises(ContextFullError, match="room for 10 tokens") as caught:
        transformer.forward([5])
    assert (caught.value.size, transformer.position) == (10, 10)


@pytest.mark.parametrize("token", [-1, VOCABULARY])
def test_a_token_that_there_is_not(token: int, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"among the {VOCABULARY} of"):
        transformer_of(LLAMA.write(tmp_path / "model.gguf")).forward([1, token])
