"""The programs whose speed is compared: ours, native builds, the Python package, and an earlier llamafile."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.earlier import earlier_llamafile
from benchmarks.native import WITHOUT_AMX, has_amx, native_build, native_compilers, peers_python
from benchmarks.program import Program
from runtime.builder.artifacts import ENGINE_SDIST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "NEXT_BEST",
    "Contestant",
    "Test",
    "earlier_contestants",
    "native_contestants",
    "our_contestants",
    "python_contestants",
]

# The rows of a table: the processor instructions that may be used.
_ALL: Final = "all"
_NO_AMX: Final = WITHOUT_AMX.strip()
NEXT_BEST: Final = "zen4"
_MAIN_RIVAL: Final = "clang"  # or the first compiler that there is
# The same as llama-bench: one warm-up, then the tokens of a prompt in one call, and token after token.
_ASK_PYTHON: Final = """
import json, sys, time
from llama_cpp import Llama
threads, prompt, generated = map(int, sys.argv[2:])
model = Llama(sys.argv[1], n_ctx=prompt, n_batch=prompt, n_threads=threads, n_threads_batch=threads, verbose=False)
seconds = []
for tokens, calls in ((prompt, 1), (prompt, 1), (1, 1), (1, generated)):
    model.reset()
    start = time.perf_counter()
    for _ in range(calls):
        model.eval([model.token_bos()] * tokens)
    seconds.append(time.perf_counter() - start)
print(json.dumps([prompt / seconds[1], generated / seconds[3]]))
"""


@dataclass(frozen=True, slots=True)
class Test:
    """The numbers of tokens that are measured."""

    __test__ = False  # not a test of pytest's

    prompt: int
    generated: int

    @property
    def names(self) -> tuple[str, str]:
        """Those of both parts."""
        return f"prompt {self.prompt}", f"generate {self.generated}"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the programs that are compared, and its command."""

    name: str
    command: Sequence[str]  # in front of the arguments
    rows: Sequence[str] = (_ALL,)
    is_python: bool = False
    has_all_types: bool = False  # whether it is measured with the models of benchmarks.models.MORE_TYPES

    def measure(self, model: str, threads: int, test: Test) -> tuple[float, float]:
        """Return tokens per second of a prompt, and generated."""
        counts = [str(test.prompt), str(test.generated)]
        if self.is_python:
            prompt, generated = json.loads(_output([*self.command, "-c", _ASK_PYTHON, model, str(threads), *counts]))
            return prompt, generated
        options = ["-p", counts[0], "-n", counts[1], "-t", str(threads), "-r", "1", "-o", "json"]
        tests = json.loads(_output([*self.command, "-m", model, *options]))
        return tests[0]["avg_ts"], tests[1]["avg_ts"]


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def our_contestants(name: str, program: Program) -> list[Contestant]:
    """Return PROGRAM, under NAME, with all instructions and without AMX."""
    command = program.command("llamafile-bench")
    without_amx = Contestant(name, ["env", f"LLAMAFILE_CPU={NEXT_BEST}", *command], (_NO_AMX,), has_all_types=True)
    return [Contestant(name, command, has_all_types=True), *([without_amx] if has_amx() else [])]


def earlier_contestants(folder: Path) -> list[Contestant]:
    """Return the llamafile of the last tag, a copy of it in FOLDER, if there is one; say so if there is none."""
    earlier = earlier_llamafile()
    if earlier.path is None:
        sys.stderr.write(f"no earlier llamafile to compare with: {earlier.reason}\n")
        return []
    folder.mkdir()
    return our_contestants(earlier.name, Program.pack(folder / "earlier.llamafile", built=earlier.path))


def native_contestants() -> list[Contestant]:
    """Return the native builds; the first of them is measured with all types."""
    found = [one for name, compilers in native_compilers().items() for one in _natives(name, compilers)]
    main_name = next((one.name for one in found if one.name.startswith(_MAIN_RIVAL)), found[0].name)
    marked = [replace(one, has_all_types=one.name == main_name) for one in found]
    return sorted(marked, key=lambda one: not one.has_all_types)


def _natives(name: str, compilers: tuple[str, str]) -> list[Contestant]:
    native = native_build(name, compilers)
    command = [native.program("llama-bench")]
    if not has_amx():
        return [Contestant(native.name, command)]
    if native.name.endswith(WITHOUT_AMX):
        return [Contestant(native.name, command, (_ALL, _NO_AMX))]
    other = native_build(name, compilers, amx=False)
    return [Contestant(name, command), Contestant(name, [other.program("llama-bench")], (_NO_AMX,))]


def python_contestants() -> list[Contestant]:
    """Return the Python package: pip compiles it with the first compiler, so it has the same instructions."""
    name, compilers = next(iter(native_compilers().items()))
    rows = _natives(name, compilers)[0].rows
    return [Contestant(ENGINE_SDIST.distribution, [str(peers_python())], rows, is_python=True)]
