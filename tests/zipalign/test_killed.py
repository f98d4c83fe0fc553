"""The same promises on the real command: faults in system calls, SIGKILL, Ctrl-C, and two writers at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import tool
from tests.zipalign.command import COMMAND, environment, run
from zipalign import Member, add_files, check_archive, read_archive, recover
from zipalign.append_marker import AppendMarker
from zipalign.errors import NoSpaceError
from zipalign.lock import locked

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20

# (system call, which call of it in one thread, error, file): every call that changes the archive, in its order.
# For the small file they write marker, data, local header and directory; the large one is written by two threads.
INJECTED = [
    ("openat", 1, "ETXTBSY", "small"),
    ("flock", 1, "ENOLCK", "small"),
    ("pwrite64", 1, "ENOSPC", "small"),
    ("pwrite64", 2, "ENOSPC", "small"),
    ("pwrite64", 3, "EIO", "small"),
    ("pwrite64", 4, "ENOSPC", "small"),
    ("fdatasync", 1, "EIO", "small"),
    ("fdatasync", 2, "EIO", "small"),
    ("fdatasync", 3, "EIO", "small"),
    ("ftruncate", 1, "EIO", "small"),
    ("pwrite64", 2, "ENOSPC", "model.gguf"),
    ("pwrite64", 7, "EIO", "model.gguf"),
    ("pwrite64", 12, "ENOSPC", "model.gguf"),
]


def _llamafile(path: Path) -> bytes:
    path.write_bytes(b"MZqFpD='\n" + bytes(1000))
    add_files(path, [Member(".args", b"-m\nmodel.gguf\n")])
    return path.read_bytes()


def _writer(path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start zipalign on `path`, in its directory."""
    return subprocess.Popen(
        [*COMMAND, path.name, *arguments], cwd=path.parent, env=environment(), stderr=subprocess.PIPE, text=True
    )


def _slow_writer(path: Path) -> subprocess.Popen[str]:
    """Start zipalign on `path`, and return it as soon as it has written to it; it would write for seconds."""
    old_size = path.stat().st_size
    with path.with_name("hole").open("wb") as file:
        file.truncate(1 << 30)  # must be free on the disk, or the append does not begin
    writer = _writer(path, "-9", "hole")
    while path.stat().st_size == old_size and writer.poll() is None:
        time.sleep(0.01)
    return writer


