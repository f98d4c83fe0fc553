"""Headers of tar archives: read by Python's tarfile and GNU tar, and aligned."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from apepack.oci import tar
from tests.conftest import tool

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["models/a.gguf", f"models/{'n' * 150}.gguf", f"models/{'é' * 120}.gguf"]
SIZES = [0, 1, (8 << 30) - 1, 8 << 30, 40 << 30]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES, ids=["short", "long", "not-ascii"])
def test_data_begins_at_a_multiple_of_4096_wherever_the_header_does(name: str, size: int) -> None:
    for offset in range(0, 3 * 4096, 512):
        header = tar.file_header(name, size, offset=offset)

        assert (offset + len(header)) % tar.SHARED_ALIGNMENT == 0
        assert len(header) <= 3 * tar.SHARED_ALIGNMENT
        with tarfile.open(fileobj=io.BytesIO(header + tar.END), mode="r|") as archive:
            found = archive.next()
        assert found is not None
        assert (found.name, found.size, found.mode, found.mtime) == (name, size, 0o644, 0)
        assert (found.uid, found.gid, found.uname, found.gname) == (0, 0, "", "")


def test_a_header_that_is_aligned_by_itself_has_no_comment() -> None:
    assert tar.file_header("a", 1, offset=4096 - 512) == tar.file_header("a", 1)


def test_gnu_tar_reads_them(tmp_path: Path) -> None:
    content = b"weights" * 1000
    head = tar.folder_header("models") + tar.link_header("models/link", "a")
    header = tar.file_header("models/a", len(content), mode=0o755, offset=len(head))
    (tmp_path / "x.tar").write_bytes(head + header + content + tar.padding(len(content)) + tar.END)

    command = ["tar", "--extract", "--file=x.tar", "--warning=all"]
    done = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)

    assert done.stderr == ""
    assert (tmp_path / "models/link").read_bytes() == content
    assert (tmp_path / "models/a").stat().st_mode & 0o777 == 0o755
    listed = subprocess.run([tool("bsdtar"), "-tf", "x.tar"], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert listed.stdout.split() == ["models/", "models/link", "models/a"]


def test_they_never_change() -> None:
    """Digests of layers depend on each byte: those of published weights must stay."""
    header = tar.folder_header("models") + tar.file_header("models/a.gguf", 12345678901, offset=512)

    assert hashlib.sha256(header).hexdigest() == "d78c9acd2ef289cf04a99ec840750f6bec918cd3c735711086d06a76fbfce7f6"
