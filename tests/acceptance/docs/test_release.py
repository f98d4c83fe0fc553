"""Row H1 of the promises, for releases: one command makes all files."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from runtime import VERSION
from tests.acceptance.docs.conftest import CHECKOUT, Checkout
from tests.pipeline.conftest import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(900)  # it may install the checks, 60 MB
def test_the_files_of_a_release(checkout: Checkout, tmp_path: Path) -> None:
    """make release, for this platform: wheels that pass all checks, and a file that runs."""
    folder = tmp_path / "checkout"
    shutil.copytree(checkout.folder, folder, symlinks=True)
    for name in ("LICENSE", "NOTICE", "README.md", "constraints-release.txt"):
        shutil.copy2(CHECKOUT / name, folder)
    if (CHECKOUT / "build" / "release-venv" / "ready").is_file():
        (folder / "build" / "release-venv").symlink_to(CHECKOUT / "build" / "release-venv")
    said = Checkout(folder).make("release", "PLATFORMS=host").stdout
    assert (said.count(": PASSED"), said.count(": OK")) == (3, 2)
    names = {
        "llamafile", "llamafile.cdx.json", "SHA256SUMS", f"llamafile_toolchain-{VERSION}.tar.gz",
        f"llamafile_toolchain-{VERSION}-py3-none-any.whl", f"llamafile_runtime-{VERSION}-py3-none-any.whl",
    }  # fmt: skip  # a list
    assert {path.name for path in (folder / "dist").iterdir()} == names
    sums = [line.split() for line in (folder / "dist" / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in sums} == names - {"SHA256SUMS"}
    for digest, name in sums:
        assert sha256((folder / "dist" / name).read_bytes()).hexdigest() == digest
    assert run(folder / "dist" / "llamafile", "--version").stdout.startswith("llamafile ")
    assert json.loads((folder / "dist" / "llamafile.cdx.json").read_text())["bomFormat"] == "CycloneDX"
