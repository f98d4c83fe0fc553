"""Another runtime before the same weights: in place, and as a new file."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from apepack.errors import InputError, OutputError, SignedError
from apepack.packing.lint import LintError
from apepack.provenance.description import read_manifest
from apepack.provenance.verification import verify
from apepack.upgrade.plan import Way
from apepack.upgrade.restoration import restore
from apepack.upgrade.undo_file import undo_path
from apepack.upgrade.upgrade import UpgradeOptions
from assimilate.conversion import assimilate
from assimilate.conversion import restore as unassimilate
from runtime.platforms import platform_named
from tests.apepack.upgrade.llamafiles import content, llamafile, model, noise, runtime, upgraded
from tests.builders.ape import LINUX
from tests.builders.genuine import ERAS, genuine_ape
from tests.conftest import tool
from zipalign import Member, add_files, check_archive, read_archive, remove_entries
from zipalign.errors import NoSpaceError, RunningFileError

if TYPE_CHECKING:
    from pathlib import Path

MAPPING = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    view = mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_READ)
print("mapped", flush=True)
sys.stdin.read()
"""
ALL = ("linux-amd64", "linux-arm64", "windows-amd64", "macos-arm64", "freebsd-amd64")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A llamafile whose runtime takes some 300 KB."""
    return runtime(tmp_path / "old", page=70_000, gpu=5_000)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A runtime with one program."""
    return runtime(tmp_path / "small", platforms=LINUX[:1], page=10, gpu=10)


def weights_offset(path: Path) -> int:
    entry = read_archive(path).entry("tiny.gguf")
    assert entry is not None
    return entry.data_offset


def check(path: Path, source: Path) -> None:
    """PATH begins with the runtime SOURCE, is a sound archive, and its manifest is true."""
    expected = read_archive(source)
    assert path.read_bytes()[:0x10000] == source.read_bytes()[:0x10000]
    names = {entry.name for entry in read_archive(path).entries}
    assert {entry.name for entry in expected.entries} | {"tiny.gguf", ".args"} <= names
    for entry in expected.entries:
        if entry.name != "manifest.json":
            assert content(path, entry.name) == content(source, entry.name), entry.name
    report = check_archive(path)
    assert report.ok, report.findings
    for program, *options in (("unzip", "-tq"), ("7z", "t", "-tzip", "-bso0", "-bsp0")):
        assert subprocess.run([tool(program), *options, path], check=False, capture_output=True).returncode == 0
    assert verify(path).ok


