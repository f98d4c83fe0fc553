"""Weights are used where they lie: on every system, and whatever becomes of their file meanwhile."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest

from tests.acceptance.api.servers import free_port, wait_until_healthy
from tests.builders.gguf import TinyModel
from tests.conftest import tool
from tests.pipeline.conftest import QEMU
from zipalign import Member, add_files

if TYPE_CHECKING:
    from collections.abc import Iterator

GIB = 1 << 30
PROMPT = ("-p", "hello", "-n", "2", "--temp", "0")


@pytest.fixture(scope="module")
def engine(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program without an archive."""
    return Path(shutil.copy(program, tmp_path_factory.mktemp("engine") / "engine"))


def far_away(program: Path, model: Path, target: Path, offset: int) -> Path:
    """Return TARGET, PROGRAM with MODEL at OFFSET and nothing between, not even on disk."""
    shutil.copy(program, target)
    os.truncate(target, offset)
    add_files(target, [Member("model.gguf", model)])
    return target


@contextmanager
def serving(*command: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a server until it answers, and end it after the block at the latest."""
    port = free_port()
    arguments = [*command, "--server", "--nobrowser", "--port", str(port)]
    with subprocess.Popen(arguments, text=True, stderr=subprocess.PIPE) as server:
        try:
            wait_until_healthy(server, port)
            yield server, port
        finally:
            server.kill()


def completion(port: int) -> str:
    body = json.dumps({"prompt": "hello", "n_predict": 4, "temperature": 0, "cache_prompt": False}).encode()
    with urlopen(Request(f"http://127.0.0.1:{port}/completion", body), timeout=60) as answer:  # our own address
        return str(json.load(answer)["content"])


def shared_memory(process: int, file: Path) -> list[tuple[int, int, int]]:
    """The memory that PROCESS shares with FILE: where it begins and ends, and where it lies in the file."""
    text = Path(f"/proc/{process}/maps").read_text(encoding="utf-8")
    found = re.findall(rf"^(\w+)-(\w+) r--s (\w+) .* {re.escape(str(file))}$", text, re.MULTILINE)
    return [(int(start, 16), int(end, 16), int(offset, 16)) for start, end, offset in found]


def mapped_ranges(process: int, file: Path) -> list[tuple[int, int]]:
    """Where in FILE the memory lies that PROCESS shares with it."""
    return [(offset, offset + end - start) for start, end, offset in shared_memory(process, file)]


def test_d7_weights_in_another_llamafile_are_mapped_where_they_lie(
    engine: Path, tiny_model: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copy(engine, tmp_path / "other.llamafile"))
    draft = TinyModel(seed=2).write(tmp_path / "draft.gguf")
    members = [Member("draft.gguf", draft), Member("model.gguf", tiny_model), Member(".args", b"-m\nmodel.gguf\n")]
    entry = add_files(other, members).entry("model.gguf")
    assert entry is not None
    with serving(engine, "-m", other, "-md", f"{other}@draft.gguf") as (server, port):
        ranges = mapped_ranges(server.pid, other)
        assert completion(port)
    page = os.sysconf("SC_PAGESIZE")
    ((start, end),) = ranges
    assert entry.data_offset <= start < end <= -(-entry.data_end // page) * page
    assert end - start > entry.size // 2  # the engine lets go of the header with the vocabulary


def test_weights_begin_where_large_pages_can(engine: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Linux maps 2 MiB at once only where addresses and offsets in the file have the same remainder."""
    program = far_away(engine, tiny_model, tmp_path / "x", 5 << 30)
    with serving(program) as (server, _):
        found = shared_memory(server.pid, program)
    assert [(start - offset) % (2 << 20) for start, _, offset in found] == [0]


@pytest.mark.parametrize("is_old", [False, True], ids=["Linux", "Linux before 5.14"])
def test_weights_are_read_in_large_pages(engine: Path, tiny_model: Path, tmp_path: Path, *, is_old: bool) -> None:
    """A file that is not in memory yet is read 2 MiB at once, or, where Linux cannot, as the engine does it."""
    program = far_away(engine, tiny_model, tmp_path / "x", GIB)
    trace = tmp_path / "trace"
    tracing = [tool("strace"), "-f", "-qq", "-e", "trace=mmap,madvise", "-o", str(trace)]
    refusing = ["-e", "inject=madvise:error=EINVAL"] if is_old else []
    result = subprocess.run([*tracing, *refusing, program, *PROMPT], capture_output=True, check=True, timeout=60)
    assert result.stdout == subprocess.run([program, *PROMPT], capture_output=True, check=True, timeout=60).stdout
    calls = trace.read_text(encoding="utf-8")
    (asked,) = re.findall(r"madvise\((0x\w+, \d+), MADV_HUGEPAGE\) .*\n.* madvise\(\1, MADV_POPULATE_READ\)", calls)
    address, size = asked.split(", ")
    again = re.search(rf"mmap\({address}, {size}, PROT_READ, MAP_SHARED\|MAP_FIXED\|MAP_POPULATE, ", calls)
    assert (again is not None) == is_old


def quantized(engine: Path, folder: Path, file_type: str) -> Path:
    """A model of some 30 million weights."""
    single = TinyModel(embedding=1024, heads=16, feed_forward=4096, layers=2).write(folder / "F32.gguf")
    model = folder / f"{file_type}.gguf"
    quantize = Path(shutil.copy(engine, folder / "llamafile-quantize"))
    subprocess.run([quantize, single, model, file_type], capture_output=True, check=True, timeout=60)
    return model


def private_memory(process: int) -> int:
    """Bytes that PROCESS has for itself."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    (size,) = re.findall(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    return int(size) * 1024


def test_half_precision_is_computed_with_as_it_lies(engine: Path, tmp_path: Path) -> None:
    """Other types may be copied into the order that the processor computes fastest with; here that gains nothing."""
    model = quantized(engine, tmp_path, "F16")
    used, answers = [], []
    for options in ([], ["--no-repack"]):
        with serving(engine, "-m", model, *options) as (server, port):
            answers.append(completion(port))
            used.append(private_memory(server.pid))
    assert used[0] - used[1] < model.stat().st_size // 2
    assert answers[0] == answers[1]


def test_the_cache_of_a_context_takes_memory_as_it_is_used(engine: Path, tmp_path: Path) -> None:
    """An answer rarely needs all that its context has room for."""
    model = TinyModel(context=16384, layers=64).write(tmp_path / "model.gguf")
    used = []
    for context in (256, 16384):
        with serving(engine, "-m", model, "-c", str(context), "--parallel", "1") as (server, port):
            completion(port)
            used.append(private_memory(server.pid))
    cache = 2 * 16384 * 32 * 2 * 64  # keys and values, of half precision, in each layer
    assert used[1] - used[0] < cache // 4


def test_large_pages_are_requested_for_copied_weights(engine: Path, tmp_path: Path) -> None:
    """Many systems give them only so. Of other memory, which would take up more with them, a part is used."""
    model = quantized(engine, tmp_path, "Q4_0")
    trace = tmp_path / "trace"
    tracing = [tool("strace"), "-f", "-qq", "-e", "trace=mmap,madvise", "-o", str(trace)]
    sizes = []
    for options in ([], ["--no-repack"]):
        command = [*tracing, str(engine), "-m", str(model), *options, *PROMPT]
        subprocess.run(command, capture_output=True, check=True, timeout=120)
        calls = trace.read_text(encoding="utf-8")
        mapped = re.findall(r"mmap\(\w+, \d+, PROT_READ, MAP_SHARED.* = (0x\w+)", calls)
        asked = re.findall(r"madvise\((0x\w+), (\d+), MADV_HUGEPAGE\)", calls)
        sizes.append(sum(int(size) for address, size in asked if address not in mapped))
    assert sizes[0] > model.stat().st_size // 2
    assert sizes[1] == 0


def test_e6_address_spaces_of_39_bits(arm64: Path, tiny_model: Path, tmp_path: Path) -> None:
    """What small arm64 boards and phones have: a file of 40 GiB fits."""
    program = far_away(arm64, tiny_model, tmp_path / "x", 40 * GIB)
    command = [tool(QEMU), "-R", "0x8000000000", str(program), "--unsecure", *PROMPT]
    result = subprocess.run(command, capture_output=True, check=False, timeout=300)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(b"hello")


def test_a_file_larger_than_the_address_space(engine: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Under a limit like that of ulimit -v, weights that cannot be mapped are read."""
    program = far_away(engine, tiny_model, tmp_path / "x", 8 * GIB)
    expected = subprocess.run([program, *PROMPT], capture_output=True, check=True, timeout=60)
    result = subprocess.run(
        [program, *PROMPT],
        capture_output=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (GIB, GIB)),
    )
    assert (result.returncode, result.stdout) == (0, expected.stdout)
    assert expected.stderr == b""
    assert b"'model.gguf' cannot be mapped into memory here" in result.stderr


