"""Taking members of another archive."""

from __future__ import annotations

import os
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import Item, build
from tests.conftest import skip_without, tool
from tests.zipalign.command import run
from tools.lost_inputs import python_package
from zipalign import Member, add_files, check_archive, read_archive
from zipalign.errors import DuplicateNameError, InputFileError, MissingDependencyError, ZipFormatError
from zipalign.import_archive import imported_inputs
from zipalign.update import add_inputs, check_inputs

if TYPE_CHECKING:
    from pathlib import Path

    from zipalign import Archive
    from zipalign.member import Input

CONTENTS = {"model.gguf": b"GGUF" * 100000, "notes.txt": b"words " * 1000, "empty": b""}


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    path = tmp_path / "imported.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model.gguf", CONTENTS["model.gguf"], zipfile.ZIP_STORED)
        file.writestr("notes.txt", CONTENTS["notes.txt"], zipfile.ZIP_DEFLATED)
        file.writestr("empty", b"", zipfile.ZIP_DEFLATED)
        file.mkdir("directory")
    return path


def _added(path: Path, items: list[Input], *, level: int = 0) -> Archive:
    add_inputs(path, items, level=level)
    return read_archive(path)


def test_everything_is_stored_and_aligned(imported: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    (tmp_path / "extra").write_bytes(b"extra")
    done = run("x.llamafile", "--import", "imported.zip", "extra", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    archive = read_archive(path)
    assert [entry.name for entry in archive.entries] == [*CONTENTS, "extra"]
    assert all(entry.is_stored for entry in archive.entries)
    assert check_archive(path).ok
    with zipfile.ZipFile(path) as other:
        assert {name: other.read(name) for name in CONTENTS} == CONTENTS


def test_large_stored_member_goes_through_the_kernel(tmp_path: Path) -> None:
    data = os.urandom(5 << 20)
    add_files(tmp_path / "imported.zip", [Member("model.gguf", data)], alignment=1)
    path = tmp_path / "x.zip"
    archive = _added(path, imported_inputs(tmp_path / "imported.zip", path))
    entry = archive.entries[0]
    assert path.read_bytes()[entry.data_offset : entry.data_end] == data
    assert entry.data_offset % 65536 == 0


def test_imported_members_are_deflated(imported: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    archive = _added(path, imported_inputs(imported, path), level=9)
    assert [entry.method for entry in archive.entries] == [8, 8, 0]
    assert check_archive(path, alignment=1).ok


def test_times_and_modes(tmp_path: Path) -> None:
    imported, path = tmp_path / "imported.zip", tmp_path / "x.zip"
    script = Item(b"run.sh", b"#!", central={"external": 0o100700 << 16, "date": 1 << 5 | 1, "time": 0})
    windows = Item(b"win.txt", central={"made_by": 20, "external": 0o100755 << 16})
    imported.write_bytes(build([script, windows]))
    plain = _added(path, imported_inputs(imported, path)).entries
    assert [entry.record.external_attributes >> 16 for entry in plain] == [0o100755, 0o100644]
    assert {entry.record.date for entry in plain} == {0x576E}
    kept = _added(path, imported_inputs(imported, path, keep_times=True)).entries
    assert kept[0].record.date == 1 << 5 | 1


def test_refused(imported: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build())
    old = path.read_bytes()
    with pytest.raises(InputFileError):
        imported_inputs(path, path)
    link = Item(b"link", b"target", central={"external": 0o120777 << 16})
    (tmp_path / "link.zip").write_bytes(build([link]))
    with pytest.raises(InputFileError):
        imported_inputs(tmp_path / "link.zip", path)
    device = Item(b"tty", b"", central={"external": 0o020666 << 16})
    (tmp_path / "device.zip").write_bytes(build([device]))
    with pytest.raises(InputFileError, match="no regular file"):
        imported_inputs(tmp_path / "device.zip", path)
    with pytest.raises(DuplicateNameError) as caught:
        check_inputs(path, [Member("empty", b"")], imported_inputs(imported, path))
    assert caught.value.name == "empty"
    assert path.read_bytes() == old


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize("method", [0, 8])
def test_damaged_data_is_not_taken(method: int, level: int, tmp_path: Path) -> None:
    imported, path = tmp_path / "imported.zip", tmp_path / "x.zip"
    wrong = {"crc": 7}
    imported.write_bytes(build([Item(method=method, data=b"words " * 9, local=wrong, central=wrong)]))
    path.write_bytes(build())
    old = path.read_bytes()
    with pytest.raises(ZipFormatError) as caught:
        add_inputs(path, imported_inputs(imported, path), level=level)
    assert (caught.value.entry, caught.value.field) == ("a.txt", "data.crc")
    assert path.read_bytes() == old


def _deflate64(tmp_path: Path) -> Path:
    (tmp_path / "big").write_bytes(b"deflate64 " * 50000)
    run7 = [tool("7z"), "a", "-bso0", "-bsp0", "-tzip", "-mm=Deflate64", "imported.zip", "big"]
    import subprocess

    subprocess.run(run7, cwd=tmp_path, check=True)
    return tmp_path / "imported.zip"


def test_deflate64_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported, path = _deflate64(tmp_path), tmp_path / "x.zip"
    monkeypatch.setitem(sys.modules, "zipfile_deflate64", None)
    assert read_archive(imported).entries[0].method == 9
    with pytest.raises(MissingDependencyError) as caught:
        add_inputs(path, imported_inputs(imported, path))
    assert caught.value.package == "zipfile-deflate64"
    assert not path.exists()
    # A member that cannot be checked does not pass the check.
    with pytest.raises(MissingDependencyError, match="pip install zipfile-deflate64"):
        check_archive(imported, alignment=1)


def test_deflate64(tmp_path: Path) -> None:
    try:
        import zipfile_deflate64  # noqa: F401 -- whether it is there is the question
    except ImportError:
        skip_without(
            python_package("zipfile-deflate64"),
            "needs zipfile-deflate64 (the extra deflate64, which is built from source)",
        )
    imported, path = _deflate64(tmp_path), tmp_path / "x.zip"
    entry = _added(path, imported_inputs(imported, path)).entries[0]
    assert entry.is_stored
    assert path.read_bytes()[entry.data_offset : entry.data_end] == b"deflate64 " * 50000
    assert check_archive(imported, alignment=1).ok
    good = read_archive(imported).entries[0]
    data = bytearray(imported.read_bytes())
    data[good.data_offset + 20] ^= 0xFF
    imported.write_bytes(data)
    assert not check_archive(imported, alignment=1).ok
