"""Another runtime before the same weights: in place, and as a new file."""

from __future__ import annotations

import dataclasses
import subprocess
from typing import TYPE_CHECKING

import pytest

from apepack.errors import InputError
from apepack.packing.pack import PackInputs, pack
from apepack.packing.payload import ModelInput
from apepack.provenance.description import read_manifest
from apepack.upgrade.plan import Way
from apepack.upgrade.restoration import restore
from apepack.upgrade.undo_file import undo_path
from apepack.upgrade.upgrade import UpgradeOptions
from assimilate.conversion import assimilate
from assimilate.conversion import restore as unassimilate
from runtime.platforms import platform_named
from tests.apepack.upgrade.llamafiles import (
    ALL,
    check,
    content,
    llamafile,
    model,
    noise,
    runtime,
    upgraded,
    weights_offset,
)
from tests.builders.ape import LINUX
from tests.builders.gguf import TinyModel
from zipalign import Member, add_files, check_archive, read_archive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A runtime with one program."""
    return runtime(tmp_path / "small", platforms=LINUX[:1], page=10, gpu=10)


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


def test_all_models_of_a_file_and_their_list_stay(old: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    more = TinyModel(seed=2).write(tmp_path / "more.gguf")
    pack(PackInputs(model(tmp_path), more=[ModelInput(more)]), path, runtime=old)
    listed, arguments = content(path, "models.ini"), content(path, ".args")
    new = runtime(tmp_path / "new", page=60_000, gpu=4_000, seed=2)

    upgraded(path, new)

    check(path, new)
    assert content(path, "more.gguf") == more.read_bytes()
    assert (content(path, "models.ini"), content(path, ".args")) == (listed, arguments)
    manifest = read_manifest(path)
    assert manifest is not None
    assert [entry.member for entry in manifest.models] == ["tiny.gguf", "more.gguf"]


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


def test_no_undo_record_on_request(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)

    result = upgraded(path, runtime(tmp_path / "new", seed=2), UpgradeOptions(backup=False))

    assert result.undo is None
    assert not undo_path(path).exists()
