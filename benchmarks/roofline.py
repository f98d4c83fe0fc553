"""The limits of a machine for a model: what llamafile-bench --roofline measures, divided by what a token needs.

A token that is generated needs all weights from memory, and two operations for each of them. The tokens of a prompt
need the weights once for all of them, and as many operations each, but for the output matrix, which only the last one
needs. Attention, its cache and everything else is left out, so the limit is a little higher than what can be reached.
A model smaller than the caches may generate more than its limit.

A machine has no fixed limit: two threads of a virtual one may read at 49 GB/s, and at 80 a minute later. The limit is
therefore measured right before and right after what is compared with it.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import gguf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Roofline", "Work", "facts_of", "tokens_per_second", "work_of"]

_GIGA: Final = 1e9
_EMBEDDING: Final = "token_embd.weight"
_OUTPUT: Final = "output.weight"
_MATRIX: Final = 2  # dimensions
# The kinds of instructions that multiply weights of a type without a loss: the fastest of them counts.
_FLOAT: Final = {"F32": ("f32",), "F16": ("f16", "f32"), "BF16": ("bf16", "f32")}
_QUANTIZED: Final = ("int8", "f16", "f32")


@dataclass(frozen=True, slots=True)
class Work:
    """What the tokens of a batch need."""

    weight_bytes: int  # read once for the batch
    each: dict[str, int]  # operations for each token, by the type of the weights
    last: dict[str, int]  # for the last one, in addition

    def operations(self, batch: int) -> dict[str, int]:
        """Return the operations for BATCH tokens, by the type of the weights."""
        types = dict.fromkeys([*self.each, *self.last])
        return {type_: batch * self.each.get(type_, 0) + self.last.get(type_, 0) for type_ in types}


@dataclass(frozen=True, slots=True)
class Roofline:
    """The best rates of one measurement."""

    variant: str
    reads: dict[int, float]  # GB/s, by the number of threads
    peaks: dict[tuple[str, int], float]  # GOP/s, by the kind of instructions, and the number of threads

    @classmethod
    def measured(cls, command: Sequence[str], threads: int) -> Roofline:
        """Measure with THREADS; COMMAND starts llamafile-bench."""
        options = ["--roofline", "-t", str(threads), "-o", "json"]
        said = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE, text=True).stdout
        result = json.loads(said)
        reads = {row["n_threads"]: row["best_gb_s"] for row in result["reads"]}
        used = [row for row in result["peaks"] if row["is_used"]]
        return cls(result["cpu_variant"], reads, {(row["kind"], row["n_threads"]): row["best_gop_s"] for row in used})

    def peak(self, type_: str, threads: int) -> float:
        """Return the GOP/s of the best instructions for weights of TYPE_."""
        kinds = _FLOAT.get(type_, _QUANTIZED)
        return max(rate for (kind, count), rate in self.peaks.items() if kind in kinds and count == threads)


def facts_of(rooflines: Sequence[Roofline]) -> dict[str, Any]:
    """Return all rates of ROOFLINES, measurements of one variant, for a file in JSON."""
    reads, peaks = dict[str, list[float]](), dict[tuple[str, int], list[float]]()
    for one in rooflines:
        for count, rate in one.reads.items():
            reads.setdefault(str(count), []).append(round(rate, 2))
        for key, rate in one.peaks.items():
            peaks.setdefault(key, []).append(round(rate, 1))
    rows = [{"kind": kind, "threads": count, "GOP/s": rates} for (kind, count), rates in peaks.items()]
    return {"variant": rooflines[0].variant, "GB/s": reads, "peaks": rows}


def work_of(model: Path) -> Work:
    """Return what tokens need of MODEL, which has no experts."""
    tensors = gguf.GGUFReader(model).tensors
    has_output = any(tensor.name == _OUTPUT for tensor in tensors)
    head = _OUTPUT if has_output else _EMBEDDING
    weight_bytes, each, last = 0, dict[str, int](), dict[str, int]()
    for tensor in tensors:
        if has_output and tensor.name == _EMBEDDING:
            continue  # one row of it
        weight_bytes += int(tensor.n_bytes)
        if len(tensor.shape) == _MATRIX:
            part, type_ = last if tensor.name == head else each, tensor.tensor_type.name
            part[type_] = part.get(type_, 0) + 2 * int(tensor.n_elements)
    return Work(weight_bytes, each, last)


def tokens_per_second(work: Work, roofline: Roofline, batch: int, threads: int) -> float:
    """Return the limit for BATCH tokens at once: memory or instructions, whichever takes longer."""
    reading = work.weight_bytes / (roofline.reads[threads] * _GIGA)
    computing = sum(
        count / (roofline.peak(type_, threads) * _GIGA) for type_, count in work.operations(batch).items() if count
    )
    return batch / max(reading, computing)
