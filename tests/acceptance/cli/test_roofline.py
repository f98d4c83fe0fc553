"""`llamafile-bench --roofline`: what it measures with each variant, and its refusals. No rate is compared with any."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.cli.test_tools import run_as
from tests.acceptance.systems.test_processors import NAMES, can_run, output_of
from tests.builders.hosts import under_wine
from tests.conftest import tool

if TYPE_CHECKING:
    from pathlib import Path

NAME = "llamafile-bench"
COLUMNS = ["measured", "instructions", "threads", "best", "median", "unit"]
# The instructions of each variant that are used, by kind.
INT8_OF_OLD = "pmaddubsw, pmaddwd, paddd xmm"
USED = {
    "baseline": [("int8", INT8_OF_OLD), ("f32", "mulps, addps xmm")],
    "nehalem": [("int8", INT8_OF_OLD), ("f32", "mulps, addps xmm")],
    "sandybridge": [("int8", INT8_OF_OLD), ("f32", "vmulps, vaddps ymm")],
    "haswell": [("int8", "vpmaddubsw, vpmaddwd, vpaddd ymm"), ("f32", "vfmadd231ps ymm")],
    "alderlake": [("int8", "vpdpbusd ymm"), ("f32", "vfmadd231ps ymm")],
    "skylakex": [("int8", "vpmaddubsw, vpmaddwd, vpaddd zmm"), ("f32", "vfmadd231ps zmm")],
    "zen4": [("int8", "vpdpbusd zmm"), ("bf16", "vdpbf16ps zmm"), ("f32", "vfmadd231ps zmm")],
    "sapphirerapids": [
        ("int8", "tdpbssd"),
        ("int8", "vpdpbusd zmm"),
        ("bf16", "vdpbf16ps zmm"),
        ("f32", "vfmadd231ps zmm"),
    ],
}
USED_BY_ARM = {
    "cortex-a53": [("int8", "smull, smlal2, sadalp"), ("f32", "fmla v.4s")],
    "cortex-a76": [("int8", "sdot"), ("f16", "fmla v.8h"), ("f32", "fmla v.4s")],
    "max": [("int8", "smmla"), ("int8", "sdot"), ("f16", "fmla v.8h"), ("f32", "fmla v.4s")],
}


def checked(text: str, threads: list[int]) -> dict[str, Any]:
    """TEXT as JSON, in which all rates are there and plausible."""
    result: dict[str, Any] = json.loads(text)
    assert list(result) == ["cpu_info", "cpu_variant", "largest_cache", "memory_read", "reads", "peaks"]
    assert result["memory_read"] >= 64 << 20
    assert [row["n_threads"] for row in result["reads"]] == threads
    names = list(dict.fromkeys((row["kind"], row["instructions"]) for row in result["peaks"]))
    rows = [(row["kind"], row["instructions"], row["n_threads"]) for row in result["peaks"]]
    assert rows == [(*name, count) for name in names for count in threads]
    for row, unit in [*((row, "gb_s") for row in result["reads"]), *((row, "gop_s") for row in result["peaks"])]:
        assert row[f"best_{unit}"] >= row[f"median_{unit}"] > 0
    return result


def used(result: dict[str, Any]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["kind"], row["instructions"]) for row in result["peaks"] if row["is_used"]))


def as_bench(program: Path, folder: Path) -> Path:
    link = folder / NAME
    link.symlink_to(program)
    return link


def test_a_table(llamafile: Path) -> None:
    result = run_as(NAME, llamafile, "--roofline", "-t", "1-2")
    assert result.returncode == 0, result.stderr
    head, _, table = result.stdout.partition("\n\n")
    assert re.fullmatch(r"processor: .+, variant \w+\nread: \d+ MiB of memory(; the largest cache has \d+ MiB)?", head)
    rows = [[field.strip() for field in line.strip("|\n").split("|")] for line in table.splitlines()]
    assert rows[0] == COLUMNS
    assert [(row[0], row[2], row[5]) for row in rows[2:4]] == [("read", "1", "GB/s"), ("read", "2", "GB/s")]
    assert {row[5] for row in rows[4:]} == {"GOP/s"}
    assert all(float(row[3]) >= float(row[4]) > 0 for row in rows[2:])


def test_threads_are_chosen_as_for_models(llamafile: Path) -> None:
    result = run_as(NAME, llamafile, "--roofline", "--threads", "3,1-4*2", "--output", "json")
    assert result.returncode == 0, result.stderr
    checked(result.stdout, [1, 2, 3, 4])


def test_the_default_ends_with_all_cores(llamafile: Path) -> None:
    result = json.loads(run_as(NAME, llamafile, "--roofline", "-o", "json").stdout)
    threads = [row["n_threads"] for row in result["reads"]]
    assert threads[0] == 1
    assert threads == sorted(set(threads))
    checked(json.dumps(result), threads)


@pytest.mark.parametrize("name", NAMES)
def test_instructions_of_each_variant(amd64: Path, tmp_path: Path, name: str) -> None:
    """One that this processor cannot run is replaced, as always."""
    bench = as_bench(amd64, tmp_path)
    result = checked(output_of(bench, "--roofline", "-t", "1", "-o", "json", LLAMAFILE_CPU=name), [1])
    assert (result["cpu_variant"] == name) == can_run(amd64, name)
    assert used(result) == USED[result["cpu_variant"]]
    unused = {(row["kind"], row["instructions"]) for row in result["peaks"] if not row["is_used"]}
    assert unused <= ({("bf16", "tdpbf16ps")} if result["cpu_variant"] == "sapphirerapids" else set())


@pytest.mark.parametrize("processor", USED_BY_ARM)
def test_instructions_of_arm(arm64: Path, processor: str) -> None:
    emulated = [tool("qemu-aarch64-static"), "-cpu", processor, "-0", NAME, arm64]
    result = checked(output_of(*emulated, "--roofline", "-t", "1,2", "-o", "json"), [1, 2])
    assert used(result) == USED_BY_ARM[processor]
    unused = {(row["kind"], row["instructions"]) for row in result["peaks"] if not row["is_used"]}
    assert unused == ({("bf16", "bfmmla")} if processor == "max" else set())


def test_on_windows(windows: Path, tmp_path: Path) -> None:
    program = tmp_path / f"{NAME}.exe"
    program.symlink_to(windows)
    result = under_wine(program, "--roofline", "-t", "1,2", "-o", "json")
    assert result.returncode == 0, result.stderr
    checked(result.stdout, [1, 2])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-t", "0"], "-t takes numbers from 1 to 512, such as 1,2 or 1-8 or 1-64*2, not '0'"),
        (["-t", "1,,2"], "-t takes numbers from 1 to 512, such as 1,2 or 1-8 or 1-64*2, not '1,,2'"),
        (["--threads", "1-4*1"], "--threads takes numbers from 1 to 512, such as 1,2 or 1-8 or 1-64*2, not '1-4*1'"),
        (["-t", "1-600"], "-t takes numbers from 1 to 512, such as 1,2 or 1-8 or 1-64*2, not '1-600'"),
        (["-t", "4-2"], "-t takes numbers from 1 to 512, such as 1,2 or 1-8 or 1-64*2, not '4-2'"),
        (["-t"], "-t needs a value"),
        (["-o", "csv"], "with --roofline, -o takes md or json, not 'csv'"),
        (
            ["-m", "model.gguf"],
            "--roofline measures this machine without a model, and takes only -t and -o, not '-m'",
        ),
    ],
    ids=" ".join,
)
def test_refusals(llamafile: Path, arguments: list[str], sentence: str) -> None:
    result = run_as(NAME, llamafile, "--roofline", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(f": {sentence}\n")
    assert result.stderr.count("\n") == 1


def test_too_little_memory_is_an_error(amd64: Path, tmp_path: Path) -> None:
    limit = ["sh", "-c", 'ulimit -v 300000; exec "$@"', "sh", str(as_bench(amd64, tmp_path)), "--roofline", "-t", "1"]
    result = subprocess.run(limit, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.search(r": this system does not give the program \d+ MiB of memory to read from\n$", result.stderr)


def test_help_names_it(llamafile: Path) -> None:
    assert "\n  --roofline  " in run_as(NAME, llamafile, "-h").stdout
