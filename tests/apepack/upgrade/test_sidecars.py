"""What lies beside a llamafile that is upgraded: a signature, also one in the file, and a companion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apepack.errors import OutputError, SignedError
from apepack.upgrade.restoration import restore
from apepack.upgrade.undo_file import undo_path
from apepack.upgrade.upgrade import UpgradeOptions
from tests.apepack.upgrade.llamafiles import ALL, llamafile, runtime, upgraded
from zipalign import Member, add_files, read_archive, remove_entries

if TYPE_CHECKING:
    from pathlib import Path


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
