"""What is checked on a machine with a GPU, in this order; a check that fails does not keep the others from running."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.gpu_check.bundle import unpack_runtime
from tools.gpu_check.llamafile import Llamafile
from tools.gpu_check.model import RandomModel
from tools.gpu_check.report import print_report

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cosine", "run_checks"]

_LIMIT = 440  # seconds after which no further check begins
_SMALL = RandomModel(embedding=1024, feed_forward=2816, layers=4, heads=16, heads_of_keys=4, vocabulary=2048)
_LARGE = RandomModel(embedding=2048, feed_forward=8192, layers=16, heads=32, heads_of_keys=8, vocabulary=32000)
_TYPES = ("F32", "F16", "Q8_0", "Q4_0", "Q4_K_S", "Q6_K")
_PROMPT = "The quick brown fox jumps over the lazy dog. The quick brown fox"
_COSINE_MIN = 0.9999


class Checks:
    """The checks, and the results that they share."""

    def __init__(self, folder: Path, gpu: str) -> None:
        self.folder = folder
        self.gpu = gpu
        self.begin = time.monotonic()
        self.runtime = Llamafile(unpack_runtime(folder))
        self.results: dict[str, Any] = {}

    def run(self) -> None:
        """Run all of them."""
        self._run("machine", self.machine)
        for check in (
            self.info, self.version, self.logits, self.partial, self.large_models, self.sandboxed, self.confined_calls,
            self.bench_gpu, self.streams, self.bench_cpu, self.bench_without,
        ):  # fmt: skip  # a list
            if time.monotonic() - self.begin < _LIMIT:
                self._run(check.__name__, check)
            else:
                self.results[check.__name__] = {"skipped": "no time is left"}

    def _run(self, name: str, check: Callable[[], Any]) -> None:
        begin = time.monotonic()
        try:
            self.results[name] = check()
        except Exception:  # noqa: BLE001  # the others tell something too
            self.results[name] = {"error": traceback.format_exc()[-3000:]}
        seconds = time.monotonic() - begin
        sys.stdout.write(f"--- {name} ({seconds:.1f} s) {json.dumps(self.results[name])[:1500]}\n")
        sys.stdout.flush()

    def machine(self) -> dict[str, str]:
        """What it is."""
        processors = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        facts = {"kernel": platform.release(), "cpu": f"{len(processors)} x {processors[0]}", "gpu": self.gpu}
        if shutil.which("nvidia-smi"):
            query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
            facts["nvidia-smi"] = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
        return facts

    def info(self) -> Any:
        """What the runtime finds."""
        result = self.runtime.run("--gpu-info-json")
        return json.loads(result.stdout) if result.returncode == 0 else {"error": result.stderr}

    def version(self) -> str:
        """What it computes with."""
        result = self.runtime.run("--gpu", self.gpu, "--version")
        return result.stdout + result.stderr

    def _quantized(self, source: Path, kind: str) -> Path:
        target = source.with_name(f"{source.stem}-{kind}.gguf")
        if not target.exists():
            options = ["--allow-requantize", "--pure"] if "K" in kind or kind == "F32" else []
            result = self.runtime.run(*options, source, target, kind, name="llamafile-quantize", limit=200)
            if result.returncode != 0:
                raise RuntimeError(result.stderr[-1000:])
        return target

    def _log_probabilities(self, model: Path, *options: object) -> list[float]:
        with self.runtime.serving("-m", model, "-c", 512, *options) as server:
            return server.log_probabilities(_PROMPT, _SMALL.vocabulary)

    def logits(self) -> dict[str, Any]:
        """The first token's logits, against those of the CPU with the same weights as 32-bit floats."""
        source = self.folder / "small.gguf"
        _SMALL.write(source)
        found = {}
        for kind in _TYPES:
            model = self._quantized(source, kind)
            reference = self._log_probabilities(self._quantized(model, "F32") if kind != "F32" else model, "-ngl", 0)
            on_gpu = self._log_probabilities(model, "--gpu", self.gpu, "-ngl", 99)
            similarity = cosine(reference, on_gpu)
            found[kind] = {
                "cosine": similarity,
                "difference": _difference(reference, on_gpu),
                "ok": similarity >= _COSINE_MIN,
            }
        return found

    def partial(self) -> dict[str, Any]:
        """The same with half of the layers on the GPU."""
        model = self._quantized(self.folder / "small.gguf", "F16")
        reference = self._log_probabilities(self._quantized(model, "F32"), "-ngl", 0)
        similarity = cosine(reference, self._log_probabilities(model, "--gpu", self.gpu, "-ngl", 2))
        return {"cosine": similarity, "ok": similarity >= _COSINE_MIN}

    def large_models(self) -> dict[str, int]:
        """Write the models for what follows."""
        source = self.folder / "large-F16.gguf"
        _LARGE.write(source)
        target = self.folder / "large-Q4_K.gguf"
        result = self.runtime.run("--pure", source, target, "Q4_K_S", name="llamafile-quantize", limit=200)
        if result.returncode != 0:
            raise RuntimeError(result.stderr[-1000:])
        return {path.name: path.stat().st_size for path in (source, target)}

    def _generate(self, *options: object) -> subprocess.CompletedProcess[str]:
        model = self.folder / "large-Q4_K.gguf"
        return self.runtime.run("-m", model, "-c", 1024, "-n", 32, "--temp", 0, "-p", _PROMPT, *options)

    def sandboxed(self) -> dict[str, Any]:
        """The same text with the sandbox and without."""
        free = self._generate("--gpu", self.gpu, "-ngl", 99, "--unsecure")
        inside = self._generate("--gpu", self.gpu, "-ngl", 99)
        same = free.stdout == inside.stdout and free.returncode == inside.returncode == 0
        return {"ok": same, "said": inside.stderr[-1500:], "text": inside.stdout[-200:], "free": free.stderr[-500:]}

    def confined_calls(self) -> dict[str, Any]:
        """What the sandbox refuses, where strace is installed."""
        if not shutil.which("strace"):
            return {"skipped": "no strace"}
        log = self.folder / "strace"
        options = ["--gpu", self.gpu, "-ngl", "99", "-m", self.folder / "large-Q4_K.gguf", "-c", "512", "-n", "4"]
        command = ["strace", "-f", "-o", str(log), *self.runtime.command(*options, "-p", _PROMPT)]
        subprocess.run(command, capture_output=True, check=False, timeout=100, stdin=subprocess.DEVNULL)
        lines = [re.sub(r"^\d+ +", "", line) for line in log.read_text(errors="replace").splitlines()]
        begin = max((at for at, line in enumerate(lines) if 'execve("/proc/self/fd' in line), default=0)
        lines = lines[begin:]
        refused = [line[:160] for line in lines if "EPERM" in line or "EACCES" in line]
        calls = sorted({line.partition("(")[0] for line in lines if re.match(r"[a-z0-9_]+\(", line)})
        opened = sorted(set(re.findall(r'open(?:at)?\([^"]*"([^"]+)"', "\n".join(lines))))
        return {"refused": sorted(set(refused))[:60], "calls": calls, "opened": opened[:300]}

    def _bench(self, *options: object, repetitions: int = 3) -> list[dict[str, Any]]:
        rows = []
        for name in ("large-Q4_K.gguf", "large-F16.gguf"):
            result = self.runtime.run(
                *("-m", self.folder / name, "-p", 512, "-n", 128, "-r", repetitions, "-o", "json", *options),
                name="llamafile-bench",
                limit=150,
            )
            if result.returncode != 0:
                raise RuntimeError(result.stderr[-1500:])
            for row in json.loads(result.stdout[result.stdout.index("[") :]):
                what = f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}"
                rows.append({"model": name, "test": what, "speed": row["avg_ts"], "spread": row["stddev_ts"]})
        return rows

    def bench_gpu(self) -> list[dict[str, Any]]:
        """Its speed, once its clocks have risen."""
        self._bench("--gpu", self.gpu, "-ngl", 99)
        return self._bench("--gpu", self.gpu, "-ngl", 99, repetitions=5)

    def bench_cpu(self) -> list[dict[str, Any]]:
        """The speed of the CPU beside it."""
        return self._bench("-ngl", 0, repetitions=1)

    def bench_without(self) -> dict[str, Any]:
        """The speed without one of the engine's ways, in turns."""
        found: dict[str, Any] = {}
        for name in ("COOPMAT2", "COOPMAT", "INTEGER_DOT_PRODUCT", "F16", "NOTHING"):
            runtime = self.runtime
            self.runtime = Llamafile(runtime.path, {**runtime.variables, f"GGML_VK_DISABLE_{name}": "1"})
            try:
                found[name] = self._bench("--gpu", self.gpu, "-ngl", 99)
            finally:
                self.runtime = runtime
        return found

    def streams(self) -> dict[str, Any]:
        """A server with four clients at once."""
        options = ("--gpu", self.gpu, "-ngl", 99, "-np", 4, "-c", 4096, "-m", self.folder / "large-Q4_K.gguf")
        with self.runtime.serving(*options) as server, ThreadPoolExecutor(4) as pool:
            begin = time.monotonic()
            jobs = [pool.submit(server.complete, prompt=_PROMPT, n_predict=64, temperature=0) for _ in range(4)]
            texts = [job.result()["content"] for job in jobs]
            seconds = time.monotonic() - begin
            log = server.log.read_text(errors="replace")
        return {"ok": len(texts) == 4 and all(texts), "speed": 4 * 64 / seconds, "log": log[-1500:]}


def _centred(values: list[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]


def cosine(left: list[float], right: list[float]) -> float:
    """Return the cosine of the angle between two lists of logits, from each of which a constant may be missing."""
    a, b = _centred(left), _centred(right)
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def _difference(left: list[float], right: list[float]) -> float:
    return max(abs(x - y) for x, y in zip(_centred(left), _centred(right), strict=True))


def run_checks(arguments: list[str]) -> int:
    """Run all checks and print what they found; arguments are a file for the results, and the GPU to ask for.

    Returns the exit status: 1 if a check failed.
    """
    gpu = arguments[1] if len(arguments) > 1 else "auto"
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        checks = Checks(Path(name), gpu)
        checks.run()
    if arguments:
        Path(arguments[0]).write_text(json.dumps(checks.results, indent=1), encoding="utf-8")
    return print_report(checks.results, sys.stdout)
