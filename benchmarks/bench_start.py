"""Measure the cost of starting a program from an APE, and write the table benchmarks/start.md.

The same small program for every platform is linked into one file and started in each way there is, beside itself as a
plain ELF program, and beside the same program in Python, packed into one file each by PyInstaller and by shiv,
which are installed for this by pip. All in one run and in turns, which takes a minute; other work waits where this may
have priority.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apepack.format.binfmt import BINFMT_CONFIGURATION, INTERPRETER
from apepack.format.link import LinkedApe, link, plan_link
from apepack.format.prologue import PROLOGUE_SIZE
from assimilate.conversion import assimilate
from benchmarks.measure import Limit, Measured, in_turns, load_sentence, machine, verdicts
from benchmarks.record import write_times
from runtime.builder.compilation import run_tool
from runtime.builder.loaders import loader_bytes
from runtime.builder.toolchain import compiler_flags, find_toolchain
from runtime.platforms import PLATFORMS, Platform, host_platform

ROUNDS: Final = 301
PYTHON_ROUNDS: Final = 31
HERE: Final = Path(__file__).parent
PYTHON: Final = ("python", "shiv", "shiv cold", "pyinstaller")
PEERS: Final = (
    "pyinstaller==6.22.3", "pyinstaller-hooks-contrib==2026.9", "altgraph==0.17.5", "packaging==26.3",
    "setuptools==84.2.1", "shiv==1.0.8", "click==8.5.1", "pip==26.3",
)  # fmt: skip  # two, and their dependencies
# A binfmt_misc that this process and its children have for themselves (Linux 6.7).
TIMES: Final = "times.json"
PRIVATE: Final = 'mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && exec "$@"'
REGISTER: Final = Path("/proc/sys/fs/binfmt_misc/register")
ABOVE_MAX: Final = 1.3  # milliseconds
PROLOGUE_MAX: Final = 64  # KiB
LOADERS_MAX: Final = 32  # KiB


@dataclass(frozen=True)
class Bench:
    """Where everything is, and the environment in which everything is started."""

    directory: Path

    @property
    def temporary(self) -> Path:
        """The value of TMPDIR."""
        return self.directory / "temporary"

    @property
    def environment(self) -> dict[str, str]:
        """A user's environment, with separate folders for files that are kept from one start to the next."""
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.directory), "LOGNAME": "bench",
            "TMPDIR": str(self.temporary), "SHIV_ROOT": str(self.directory / "shiv"),
        }  # fmt: skip  # a table

    def run(self, row: Measured) -> None:
        """Run a command once and note how long it took."""
        if row.output is not None:
            shutil.rmtree(self.directory / row.output, ignore_errors=True)
        nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        start = time.perf_counter()
        child = os.posix_spawn(row.command[0], row.command, self.environment, file_actions=nowhere)
        _, status = os.waitpid(child, 0)
        row.seconds.append(time.perf_counter() - start)
        if status:
            raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), row.command)

    def compile(self, platform: Platform) -> Path:
        """Compile the program for a platform."""
        toolchain = find_toolchain()
        output = self.directory / platform.name
        command = [str(toolchain.zig), "cc", *compiler_flags(platform, []), "-O2", "-s", "-o", str(output)]
        run_tool([*command, str(HERE / "hello.c")], toolchain.environment(self.directory), platform.name)
        return output

    def link(self) -> None:
        """Make one file for all platforms, a copy that is a program of this one, and the loader of this one."""
        link([self.compile(platform) for platform in PLATFORMS], self.directory / "hello")
        shutil.copy(self.directory / "hello", self.directory / "assimilated")
        assimilate(self.directory / "assimilated", host_platform())
        loader = self.directory / "ape"
        loader.write_bytes(loader_bytes(host_platform()))
        loader.chmod(0o755)

    def register(self) -> None:
        """Tell the kernel of the loader."""
        for line in BINFMT_CONFIGURATION.splitlines():
            if line.startswith(":"):
                REGISTER.write_text(line.replace(INTERPRETER, str(self.directory / "ape")))

    def pack_in_python(self) -> None:
        """Make one file by PyInstaller and one by shiv."""
        tools = self.directory / "tools"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(tools / "bin" / "python")]
        site = self.directory / "site"
        site.mkdir()
        shutil.copy(HERE / "hello.py", site)
        for command in (
            [sys.executable, "-m", "venv", "--without-pip", str(tools)],
            [*pip, "install", "--quiet", "--no-deps", *PEERS],
            [str(tools / "bin" / "pyinstaller"), "--onefile", "--name", "pyinstaller", "--log-level", "ERROR",
             "--distpath", "dist", "--workpath", "work", "--specpath", "work", str(HERE / "hello.py")],
            [str(tools / "bin" / "shiv"), "--site-packages", str(site), "-e", "hello:main", "-o", "hello.pyz"],
        ):  # fmt: skip  # one command each
            subprocess.run(command, check=True, cwd=self.directory, stderr=subprocess.DEVNULL)


def program(name: str) -> str:
    """Return the path of a command."""
    found = shutil.which(name)
    if found is None:
        sys.exit(f"bench_start: needs {name}")
    return found