@pytest.mark.parametrize("member", [False, True], ids=["a file", "a member"])
def test_a_file_system_that_maps_nothing(engine: Path, tiny_model: Path, tmp_path: Path, *, member: bool) -> None:
    """Some of those in user space refuse mmap: the weights are read, with one line that says why it takes longer."""
    archive = tmp_path / "weights.zip"
    add_files(archive, [Member("model.gguf", tiny_model)])
    file, name = (archive, f"{archive}@model.gguf") if member else (tiny_model, str(tiny_model))
    trace = ["-f", "-qq", "-o", str(tmp_path / "trace"), "-P", str(file), "-e", "inject=mmap:error=ENODEV"]
    command = [tool("strace"), *trace, str(engine), "-m", name, *PROMPT]
    result = subprocess.run(command, capture_output=True, check=False, timeout=120)
    mapped = subprocess.run([engine, "-m", name, *PROMPT], capture_output=True, check=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, mapped.stdout)
    (line,) = result.stderr.decode().splitlines()
    assert f"'{name}' cannot be mapped into memory here" in line
    refused = subprocess.run([*command, "-lm", "mmap"], capture_output=True, check=False, timeout=120)
    assert refused.returncode == 1  # who asks for it gets it, or hears why not
    assert b"mmap failed" in refused.stderr


def test_a_file_that_is_deleted_or_replaced_keeps_answering(engine: Path, tiny_model: Path, tmp_path: Path) -> None:
    program = Path(shutil.copy(engine, tmp_path / "x.llamafile"))
    add_files(program, [Member("model.gguf", tiny_model)])
    with serving(program) as (_, port):
        program.unlink()
        assert completion(port)
        program.write_text("something else")
        assert completion(port)


def test_a_file_that_is_cut_ends_it_with_a_sentence(engine: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The system takes the pages away; the program cannot answer then, but it must not be killed with no message."""
    model = Path(shutil.copy(tiny_model, tmp_path / "model.gguf"))
    with serving(engine, "-m", model) as (server, port):
        os.truncate(model, 0)
        with pytest.raises(OSError, match=r"closed|reset"):
            completion(port)
        assert server.wait(timeout=60) == 1
        assert server.stderr is not None
        assert "llamafile: the weights can no longer be read" in server.stderr.read().splitlines()[-1]
