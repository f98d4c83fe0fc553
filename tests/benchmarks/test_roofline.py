"""What tokens need, and how fast a machine with given rates can do that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import gguf
import pytest

from benchmarks.roofline import Roofline, Work, facts_of, tokens_per_second, work_of
from tests.builders.gguf import TinyModel

if TYPE_CHECKING:
    from pathlib import Path

GIGA = 10**9


def row(kind: str, threads: int, best: float, *, used: bool = True) -> dict[str, object]:
    return {"kind": kind, "instructions": "x", "is_used": used, "n_threads": threads, "best_gop_s": best}


def bench(folder: Path, reads: dict[int, float], peaks: list[dict[str, object]]) -> list[str]:
    """A command that answers as llamafile-bench does, and notes its arguments."""
    rows = [{"n_threads": threads, "best_gb_s": rate} for threads, rate in reads.items()]
    answer = folder / "answer.json"
    answer.write_text(json.dumps({"cpu_variant": "zen4", "reads": rows, "peaks": peaks}))
    script = folder / "bench"
    script.write_text(f'#!/bin/sh\necho "$@" >{folder}/arguments\ncat {answer}\n')
    return ["/bin/sh", str(script)]


def test_instructions_without_use_do_not_count(tmp_path: Path) -> None:
    command = bench(tmp_path, {2: 5}, [row("bf16", 2, 900, used=False), row("bf16", 2, 50), row("f32", 2, 80)])
    assert Roofline.measured(command, 2) == Roofline("zen4", {2: 5}, {("bf16", 2): 50, ("f32", 2): 80})
    assert (tmp_path / "arguments").read_text() == "--roofline -t 2 -o json\n"


@pytest.mark.parametrize(("type_", "peak"), [("Q4_K", 400), ("IQ4_NL", 400), ("F16", 100), ("BF16", 100), ("F32", 100)])
def test_the_fastest_exact_instructions_count(type_: str, peak: float) -> None:
    """Those for bf16 may be slower than those for f32."""
    peaks = {("int8", 1): 400.0, ("bf16", 1): 60.0, ("f32", 1): 100.0, ("int8", 2): 800.0}
    assert Roofline("zen4", {}, peaks).peak(type_, 1) == peak


def test_facts_of_several_measurements() -> None:
    one = Roofline("zen4", {1: 10.004}, {("int8", 1): 500.04})
    two = Roofline("zen4", {2: 21}, {("int8", 2): 990})
    assert facts_of([one, two, Roofline("zen4", {1: 9}, {("int8", 1): 480})]) == {
        "variant": "zen4",
        "GB/s": {"1": [10.0, 9], "2": [21]},
        "peaks": [
            {"kind": "int8", "threads": 1, "GOP/s": [500.0, 480]},
            {"kind": "int8", "threads": 2, "GOP/s": [990]},
        ],
    }


def test_generation_reads_and_prompts_compute() -> None:
    work = Work(weight_bytes=2 * GIGA, each={"Q8_0": 3 * GIGA, "F32": 0}, last={"Q6_K": GIGA})
    roofline = Roofline("zen4", {1: 10}, {("int8", 1): 500, ("f32", 1): 50})
    assert tokens_per_second(work, roofline, 1, 1) == pytest.approx(5)
    assert tokens_per_second(work, roofline, 512, 1) == pytest.approx(512 / ((512 * 3 + 1) / 500))
    slow = Roofline("zen4", {1: 1000}, {("int8", 1): 8, ("f32", 1): 8})
    assert tokens_per_second(work, slow, 1, 1) == pytest.approx(2)


def test_each_type_takes_its_time() -> None:
    work = Work(weight_bytes=1, each={"Q8_0": GIGA, "F16": GIGA}, last={})
    roofline = Roofline("zen4", {2: 10}, {("int8", 2): 100, ("f32", 2): 25})
    assert tokens_per_second(work, roofline, 1, 2) == pytest.approx(1 / (1 / 100 + 1 / 25))


def test_work_of_a_model(tmp_path: Path) -> None:
    model = TinyModel(embedding=32, heads=2, feed_forward=64, layers=2)
    path = model.write(tmp_path / "model.gguf")
    work = work_of(path)
    matrices = 2 * (4 * 32 * 32 + 3 * 32 * 64)  # attention and feed-forward, in both layers
    assert sum(work.each.values()) == 2 * matrices
    assert sum(work.last.values()) == 2 * 32 * model.vocabulary
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    everything = sum(int(tensor.n_bytes) for tensor in tensors.values())
    unread = int(tensors["token_embd.weight"].n_bytes) if "output.weight" in tensors else 0
    assert work.weight_bytes == everything - unread
    assert work.operations(3) == {
        type_: 3 * work.each.get(type_, 0) + work.last.get(type_, 0) for type_ in {*work.each, *work.last}
    }
