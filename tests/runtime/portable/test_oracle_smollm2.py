"""The native engine and the portable runtime say the same with SmolLM2, in Q4_1 with embeddings in Q8_0."""

from __future__ import annotations

import json
import mmap
from typing import TYPE_CHECKING

import numpy as np
import pytest

from runtime.builder.artifacts import demo_model
from runtime.portable.transformer import Transformer
from runtime.portable.weights import Weights
from tests.runtime.portable.engine import EXACT, answering, ask, log_shares, quantized

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.portable.weights import Floats
    from tests.acceptance.api.servers import Server
    from tests.runtime.portable.engine import Answer

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n",
    "Once upon a time, in a village by the sea, ",
    "1, 1, 2, 3, 5, 8, 13,",
    "Dear Sir or Madam,\n\nI am writing to",
    "Water boils at",
    "The three laws of robotics are:\n1.",
    "SELECT name FROM",
    "<|im_start|>user\nWhat is a transformer?<|im_end|>\n<|im_start|>assistant\n",
    "The quick brown fox jumps over the lazy dog. " * 10,
]
COUNT = 32
LIKELY = 100  # words whose scores are compared at each token; all of them at the first
# Of the largest differences between logarithms of probabilities, 0.0004 and 1.4 were found.
SAME = 1e-3
ALIKE = 2.5


@pytest.fixture(scope="module")
def weights() -> Weights:
    with demo_model().open("rb") as file:
        return Weights(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), cache=True)


def test_the_engine_with_the_same_numbers(weights: Weights, program: Path, tmp_path: Path) -> None:
    """With the 32-bit numbers that the engine's own tool makes of the model, nothing is rounded on either side."""
    model = quantized(program, demo_model(), "F32", tmp_path)
    with answering(program, model, tmp_path, "-c", "512", *EXACT) as server:
        model.unlink()  # half a gigabyte; the server has it open
        compare(weights, server, PROMPTS, SAME)


def test_the_engine_as_it_is_used(weights: Weights, program: Path, tmp_path: Path) -> None:
    """It rounds activations to 8 bits."""
    with answering(program, demo_model(), tmp_path, "-c", "512") as server:
        compare(weights, server, PROMPTS[:4], ALIKE)


def compare(weights: Weights, server: Server, texts: list[str], tolerance: float) -> None:
    vocabulary = weights.shape("token_embd.weight")[0]
    for text in texts:
        prompt = json.loads(server.ask("/tokenize", {"content": text, "parse_special": True})[1])["tokens"]
        answer = ask(server, prompt, COUNT, vocabulary, LIKELY)
        scores = scores_along(weights, prompt, answer)
        assert np.nanmax(np.abs(scores - answer.scores)) <= tolerance
        second, first = np.partition(scores, -2, axis=-1)[:, -2:].T
        decided = first - second > tolerance
        assert (scores.argmax(axis=-1) == answer.tokens)[decided].all()
    every_word = ask(server, prompt[:9], 1, vocabulary).scores
    assert np.abs(log_shares(Transformer(weights, 9).forward(prompt[:9])) - every_word).max() <= tolerance


def scores_along(weights: Weights, prompt: list[int], answer: Answer) -> Floats:
    """Return the scores of each token of the answer, from one pass over all of it."""
    transformer = Transformer(weights, 512)
    transformer.forward(prompt[:-1])
    return log_shares(transformer._scores(transformer._read([prompt[-1], *answer.tokens[:-1]])))
