"""Measure prompts of 8 K and 32 K tokens beside a native build, and write benchmarks/long_context.{md,json,svg}.

With flash attention, and a KV cache of 16-bit floats or quantised to 8 bits. Takes three minutes on two cores, most
of them for the native build with the quantised cache.
"""

from __future__ import annotations

import argparse
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, anonymous_kib, verdicts
from benchmarks.models import LONG_CONTEXT, long_model
from benchmarks.native import native_build, native_compilers, peers_python
from benchmarks.program import Program
from benchmarks.record import OURS, Record, workplace
from benchmarks.request import complete, running

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROUNDS: Final = 2
DEPTHS: Final = (8192, 32768)  # tokens of the prompt
CACHES: Final = ("f16", "q8_0")
GENERATED: Final = 64
WORDS: Final = range(300, 30000)  # tokens that are words
CONTEXT_MORE: Final = 256  # tokens, beyond the prompt
PROMPT, GENERATION = "prompt tokens/s", f"tokens/s of {GENERATED} after it"
MEMORY: Final = "anonymous KiB a token of context"
GOAL: Final = 0.98
TITLE: Final = "Long contexts, compared with a native build"
ABOUT: Final = f"""\
Written by `benchmarks/bench_long_context.py`. A model of random Q8_0 weights: one layer with 8 heads and 2 key heads
of 64, so that attention to 32 K tokens takes minutes, not hours; the ratio of two programs depends on the shape of one
layer. Its metadata say that it was trained for {LONG_CONTEXT} tokens. Both servers have the arguments
`-t 2 -np 1 -c N -fa on -ctk TYPE -ctv TYPE`, N being {CONTEXT_MORE} above the length of the prompt, which
is random words. Memory: by how much the server's anonymous memory after an answer is larger with the largest context
than with the smallest, divided by the difference of the contexts.
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the servers that are compared, and its command."""

    name: str
    command: Sequence[str]

    def measure(self, depth: int, cache: str) -> tuple[float, float, int]:
        """Return tokens/s of a prompt of DEPTH tokens, those after it, and KiB of anonymous memory then."""
        options = ["-t", "2", "-np", "1", "-c", str(depth + CONTEXT_MORE), "-fa", "on", "-ctk", cache, "-ctv", cache]
        prompt = random.Random(1).choices(WORDS, k=depth)  # noqa: S311 -- the same for all, and no secret
        with running([*self.command, *options]) as (server, port):
            answer = complete(port, {"prompt": prompt, "n_predict": GENERATED, "ignore_eos": True})
            timings = answer["timings"]
            if timings["prompt_n"] != depth or timings["predicted_n"] != GENERATED:
                raise ValueError(f"{self.name} computed other tokens than {depth} and {GENERATED}: {timings}")
            return timings["prompt_per_second"], timings["predicted_per_second"], anonymous_kib(server.pid)


def contestants(program: Program, model: Path) -> list[Contestant]:
    """Return ours, and the native server that is built by clang, the faster one, or by the only compiler there is."""
    compilers = native_compilers()
    name = next((name for name in compilers if name.startswith("clang")), next(iter(compilers)))
    native = native_build(name, compilers[name])
    return [
        Contestant(OURS, [*program.command("llamafile-server"), "--nobrowser"]),
        Contestant(native.name, [native.program("llama-server"), "-m", str(model)]),
    ]


def kib_per_token(memory: Mapping[int, int]) -> float:
    """Return by how many KiB the MEMORY, by the length of the context, grows with each token of it."""
    least, most = min(memory), max(memory)
    return (memory[most] - memory[least]) / (most - least)


def measure(record: Record, entrants: Sequence[Contestant], depths: Sequence[int]) -> None:
    """Measure everything once for each of the record's rounds."""
    for number in range(record.rounds):
        for cache in CACHES:
            for one in entrants[:: -1 if number % 2 else 1]:
                memory = {}
                for depth in depths:
                    prompt, generation, memory[depth] = one.measure(depth, cache)
                    for measured, value in ((PROMPT, prompt), (GENERATION, generation)):
                        record.cell(context=str(depth), cache=cache, measured=measured).add(one.name, value)
                if len(memory) > 1:
                    record.cell(context="", cache=cache, measured=MEMORY).add(one.name, kib_per_token(memory))


def limits(record: Record, other: str) -> list[Limit]:
    """Return the targets: as fast as the native build, and no more memory."""
    found = []
    for cell in record.cells:
        labels = cell.labels
        name = f"{labels['context']} {labels['cache']}, {labels['measured']}: {OURS} / {other}".strip()
        is_rate = labels["measured"] != MEMORY
        found.append(Limit(name, cell.ratio(other), GOAL if is_rate else round(1 / GOAL, 2), at_least=is_rate))
    return found


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS, help="tokens of the prompts")
    options = parser.parse_args()
    with workplace() as folder:
        bare = Program.pack(folder / "bare")
        model = long_model(bare.command("llamafile-quantize"), "Q8_0")
        program = Program.pack(folder / "model.llamafile", [model], ["-m", model.name])
        entrants = contestants(program, model)
        others = [entrants[1].name]
        record = Record("long_context", TITLE, ABOUT, "", options.rounds, program.versions(), digits=2)
        measure(record, entrants, options.depths)
        record.write(folder, others, others, verdicts(limits(record, *others)))
    subprocess.run([peers_python(), Path(__file__).with_name("plot.py"), record.name, *others], check=True)


if __name__ == "__main__":
    main()