@pytest.mark.slow
@pytest.mark.parametrize(("call", "when", "error", "file"), INJECTED)
def test_injected_fault(call: str, when: int, error: str, file: str, tmp_path: Path) -> None:
    strace = tool("strace")
    path = tmp_path / "x.llamafile"
    old = _llamafile(path)
    (tmp_path / "model.gguf").write_bytes(os.urandom(20 * MIB))
    (tmp_path / "small").write_bytes(b"small")
    # ftruncate once is the commit's; a fault there is answered by a second one, the rollback's.
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"]
    before = [strace, "-f", "-o", str(tmp_path / "trace"), "-P", str(path), *inject]
    done = run(path, file, cwd=tmp_path, before=before)
    assert f"= -1 {error}" in (tmp_path / "trace").read_text()
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("zipalign: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert path.read_bytes() == old


@pytest.mark.slow
def test_file_systems_without_the_fast_calls(tmp_path: Path) -> None:
    strace = tool("strace")
    path = tmp_path / "x.llamafile"
    _llamafile(path)
    model = os.urandom(9 * MIB)
    (tmp_path / "model.gguf").write_bytes(model)
    calls = ("ioctl:error=EXDEV", "sync_file_range:error=ENOSYS")
    inject = [word for call in calls for word in ("-e", f"inject={call}")]
    traced = "trace=ioctl,sync_file_range"
    before = [strace, "-f", "-o", str(tmp_path / "trace"), "-e", traced, *inject]
    assert run("x.llamafile", "model.gguf", cwd=tmp_path, before=before).returncode == 0
    trace = (tmp_path / "trace").read_text()
    assert all(f"{call.partition(':')[0]}(" in trace for call in calls)
    assert check_archive(path).ok
    entry = read_archive(path).entry("model.gguf")
    assert entry is not None
    assert path.read_bytes()[entry.data_offset : entry.data_end] == model


@pytest.mark.alone  # kills at random moments of a duration that it measured
@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    old = _llamafile(path)
    (tmp_path / "model.gguf").write_bytes(os.urandom(40 * MIB))
    start = time.perf_counter()
    assert run("x.llamafile", "model.gguf", cwd=tmp_path).returncode == 0
    whole = time.perf_counter() - start
    new = path.read_bytes()
    marker = AppendMarker(len(old))
    random_times = random.Random(50)
    interrupted = 0
    for _ in range(50):
        path.write_bytes(old)
        process = _writer(path, "model.gguf")
        time.sleep(random_times.uniform(0, whole))
        process.kill()
        process.communicate()
        assert path.read_bytes()[: len(old)] == old
        interrupted += recover(path) is not None
        left = bytearray(path.read_bytes())
        if len(left) > len(old):  # complete, but for wiping out the marker
            left[marker.offset : marker.end] = bytes(marker.SIZE)
        assert bytes(left) in {old, new}
    # Otherwise this test proves nothing.
    assert interrupted


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_like_any_error(number: signal.Signals, status: int, tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    old = _llamafile(path)
    process = _slow_writer(path)
    process.send_signal(number)
    _, message = process.communicate()
    assert process.returncode == status, message
    assert path.read_bytes() == old


@pytest.mark.slow
def test_two_writers_at_once(tmp_path: Path) -> None:
    names = ["one", "two"]
    for name in names:
        (tmp_path / name).write_bytes(os.urandom(4 * MIB))
    for number in range(20):
        path = tmp_path / f"{number}.llamafile"
        _llamafile(path)
        writers = {name: _writer(path, name) for name in names}
        present = {".args"}
        for name, writer in writers.items():
            _, message = writer.communicate()
            if writer.returncode == 0:
                present.add(name)
            else:
                other = next(other for other in writers.values() if other is not writer)
                # The first one may exit between the refusal and the look-up of its name.
                assert f"process {other.pid} (" in message or "by another process" in message
        assert len(present) > 1
        assert {entry.name for entry in read_archive(path).entries} == present
        assert check_archive(path).ok


@pytest.mark.slow
def test_a_writer_has_the_lock_until_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    old = _llamafile(path)
    (tmp_path / "two").write_bytes(b"two")
    first = _slow_writer(path)
    # Races alone do not prove that the lock is met: on a fast file system one writer ends before the other begins.
    first.send_signal(signal.SIGSTOP)
    second = run(path.name, "two", cwd=tmp_path)
    first.send_signal(signal.SIGTERM)
    first.send_signal(signal.SIGCONT)
    first.communicate()
    assert second.returncode == 1
    assert f"process {first.pid} (" in second.stderr
    assert first.returncode == 128 + signal.SIGTERM
    assert path.read_bytes() == old
    assert run(path.name, "two", cwd=tmp_path).returncode == 0


def test_the_second_writer_is_told_who(tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    old = _llamafile(path)
    with locked(path):
        done = run("--json", path, cwd=tmp_path)
        assert done.returncode == 1
        assert '"kind": "archive-busy"' in done.stdout
        assert f"process {os.getpid()}" in done.stdout
    assert path.read_bytes() == old


def test_running_program(tmp_path: Path) -> None:
    program = tmp_path / "sleep"
    program.write_bytes(_sleep())
    program.chmod(0o755)
    process = subprocess.Popen([str(program), "60"])
    try:
        done = run(program, program.parent, cwd=tmp_path)
        assert done.returncode == 1
        (tmp_path / "f").write_bytes(b"f")
        done = run(program, "f", cwd=tmp_path)
        assert done.returncode == 1
        assert "is running: stop it first, or work on a copy" in done.stderr
    finally:
        process.kill()
        process.wait()
    assert program.read_bytes() == _sleep()


def _sleep() -> bytes:
    from pathlib import Path

    return Path(tool("sleep")).resolve().read_bytes()


def test_no_space_is_found_before_the_first_byte(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    old = _llamafile(path)
    before = path.stat().st_mtime_ns
    nothing_free = os.statvfs_result((4096, 4096, 1000, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr("zipalign.transaction.os.statvfs", lambda _: nothing_free)
    with pytest.raises(NoSpaceError, match="more bytes are needed"):
        add_files(path, [Member("more", b"bytes")])
    assert path.read_bytes() == old
    assert path.stat().st_mtime_ns == before
