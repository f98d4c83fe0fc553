"""The native engine, for its scores of all tokens of the vocabulary."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.acceptance.api.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runtime.portable.weights import Floats
    from tests.acceptance.api.servers import Server

__all__ = ["EXACT", "Answer", "answering", "ask", "log_shares", "quantized"]

# What makes the engine compute in 32-bit numbers where it can; so it does not matter how many threads do it.
EXACT = ("-fa", "off", "-ctk", "f32", "-ctv", "f32")


@dataclass(frozen=True)
class Answer:
    """The continuation of a prompt by the likeliest tokens."""

    tokens: list[int]
    scores: Floats  # natural logarithms of probabilities, (tokens, vocabulary); not a number where they were not given


@contextmanager
def answering(program: Path, model: Path, folder: Path, *options: str) -> Iterator[Server]:
    """Run the engine's server with MODEL."""
    command = [program, "--server", "-m", model, "-np", "1", "-t", "1", "--no-warmup", *options]
    with serving(command, folder / "server.log") as server:
        yield server


def ask(server: Server, prompt: Sequence[int], count: int, vocabulary: int, given: int | None = None) -> Answer:
    """Return up to COUNT tokens after PROMPT, each with the scores of the GIVEN likeliest words, or of all."""
    asked = {"prompt": prompt, "n_predict": count, "temperature": 0, "n_probs": given or vocabulary}
    status, text = server.ask("/completion", {**asked, "cache_prompt": False, "return_tokens": True})
    assert status == 200, text
    answer = json.loads(text)
    steps = answer["completion_probabilities"]
    assert [step["id"] for step in steps] == answer["tokens"][: len(steps)]
    scores = np.full((len(steps), vocabulary), np.nan, np.float32)
    for row, step in zip(scores, steps, strict=True):
        for word in step["top_logprobs"]:
            row[word["id"]] = word["logprob"]
    return Answer([step["id"] for step in steps], scores)


def log_shares(scores: Floats) -> Floats:
    """Turn scores, along the last axis, into natural logarithms of probabilities."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    shares: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shares


def quantized(program: Path, model: Path, type_: str, folder: Path) -> Path:
    """Return MODEL with all its matrices of this type, as the engine's tool makes it."""
    tool = folder / "llamafile-quantize"
    if not tool.is_symlink():
        tool.symlink_to(program)
    output = folder / f"{model.stem}-{type_}.gguf"
    command: list[str | Path] = [tool, "--allow-requantize", "--pure", model, output, type_, "1"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return output