def test_in_place_the_weights_stay(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    before, inode, offset = path.read_bytes(), path.stat().st_ino, weights_offset(path)
    new = runtime(tmp_path / "new", page=60_000, gpu=4_000, seed=2)

    result = upgraded(path, new)

    assert (result.plan.way, result.undo) == (Way.IN_PLACE, undo_path(path))
    assert (path.stat().st_ino, weights_offset(path)) == (inode, offset)
    check(path, new)
    assert subprocess.run(["sh", path], check=False).returncode == 5
    front, block = result.plan.front_size, result.plan.old.block
    assert not any(path.read_bytes()[front : block.offset])
    assert path.read_bytes()[block.offset : block.end] == before[block.offset : block.end]
    assert restore(path)
    assert path.read_bytes() == before
    assert not undo_path(path).exists()


def test_members_that_do_not_fit_go_behind_the_weights(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    before, offset = path.read_bytes(), weights_offset(path)
    new = runtime(tmp_path / "new", page=70_000, gpu=200_000, seed=2)

    result = upgraded(path, new)

    assert (result.plan.way, weights_offset(path)) == (Way.IN_PLACE, offset)
    entry = read_archive(path).entry("gpu/shaders.zst")
    assert entry is not None
    assert entry.data_offset > offset
    assert entry.data_offset % 65536 == 0
    check(path, new)
    third = runtime(tmp_path / "third", page=60_000, gpu=100, seed=3)
    upgraded(path, third)
    check(path, third)
    assert weights_offset(path) == offset
    restore(path)
    check(path, new)
    assert before != path.read_bytes()


def test_a_runtime_that_does_not_fit_makes_a_new_file(small: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", small)
    offset, inode = weights_offset(path), path.stat().st_ino
    path.chmod(0o750)
    new = runtime(tmp_path / "new", platforms=ALL, page=300_000, seed=2)

    result = upgraded(path, new)

    assert result.plan.way is Way.COPY
    assert path.stat().st_ino != inode
    assert path.stat().st_mode & 0o777 == 0o750
    assert weights_offset(path) == offset + result.plan.shift
    assert result.plan.shift % 65536 == 0
    reserve = result.plan.old.block.offset + result.plan.shift - result.plan.front_size
    assert reserve >= new.stat().st_size // 4
    check(path, new)
    larger = runtime(tmp_path / "larger", platforms=ALL, page=350_000, seed=3)
    assert upgraded(path, larger).plan.way is Way.IN_PLACE
    check(path, larger)
    restore(path)
    check(path, new)


def test_a_new_file_leads_back_too(small: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", small)
    before = path.read_bytes()
    upgraded(path, runtime(tmp_path / "new", platforms=ALL, page=300_000, seed=2))

    assert restore(path)

    assert path.read_bytes() == before
    assert not undo_path(path).exists()


def test_another_output_leaves_the_file_alone(old: Path, tmp_path: Path) -> None:
    path, output = llamafile(tmp_path / "x.llamafile", old), tmp_path / "y.llamafile"
    before = path.read_bytes()
    new = runtime(tmp_path / "new", page=10, gpu=10, seed=2)

    result = upgraded(path, new, UpgradeOptions(output=output, reserve=1 << 20))

    assert (result.plan.way, result.undo) == (Way.COPY, None)
    assert path.read_bytes() == before
    assert weights_offset(output) >= result.plan.front_size + (1 << 20)
    assert sorted(file.name for file in tmp_path.iterdir() if "upgrade" in file.name) == []
    check(output, new)


def test_the_same_runtime_again_changes_nothing(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    before = path.read_bytes()

    assert upgraded(path, old).plan.way is Way.NONE

    assert path.read_bytes() == before
    assert not undo_path(path).exists()


def test_the_result_is_that_of_packing(old: Path, tmp_path: Path) -> None:
    """The members have the same names and contents, and so has the manifest."""
    path = llamafile(tmp_path / "x.llamafile", old)
    new = runtime(tmp_path / "new", page=60_000, seed=2)
    upgraded(path, new)
    packed = llamafile(tmp_path / "y.llamafile", new)

    assert read_manifest(path) == dataclasses.replace(
        read_manifest(packed),  # type: ignore[type-var]
        remainder_sha256=read_manifest(path).remainder_sha256,  # type: ignore[union-attr]
    )


def test_a_dry_run_changes_nothing_and_tells_the_truth(small: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", small)
    for new in (
        runtime(tmp_path / "new", page=60_000, seed=2),
        runtime(tmp_path / "newer", platforms=ALL, page=400_000, seed=3),
    ):
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        planned = upgraded(path, new, UpgradeOptions(dry_run=True))
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
        result = upgraded(path, new)
        facts = ("way", "front_size", "shift", "written_size", "space_needed", "saved_size", "size")
        assert [getattr(planned.plan, fact) for fact in facts] == [getattr(result.plan, fact) for fact in facts]


def test_files_of_the_author_stay(old: Path, tmp_path: Path) -> None:
    grammar, large = tmp_path / "json.gbnf", tmp_path / "large.bin"
    grammar.write_bytes(b"root ::= [a-z]\n")
    large.write_bytes(noise(2 << 20))
    path = llamafile(tmp_path / "x.llamafile", old, extra=[grammar, large], arguments=["--temp", "0.5"])
    places = {entry.name: entry.data_offset for entry in read_archive(path).entries}
    new = runtime(tmp_path / "new", page=60_000, seed=2)

    upgraded(path, new)

    for name in ("tiny.gguf", "json.gbnf", "large.bin", ".args"):
        entry = read_archive(path).entry(name)
        assert entry is not None
        assert entry.data_offset == places[name]
    assert content(path, "json.gbnf") == grammar.read_bytes()
    check(path, new)


def test_small_files_before_the_weights_go_behind_them(old: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    path.write_bytes(old.read_bytes())
    path.chmod(0o755)
    add_files(path, [Member("www/index.html", b"<p>ours" * 99), Member(".args", b"-m\ntiny.gguf\n...\n")])
    add_files(path, [Member("tiny.gguf", model(tmp_path))])
    before = path.read_bytes()
    new = runtime(tmp_path / "new", page=60_000, seed=2)

    upgraded(path, new)

    assert content(path, "www/index.html") == b"<p>ours" * 99
    assert content(path, ".args") == b"-m\ntiny.gguf\n...\n"
    check(path, new)
    restore(path)
    assert path.read_bytes() == before


def test_a_llamafile_without_weights(old: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    path.write_bytes(old.read_bytes())
    add_files(path, [Member("notes.txt", b"external weights")])
    before = path.read_bytes()
    new = runtime(tmp_path / "new", page=60_000, seed=2)

    assert upgraded(path, new).plan.way is Way.COPY

    assert content(path, "notes.txt") == b"external weights"
    assert check_archive(path).ok
    assert upgraded(path, new).plan.way is Way.NONE
    restore(path)
    assert path.read_bytes() == before


def test_what_the_author_replaced_stays_replaced(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    add_files(path, [Member("__main__.py", b"print('mine')\n")])
    new = runtime(tmp_path / "new", page=60_000, seed=2)
    add_files(new, [Member("__main__.py", b"from runtime.portable.cli import main\n"), Member("portable/a.py", b"")])

    upgraded(path, new)

    assert content(path, "__main__.py") == b"print('mine')\n"
    assert read_archive(path).entry("portable/a.py")


def test_a_packed_llamafile_lends_its_runtime_only(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    note = tmp_path / "note.txt"
    note.write_bytes(b"of the other model")
    new = runtime(tmp_path / "new", page=60_000, seed=2)
    other = llamafile(tmp_path / "other.llamafile", new, extra=[note], arguments=["--temp", "0.9"])

    upgraded(path, other)

    names = {entry.name for entry in read_archive(path).entries}
    assert "note.txt" not in names
    assert content(path, ".args") == b"-m\ntiny.gguf\n...\n"
    check(path, new)


def test_assimilation_before_and_after(old: Path, tmp_path: Path) -> None:
    macos = platform_named("macos-arm64")
    source = runtime(tmp_path / "older", platforms=ALL, page=70_000)
    path = llamafile(tmp_path / "x.llamafile", source)
    assimilate(path, macos)
    new = runtime(tmp_path / "new", platforms=ALL, page=60_000, seed=2)
    with pytest.raises(InputError, match="assimilate --restore"):
        upgraded(path, new)
    unassimilate(path)
    before = path.read_bytes()

    upgraded(path, new)
    after = path.read_bytes()
    for name in (*LINUX, "macos-arm64", "freebsd-amd64"):
        assimilate(path, platform_named(name))
        assert {entry.name for entry in read_archive(path).entries} >= {"NOTICES", "tiny.gguf", "manifest.json"}
        assert check_archive(path).ok
        unassimilate(path)
        assert path.read_bytes() == after
    restore(path)
    assert path.read_bytes() == before


def test_a_signed_llamafile_is_refused(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    new = runtime(tmp_path / "new", page=60_000, seed=2)
    add_files(path, [Member("signature.json", b"{}\n")])
    with pytest.raises(SignedError, match="--drop-signature"):
        upgraded(path, new)
    remove_entries(path, ["signature.json"])
    signature = tmp_path / "x.llamafile.sig"
    signature.write_bytes(b"signed")
    before = path.read_bytes()
    with pytest.raises(SignedError, match=r"x\.llamafile\.sig"):
        upgraded(path, new)
    assert path.read_bytes() == before

    upgraded(path, new, UpgradeOptions(drop_signature=True))

    assert not signature.exists()
    restore(path)
    assert signature.read_bytes() == b"signed"
    assert path.read_bytes() == before


def test_a_signature_in_the_file_is_dropped(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    add_files(path, [Member("signature.json", b"{}\n")])

    upgraded(path, runtime(tmp_path / "new", seed=2), UpgradeOptions(drop_signature=True))

    assert read_archive(path).entry("signature.json") is None


def test_no_undo_record_on_request(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)

    result = upgraded(path, runtime(tmp_path / "new", seed=2), UpgradeOptions(backup=False))

    assert result.undo is None
    assert not undo_path(path).exists()


def test_defaults_that_the_new_runtime_refuses(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    add_files(path, [Member(".args", b"-m\nother.gguf\n")])
    before = path.read_bytes()

    with pytest.raises(LintError, match=r"other\.gguf"):
        upgraded(path, runtime(tmp_path / "new", seed=2))

    assert path.read_bytes() == before


def test_a_companion_is_renewed(tmp_path: Path) -> None:
    old = runtime(tmp_path / "old", platforms=ALL, page=70_000)
    path = llamafile(tmp_path / "x.llamafile", old)
    companion = tmp_path / "x.exe"
    companion.write_bytes(old.read_bytes())
    new = runtime(tmp_path / "new", platforms=ALL, page=60_000, seed=2)

    result = upgraded(path, new, UpgradeOptions(windows_limit=new.stat().st_size + 1))

    assert result.companion == companion
    assert companion.read_bytes() == new.read_bytes()
    restore(path)
    assert companion.read_bytes() == old.read_bytes()
    assert upgraded(path, new, UpgradeOptions(windows_limit=new.stat().st_size + 1, companion=False)).companion is None
    assert companion.read_bytes() == old.read_bytes()


def test_a_file_that_is_no_companion_is_not_replaced(tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", runtime(tmp_path / "old", platforms=ALL))
    before = path.read_bytes()
    (tmp_path / "x.exe").write_bytes(b"another program")
    new = runtime(tmp_path / "new", platforms=ALL, seed=2)

    with pytest.raises(OutputError, match="--no-companion"):
        upgraded(path, new, UpgradeOptions(windows_limit=new.stat().st_size + 1))

    assert path.read_bytes() == before
    assert not undo_path(path).exists()


@pytest.mark.parametrize("era", ERAS)
def test_genuine_llamafiles_of_any_age(era: str, tmp_path: Path) -> None:
    path = tmp_path / "genuine.llamafile"
    path.write_bytes(genuine_ape(era))
    brought = [Member(".symtab.amd64", noise(5000)), Member("usr/share/zoneinfo/UTC", b"TZif2")]
    add_files(path, [*brought, Member("llama.cpp/ggml-cuda.cu", b"cuda" * 999)], level=6)
    add_files(path, [Member(".args", b"-m\ntiny.gguf\n"), Member("tiny.gguf", model(tmp_path))])
    path.chmod(0o755)
    before, offset = path.read_bytes(), weights_offset(path)
    new = runtime(tmp_path / "new", page=60_000, seed=2)

    result = upgraded(path, new)

    assert result.plan.way in {Way.IN_PLACE, Way.COPY}
    assert weights_offset(path) == offset + result.plan.shift
    assert set(result.plan.dropped) == {".symtab.amd64", "usr/share/zoneinfo/UTC", "llama.cpp/ggml-cuda.cu"}
    check(path, new)
    assert subprocess.run(["sh", path], check=False).returncode == 5
    restore(path)
    assert path.read_bytes() == before


def test_a_file_in_use_is_refused(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    with subprocess.Popen([sys.executable, "-c", MAPPING, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        user.stdout.readline()
        with pytest.raises(RunningFileError):
            upgraded(path, runtime(tmp_path / "new", seed=2))
        user.kill()
    assert not undo_path(path).exists()


def test_a_full_disk_is_noticed_before(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    before = path.read_bytes()
    new = runtime(tmp_path / "new", seed=2)
    space = os.statvfs(tmp_path)
    full = os.statvfs_result((*space[:3], 1, 1, *space[5:10]))
    monkeypatch.setattr("os.statvfs", lambda _: full)

    with pytest.raises(NoSpaceError):
        upgraded(path, new)

    assert path.read_bytes() == before
    assert not undo_path(path).exists()


@pytest.mark.parametrize("data", [b"", b"text\n" * 99, b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "zip"])
def test_other_files_are_refused(data: bytes, old: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)

    with pytest.raises(InputError, match="no llamafile"):
        upgraded(path, old)

    assert path.read_bytes() == data