def rows(bench: Bench) -> dict[str, Measured]:
    """Return every way to start the program."""
    path = str(bench.directory / "hello")
    loader_kept = f"temporary/.ape-{bench.environment['LOGNAME']}"
    python = str(bench.directory / "tools" / "bin" / "python")
    shiv = [python, str(bench.directory / "hello.pyz")]
    return {
        "elf": Measured("the ELF program itself", [str(bench.directory / host_platform().name)]),
        "assimilated": Measured("one file, assimilated", [str(bench.directory / "assimilated")]),
        "binfmt": Measured("one file, by binfmt_misc", [path]),
        "warm": Measured("one file, by sh", [program("sh"), path]),
        "cold": Measured("one file, by sh, the first time", [program("sh"), path], output=loader_kept),
        "sh": Measured("`sh -c 'exit 0'`", [program("sh"), "-c", "exit 0"]),
        "python": Measured("Python: `python hello.py`", [python, str(HERE / "hello.py")]),
        "shiv": Measured("Python: one file by shiv", shiv),
        "shiv cold": Measured("Python: one file by shiv, the first time", shiv, output="shiv"),
        "pyinstaller": Measured("Python: one file by PyInstaller", [str(bench.directory / "dist" / "pyinstaller")]),
    }


def limits(ways: dict[str, Measured], linked: LinkedApe) -> list[Limit]:
    """Return the targets for a start, and for the size of the parts that make it possible."""
    above = {name: (ways[name].median - ways["elf"].median) * 1000 for name in ("warm", "binfmt", "assimilated")}
    loaders = sum(image.loader.size for image in linked.images)
    return [
        *(Limit(f"{ways[name].name}: ms above the ELF program", above[name], ABOVE_MAX) for name in above),
        Limit("the script with its headers and padding, in KiB", PROLOGUE_SIZE / 1024, PROLOGUE_MAX),
        Limit("loaders for two machines, in KiB", loaders / 1024, LOADERS_MAX),
        Limit("everything before the first program, in KiB", linked.images[0].span.offset / 1024, PROLOGUE_MAX),
    ]


def table(ways: dict[str, Measured]) -> str:
    """Return the ways as a table in Markdown."""
    lines = ["| started | median | middle half of all | above the ELF program |", "|---|---:|---:|---:|"]
    for row in ways.values():
        first, third = row.middle_half
        above = row.median - ways["elf"].median
        spread = f"{first * 1000:.2f} to {third * 1000:.2f} ms"
        lines.append(f"| {row.name} | {row.median * 1000:.2f} ms | {spread} | {above * 1000:.2f} ms |")
    return "\n".join(lines) + "\n"


def measure(bench: Bench) -> str:
    """Start everything and return the times."""
    bench.register()
    ways = rows(bench)
    for row in ways.values():  # fills the caches
        bench.run(row)
        row.seconds.clear()
    in_turns([row for name, row in ways.items() if name not in PYTHON], ROUNDS, bench.run)
    in_turns([ways[name] for name in PYTHON], PYTHON_ROUNDS, bench.run)
    times = {row.name: row.seconds for row in ways.values()}
    (bench.directory / TIMES).write_text(json.dumps(times))
    linked = plan_link([bench.directory / platform.name for platform in PLATFORMS])
    return f"## Targets\n\n{verdicts(limits(ways, linked))}\n## Starts\n\n{table(ways)}"


def measured_apart(bench: Bench) -> str:
    """Measure in a namespace where this process may register APE programs without affecting others.

    As root, with real-time priority: most starts are shorter than a busy processor's scheduling delay.
    """
    command = ["unshare", "-Urm", "sh", "-c", PRIVATE, "sh", sys.executable, "-m", "benchmarks.bench_start"]
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    result = subprocess.run([*command, str(bench.directory)], cwd=HERE.parent, check=False, stdout=subprocess.PIPE)
    if result.returncode:
        sys.exit("bench_start: needs a binfmt_misc of its own for each namespace (Linux 6.7)")
    return result.stdout.decode()


def main() -> None:
    """Make everything, measure it, and write the table."""
    if sys.argv[1:]:
        sys.stdout.write(measure(Bench(Path(sys.argv[1]))))
        return
    before = os.getloadavg()[0]
    bench = Bench(Path(tempfile.mkdtemp(prefix="start-bench-")))
    try:
        bench.temporary.mkdir()
        bench.link()
        bench.pack_in_python()
        tables = measured_apart(bench)
        where = machine(bench.directory)
        times = json.loads((bench.directory / TIMES).read_text())
    finally:
        shutil.rmtree(bench.directory)
    peers = " and ".join(name.replace("==", " ") for name in PEERS if name.startswith(("pyinstaller=", "shiv")))
    rows = [Measured(name, [], seconds=seconds) for name, seconds in times.items()]
    write_times("start", "Cost of starting a program from one file", where, {"start": rows})
    (HERE / "start.md").write_text(f"""# Cost of starting a program from one file

Written by `benchmarks/bench_start.py`; all in one run and in turns; {ROUNDS} starts each, {PYTHON_ROUNDS} of Python.
The program prints one line. The single file holds it for {len(PLATFORMS)} platforms.
The Python version is packed by {peers}.

Machine: {where}.

{load_sentence(before)}
{tables}""")
    print(f"wrote {HERE / 'start.md'}")  # noqa: T201 -- a program, not a library


if __name__ == "__main__":
    main()
