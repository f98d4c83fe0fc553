"""Default arguments and files of existing llamafiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apepack.errors import InputError, SignedError
from apepack.packing.lint import LintError
from apepack.provenance.verification import verify
from apepack.upgrade.members import ChangePolicy, add_members, change_arguments, read_arguments, remove_members
from apepack.upgrade.restoration import restore
from tests.apepack.upgrade.llamafiles import content, llamafile, runtime, upgraded
from tests.builders.gguf import TinyProjector
from zipalign import Member, add_files, check_archive, read_archive
from zipalign.errors import NoSuchEntryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DRY = ChangePolicy(dry_run=True)
DROP = ChangePolicy(drop_signature=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return llamafile(tmp_path / "x.llamafile", runtime(tmp_path / "old"), arguments=["--temp", "0.5"])


def check(path: Path) -> None:
    assert check_archive(path).ok
    assert verify(path).ok


def test_arguments_are_read(path: Path) -> None:
    assert read_arguments(path) == ["-m", "tiny.gguf", "--temp", "0.5", "..."]


def test_a_file_without_arguments_has_none(tmp_path: Path) -> None:
    assert read_arguments(runtime(tmp_path / "old")) == []


def test_arguments_are_replaced_behind_the_model(path: Path) -> None:
    weights = content(path, "tiny.gguf")

    result = change_arguments(path, ["--temp", "0", "-p", "two\nlines"])

    assert list(result.arguments or ()) == ["-m", "tiny.gguf", "--temp", "0", "-p", "two\nlines", "..."]
    assert content(path, ".args") == b"-m\ntiny.gguf\n--temp\n0\n-p\ntwo\\nlines\n...\n"
    assert content(path, "tiny.gguf") == weights
    assert result.replaced == (".args",)
    check(path)


def test_the_projector_stays_unless_another_one_is_named(path: Path, tmp_path: Path) -> None:
    projector = TinyProjector().write(tmp_path / "mmproj.gguf")
    add_members(path, [projector])
    change_arguments(path, ["--mmproj", "mmproj.gguf", "-c", "64"])
    assert read_arguments(path)[:4] == ["-m", "tiny.gguf", "--mmproj", "mmproj.gguf"]

    change_arguments(path, ["-c", "128"])

    assert read_arguments(path) == ["-m", "tiny.gguf", "--mmproj", "mmproj.gguf", "-c", "128", "..."]
    change_arguments(path, ["-m", "/zip/tiny.gguf"])
    assert read_arguments(path) == ["--mmproj", "mmproj.gguf", "-m", "/zip/tiny.gguf", "..."]


def test_a_file_of_arguments_is_stored_unchanged(path: Path) -> None:
    data = b"\xef\xbb\xbf-m\r\ntiny.gguf\r\n"
    change_arguments(path, data)
    assert content(path, ".args") == data


@pytest.mark.parametrize(
    ("given", "message"),
    [(["--grammar-file", "no.gbnf"], "no such member"), (["--temp 0.5"], "one line each"), (["a.gguf"], "no option")],
)
def test_arguments_are_checked_as_in_packing(path: Path, given: list[str], message: str) -> None:
    before = path.read_bytes()
    with pytest.raises(LintError, match=message):
        change_arguments(path, given)
    assert path.read_bytes() == before


def test_files_are_added(path: Path, tmp_path: Path) -> None:
    grammar = tmp_path / "folder" / "json.gbnf"
    grammar.parent.mkdir()
    grammar.write_bytes(b"root ::= [a-z]\n")

    assert add_members(path, [grammar], DRY).replaced == ()
    assert read_archive(path).entry("json.gbnf") is None
    assert add_members(path, [grammar]).names == ("json.gbnf",)
    grammar.write_bytes(b"root ::= [0-9]\n")
    assert add_members(path, [grammar]).replaced == ("json.gbnf",)

    assert content(path, "json.gbnf") == b"root ::= [0-9]\n"
    check(path)
    change_arguments(path, ["--grammar-file", "json.gbnf"])
    with pytest.raises(LintError, match="no such member"):
        remove_members(path, ["json.gbnf"])


def test_the_manifest_is_renewed_after_zipalign(path: Path) -> None:
    add_files(path, [Member("folder/a.txt", b"a")])
    assert not verify(path).ok
    assert add_members(path, []).names == ()
    check(path)


@pytest.mark.parametrize("name", [".args", "NOTICES", "manifest.json", "signature.json"])
def test_names_with_another_purpose_are_refused(path: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"text")
    before = path.read_bytes()
    with pytest.raises(LintError, match=r"apepack args|rename your file"):
        add_members(path, [tmp_path / name])
    assert path.read_bytes() == before


def test_damaged_weights_are_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "draft.gguf").write_bytes(b"GGUF" + bytes(9))
    with pytest.raises(InputError, match="damaged or incomplete"):
        add_members(path, [tmp_path / "draft.gguf"])


def test_files_are_removed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    add_members(path, [tmp_path / "a.txt"])

    with pytest.raises(NoSuchEntryError):
        remove_members(path, ["b.txt"])
    remove_members(path, ["a.txt"], DRY)
    assert read_archive(path).entry("a.txt")
    assert remove_members(path, ["a.txt"]).names == ("a.txt",)

    assert read_archive(path).entry("a.txt") is None
    check(path)


def test_the_model_and_the_runtime_are_not_removed(path: Path) -> None:
    before = path.read_bytes()
    for name, message in (("tiny.gguf", "no such member"), ("NOTICES", "it stays"), ("manifest.json", "it stays")):
        with pytest.raises(LintError, match=message):
            remove_members(path, [name])
    assert path.read_bytes() == before


def test_arguments_are_removed(path: Path) -> None:
    assert remove_members(path, [".args"]).arguments is None
    assert read_arguments(path) == []


def test_signed_files_are_refused(path: Path, tmp_path: Path) -> None:
    add_files(path, [Member("signature.json", b"{}\n")])
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "x.llamafile.sig").write_bytes(b"signed")
    changes: list[Callable[[ChangePolicy], object]] = [
        lambda policy: add_members(path, [tmp_path / "a.txt"], policy),
        lambda policy: change_arguments(path, ["--temp", "1"], policy),
        lambda policy: remove_members(path, ["a.txt"], policy),
    ]
    for change in changes:
        before = path.read_bytes()
        with pytest.raises(SignedError):
            change(ChangePolicy())
        assert path.read_bytes() == before
        change(DROP)
        assert read_archive(path).entry("signature.json") is None
        assert not (tmp_path / "x.llamafile.sig").exists()
        add_files(path, [Member("signature.json", b"{}\n")])


def test_what_was_added_stays_when_an_upgrade_is_undone(path: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"added since")
    old = path.read_bytes()
    upgraded(path, runtime(tmp_path / "new", page=100, seed=2))
    add_members(path, [tmp_path / "a.txt"])
    change_arguments(path, ["--temp", "0.25"])

    restore(path)

    assert content(path, "a.txt") == b"added since"
    assert read_arguments(path)[2:4] == ["--temp", "0.25"]
    assert path.read_bytes()[: len(old)] == old
    assert check_archive(path).ok


def test_what_was_added_stays_when_a_new_file_is_undone(tmp_path: Path) -> None:
    small = runtime(tmp_path / "small", platforms=("linux-amd64",), page=10, gpu=10)
    path = llamafile(tmp_path / "x.llamafile", small)
    old = path.read_bytes()
    upgraded(path, runtime(tmp_path / "new", platforms=("linux-amd64", "linux-arm64", "windows-amd64")))
    (tmp_path / "a.txt").write_bytes(b"added since")
    add_members(path, [tmp_path / "a.txt"])

    restore(path)

    assert content(path, "a.txt") == b"added since"
    assert path.read_bytes()[: len(old)] == old
    assert check_archive(path).ok
