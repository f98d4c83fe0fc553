"""Rows J1, J2, J6 and J7 of the promises: what the README of llamafile says of how it works.

J3 and J4 are tested in test_packaging.py. J5 and J8 say how the code of another project is written: see test_rows.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apepack.format.inspect import read_platforms
from apepack.format.prologue import SCAN_SIZE, Magic, parse_prologue
from runtime.builder.loaders import loader_bytes
from runtime.image.elf import Machine
from runtime.platforms import platform_named
from tests.acceptance.api.servers import serving
from tests.acceptance.packaging.packing import packed
from tests.builders.ape import LINUX
from tests.builders.programs import everywhere_ape
from tests.conftest import tool
from zipalign import read_archive

if TYPE_CHECKING:
    from collections.abc import Mapping

# Whatever moves bytes between a file and memory, or another file.
TRANSFERS = "read,readv,pread64,preadv,write,writev,pwrite64,pwritev,copy_file_range,sendfile,splice"


@pytest.fixture
def tiny(llamafile: Path, tiny_model: Path) -> Path:
    return packed(llamafile, tiny_model)


def transferred(log: Path) -> dict[str, int]:
    """How many bytes went from or to each file, by strace's account with -y."""
    total: dict[str, int] = {}
    for path, size in re.findall(r"\w+\(\d+<([^>]*)>.* = (\d+)$", log.read_text(errors="replace"), re.MULTILINE):
        total[path] = total.get(path, 0) + int(size)
    return total


def test_j1_it_starts_without_a_copy(smollm2: Path, bare: Mapping[str, str], tmp_path: Path) -> None:
    """Of a file of 100 MB, what is read is the vocabulary and the like; nothing as large is written anywhere."""
    log = tmp_path / "strace"
    trace = [tool("strace"), "-f", "-y", "-qq", "--seccomp-bpf", "-e", f"trace={TRANSFERS}", "-o", str(log)]
    command = [*trace, "/bin/sh", str(smollm2), "-p", "The capital of France is", "-n", "1", "--temp", "0"]
    result = subprocess.run(command, env=bare, capture_output=True, check=False, timeout=300)
    assert (result.returncode, result.stderr) == (0, b"")
    sizes = transferred(log)
    assert 0 < sizes[str(smollm2)] < smollm2.stat().st_size / 10
    assert max(sizes.values()) == sizes[str(smollm2)]


def test_j2_the_program_and_the_weights_are_mapped_from_one_file(
    tiny: Path, bare: Mapping[str, str], tmp_path: Path
) -> None:
    entry = read_archive(tiny).entry("tiny.gguf")
    assert entry is not None
    header = parse_prologue(tiny.read_bytes()[:SCAN_SIZE]).program(Machine.X86_64).header
    with serving(["/bin/sh", tiny, "--nobrowser"], tmp_path / "log", bare) as server:
        text = Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")
    maps = re.findall(rf"^\w+-\w+ (\S+) (\w+) .* {re.escape(str(tiny))}$", text, re.MULTILINE)
    code = [int(offset, 16) for rights, offset in maps if rights == "r-xp"]
    weights = [int(offset, 16) for rights, offset in maps if rights == "r--s"]
    assert any(header.phoff <= offset < entry.data_offset for offset in code)
    assert weights
    assert all(entry.data_offset <= offset < entry.data_end for offset in weights)


@pytest.mark.needs_compiler
def test_j6_programs_for_two_processors_behind_a_script_that_windows_takes_for_a_program() -> None:
    """What each system reads first, in the first 8192 bytes; for Linux, loaders of less than that."""
    data = everywhere_ape(Magic.MZ)
    assert data[:8] == b"MZqFpD='"
    prologue = parse_prologue(data[:SCAN_SIZE])
    assert {prologue.program(machine).header.machine for machine in (Machine.X86_64, Machine.AARCH64)} == {62, 183}
    assert "windows-amd64" in read_platforms(memoryview(data))
    for name in LINUX:
        loader = loader_bytes(platform_named(name))
        assert len(loader) < 8192
        assert loader in data


def test_j7_assimilated_it_needs_no_loader(tiny: Path, bare: Mapping[str, str], tmp_path: Path) -> None:
    """One execve, and nothing kept anywhere."""
    plain = Path(shutil.copy(tiny, tmp_path / "plain"))
    subprocess.run(["assimilate", plain], check=True, timeout=60)
    log = tmp_path / "strace"
    command = [tool("strace"), "-f", "-qq", "-e", "trace=execve", "-o", log, plain, "-p", "hello", "-n", "2"]
    result = subprocess.run([str(part) for part in command], env=bare, capture_output=True, check=False, timeout=120)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(b"hello")
    assert re.findall(r'execve\("([^"]+)"', log.read_text()) == [str(plain)]
    assert list(Path(bare["HOME"]).iterdir()) == []
