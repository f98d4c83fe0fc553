"""D1, F7, F8: one program computes with the best instructions that a processor has, and with none that it lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from runtime.builder.cpu_variants import BASELINE, variants_of
from runtime.platforms import platform_named
from tests.builders.gguf import TinyModel
from tests.builders.hosts import under_wine
from tests.conftest import tool

AMD64, ARM64 = "qemu-x86_64-static", "qemu-aarch64-static"
WITH_AMX = "sapphirerapids"
PROMPT = "The capital of France is"
# The last one is zen4 with matrix registers; that zen4 does without is shown where there are some: to use them, a
# program must ask Linux first.
NAMES = [BASELINE, *(variant.name for variant in variants_of(platform_named("linux-amd64"))), WITH_AMX]
# The best that each emulated processor can run. Emulation knows no AVX-512 and no AVX-VNNI.
PROCESSORS = [
    ("core2duo", BASELINE),
    ("Penryn", BASELINE),
    ("Nehalem", "nehalem"),
    ("Westmere", "nehalem"),
    ("SandyBridge", "sandybridge"),
    ("IvyBridge", "sandybridge"),
    ("Haswell", "haswell"),
    ("max", "haswell"),
    ("max,-avx2", "sandybridge"),
    ("max,-xsave", "nehalem"),  # instructions without the registers
]
PROCESSORS_OF_ARM = [
    ("cortex-a53", BASELINE),
    ("cortex-a72", BASELINE),
    ("a64fx", BASELINE),  # SVE, but no dot products
    ("cortex-a76", "fp16"),
    ("max,sve=off", "i8mm"),
    ("max", "sve"),
]


def output_of(*command: object, **variables: str) -> str:
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        timeout=300,
        env=os.environ | variables,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def variant_of(*command: object, **variables: str) -> str:
    """Which one a program says that it computes with."""
    (name,) = re.findall(
        r"^computes with the variant for: (\w+)$", output_of(*command, "--version", **variables), re.MULTILINE
    )
    return str(name)


def can_run(program: Path, name: str) -> bool:
    return variant_of(program, LLAMAFILE_CPU=name) == name


def answers_of_all(program: Path, *arguments: object) -> set[str]:
    """What comes of ARGUMENTS with each variant that this processor can run."""
    return {output_of(program, *arguments, LLAMAFILE_CPU=name) for name in NAMES if can_run(program, name)}


@pytest.mark.parametrize(("processor", "name"), PROCESSORS)
def test_d1_old_and_new_processors(amd64: Path, tiny_model: Path, processor: str, name: str) -> None:
    """The best variant is chosen, and computes what it computes on this machine, to the last digit."""
    emulated = [tool(AMD64), "-cpu", processor, amd64]
    assert variant_of(*emulated) == name
    arguments = ["-m", tiny_model, "-p", "hello", "-n", "16", "--temp", "0"]
    assert output_of(*emulated, *arguments) == output_of(amd64, *arguments, LLAMAFILE_CPU=name)


@pytest.mark.parametrize(("processor", "name"), PROCESSORS_OF_ARM)
def test_f8_processors_of_arm(arm64: Path, tiny_model: Path, processor: str, name: str) -> None:
    emulated = [tool(ARM64), "-cpu", processor, arm64]
    assert variant_of(*emulated) == name
    arguments = ["-m", tiny_model, "-p", "hello", "-n", "16", "--temp", "0"]
    assert output_of(*emulated, *arguments).startswith("hello")


@pytest.mark.parametrize("name", NAMES)
def test_f7_each_variant_knows_the_capital(amd64: Path, smollm2: Path, name: str) -> None:
    if not can_run(amd64, name):
        assert variant_of(tool(AMD64), "-cpu", "max", amd64, LLAMAFILE_CPU=name) != name
        return
    model = f"{smollm2}@SmolLM2-135M-Instruct.Q4_1.gguf"
    answer = output_of(amd64, "-m", model, "-p", PROMPT, "-n", "2", "--temp", "0", LLAMAFILE_CPU=name)
    assert answer == f"{PROMPT} Paris.\n"


@pytest.mark.parametrize("heads_per_key", [1, 2, 4])
def test_f7_variants_agree_on_any_attention(amd64: Path, tmp_path: Path, heads_per_key: int) -> None:
    """Each multiplies matrices by functions of its own, and keys are such, shared by one head, some, or all."""
    model = TinyModel(embedding=256, heads=4, heads_per_key=heads_per_key, layers=2).write(tmp_path / "model.gguf")
    arguments = ["-m", model, "-p", "hello world how are you", "-n", "16", "--temp", "0"]
    without, with_ = (answers_of_all(amd64, *arguments, "--flash-attn", attention) for attention in ("off", "on"))
    assert without == with_
    assert len(with_) == 1, with_


@pytest.mark.parametrize("prompt", ["a", "abc", "hello world how are you", "hello " * 40], ids=len)
def test_f7_variants_agree_on_half_precision(amd64: Path, tmp_path: Path, prompt: str) -> None:
    """The best function for it depends on how many tokens there are at once."""
    single = TinyModel(embedding=256, heads=4, layers=2).write(tmp_path / "F32.gguf")
    quantize = Path(shutil.copy(amd64, tmp_path / "llamafile-quantize"))
    output_of(quantize, single, tmp_path / "F16.gguf", "F16")
    answers = answers_of_all(amd64, "-m", tmp_path / "F16.gguf", "-p", prompt, "-n", "8", "--temp", "0")
    assert len(answers) == 1, answers


def test_f7_windows_chooses_as_linux_does(amd64: Path, windows: Path) -> None:
    said = under_wine(windows, "--version").stdout.replace("\r", "")
    expected = variant_of(amd64).replace(WITH_AMX, "zen4")
    assert f"computes with the variant for: {expected}\n" in said


def test_f7_variants_that_a_processor_cannot_run_are_skipped(amd64: Path) -> None:
    result = subprocess.run(
        [tool(AMD64), "-cpu", "Nehalem", amd64, "--version"],
        env=os.environ | {"LLAMAFILE_CPU": "zen4"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "LLAMAFILE_CPU names nothing that this processor can run; using 'nehalem'" in result.stderr
    assert result.stdout.endswith(": nehalem\n")


def test_f7_the_log_names_it(amd64: Path, tiny_model: Path) -> None:
    command = [str(amd64), "-m", str(tiny_model), "-p", "hello", "-n", "1", "-v"]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stderr
    assert f"computing with the variant for: {variant_of(amd64)}\n" in said
