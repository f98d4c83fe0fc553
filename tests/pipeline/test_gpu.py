"""GPUs through Vulkan, on Mesa's software device: what they compute, and in which sandbox."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest

from runtime.platforms import host_platform
from tests.builders.vulkan import GPU, MODEL, PROMPT, WEAKER
from tests.conftest import skip_without, tool
from tools.gpu_check.checks import cosine
from tools.gpu_check.llamafile import Llamafile
from tools.lost_inputs import debian_package
from zipalign import read_archive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    host_platform().name != "linux-amd64", reason="needs linux-amd64, which has the program"
)

TYPES: Final = ("F32", "F16", "Q8_0", "Q4_0", "Q4_K_S", "Q6_K")
COSINE_MIN: Final = 0.9999


def quantized(product: Llamafile, source: Path, kind: str, folder: Path) -> Path:
    target = folder / f"{source.stem}-{kind}.gguf"
    options = ["--allow-requantize", "--pure"]
    result = product.run(*options, source, target, kind, name="llamafile-quantize")
    assert result.returncode == 0, result.stderr
    return target


def log_probabilities(product: Llamafile, model: Path, *options: str) -> list[float]:
    with product.serving("-m", model, "-c", "512", *options) as server:
        return server.log_probabilities(PROMPT, MODEL.vocabulary)


@pytest.mark.parametrize("kind", TYPES)
def test_logits_are_those_of_the_weights(product: Llamafile, model: Path, tmp_path: Path, kind: str) -> None:
    """Against the CPU with the same weights as 32-bit floats: with others it rounds what it multiplies by."""
    given = quantized(product, model, kind, tmp_path)
    exact = given if kind == "F32" else quantized(product, given, "F32", tmp_path)
    reference = log_probabilities(product, exact, "-ngl", "0")
    assert cosine(reference, log_probabilities(product, given, *GPU)) >= COSINE_MIN


def test_half_of_the_layers(product: Llamafile, model: Path, tmp_path: Path) -> None:
    reference = log_probabilities(product, quantized(product, model, "F32", tmp_path), "-ngl", "0")
    assert cosine(reference, log_probabilities(product, model, "--gpu", "vulkan", "-ngl", "1")) >= COSINE_MIN


def test_two_devices_share_the_layers(product: Llamafile, model: Path, tmp_path: Path) -> None:
    """The one that there is, twice."""
    twice = Llamafile(product.path, {**product.variables, "LLAMAFILE_GPUS": "0,0"})
    version = twice.run("--gpu", "vulkan", "--version")
    assert re.findall(r"computes with (Vulkan\d): ", version.stdout) == ["Vulkan0", "Vulkan1"]
    reference = log_probabilities(product, quantized(product, model, "F32", tmp_path), "-ngl", "0")
    for options in ((), ("--tensor-split", "3,1"), ("--split-mode", "none", "--main-gpu", "1")):
        assert cosine(reference, log_probabilities(twice, model, *GPU, *options)) >= COSINE_MIN, options


def test_a_server_with_four_clients(product: Llamafile, model: Path) -> None:
    with product.serving("-m", model, *GPU, "-np", "4", "-c", "1024") as server, ThreadPoolExecutor(4) as pool:
        wanted = {"prompt": PROMPT, "n_predict": 8, "temperature": 0, "ignore_eos": True}
        jobs = [pool.submit(lambda: server.complete(**wanted)) for _ in range(4)]
        assert [job.result()["tokens_predicted"] for job in jobs] == [8] * 4


def test_the_sandbox_costs_nothing_but_a_line(product: Llamafile, model: Path, tmp_path: Path) -> None:
    """What is refused inside is what the driver does without: the name of the user."""
    arguments = ("-m", model, *GPU, "-n", "8", "--temp", "0", "-p", PROMPT)
    free = product.run(*arguments, "--unsecure")
    log = tmp_path / "strace"
    traced = [tool("strace"), "-f", "-qq", "-e", "trace=!futex", "-o", str(log), *product.command(*arguments)]
    inside = subprocess.run(
        traced, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **product.variables}
    )
    assert (free.returncode, free.stderr) == (0, "")
    assert (inside.returncode, inside.stdout) == (0, free.stdout), inside.stderr
    assert inside.stderr.startswith(WEAKER)
    assert inside.stderr.count("\n") == 1
    refused = re.findall(r"^\d+ +(.*) = -1 (?:EPERM|EACCES)", log.read_text(), re.MULTILINE)
    needless = ("/etc/", "AF_UNIX", "setpriority")  # the latter for threads that compile
    assert all(any(part in call for part in needless) for call in refused), refused


def test_tools_and_other_modes(product: Llamafile, model: Path) -> None:
    bench = product.run("-m", model, "-p", "8", "-n", "4", "-r", "1", "-o", "json", *GPU, name="llamafile-bench")
    rows = json.loads(bench.stdout)
    assert [row["backends"] for row in rows] == ["Vulkan"] * 2
    with product.serving("-m", model, *GPU, "--embeddings", "--pooling", "mean") as server:
        assert server.get("/health") == {"status": "ok"}
        assert "computing with Vulkan0: llvmpipe" in server.log.read_text()


def test_what_is_there_is_listed(product: Llamafile) -> None:
    text = product.run("--gpu-info").stdout
    assert re.search(r"^device 0: llvmpipe .*\n  brand:    unknown\n  type:     software$", text, re.MULTILINE)
    assert "used with --gpu vulkan only" in text
    facts = json.loads(product.run("--gpu-info-json").stdout)
    assert [(device["type"], device["used"], device["defect"]) for device in facts["devices"]] == [
        ("software", False, "")
    ]


@pytest.mark.parametrize(
    ("platform", "linker"), [("linux-amd64", "ld-linux-x86-64.so.2"), ("linux-arm64", "ld-linux-aarch64.so.1")]
)
def test_the_program_needs_an_old_glibc_and_nothing_else(
    runtime: Path, tmp_path: Path, shader_cache: Path, platform: str, linker: str
) -> None:
    second = second_program(runtime, platform, tmp_path)
    output = subprocess.run([tool("readelf"), "-dV", second], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(\S+)\]", output))
    assert needed <= {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", linker}
    versions = [tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_(\d+\.\d+)", output)]
    assert max(versions) <= (2, 28)


def second_program(runtime: Path, platform: str, folder: Path) -> Path:
    """Write the second program of PLATFORM to FOLDER."""
    import zstandard

    entry = read_archive(runtime).entry(f"gpu/{platform}.zst")
    if entry is None:
        skip_without(
            debian_package("qemu-user-static"), f"needs the runtime for {platform}, which is made for qemu-user"
        )
    with runtime.open("rb") as file:
        file.seek(entry.data_offset)
        content = zstandard.ZstdDecompressor().decompress(file.read(entry.compressed_size))
    second = folder / "second"
    second.write_bytes(content)
    return second


def test_arm64_without_a_linker_says_so(arm64: Path, runtime: Path, tmp_path: Path, shader_cache: Path) -> None:
    """qemu-user shows it the files of this machine, which has none for arm64."""
    native = tmp_path / "native"
    subprocess.run([tool("assimilate"), "-q", "-t", "linux-arm64", "-o", str(native), str(runtime)], check=True)
    result = subprocess.run(
        [tool("qemu-aarch64-static"), native, "--gpu", "vulkan", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={},
    )
    assert result.returncode == 1
    assert "this system has no /lib/ld-linux-aarch64.so.1, the linker of glibc, which drivers need" in result.stderr


def test_an_old_processor_is_no_reason_to_crash(runtime: Path, tmp_path: Path) -> None:
    """The second program is compiled for AVX2."""
    native = tmp_path / "native"
    subprocess.run([tool("assimilate"), "-q", "-t", "linux-amd64", "-o", str(native), str(runtime)], check=True)
    result = subprocess.run(
        [tool("qemu-x86_64-static"), "-cpu", "Nehalem", native, "--gpu", "vulkan", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={},
    )
    assert result.returncode == 1
    assert "the part for GPUs needs a processor with AVX2" in result.stderr
