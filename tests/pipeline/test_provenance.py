"""The product says what is in it, and that is so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runtime.builder.build_record import current_build_record
from tests.conftest import run_module

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_verified_and_reproduced(llamafile: Path, tmp_path: Path) -> None:
    verified = run_module("apepack", "verify", "--json", str(llamafile), cwd=tmp_path)
    assert (verified.stderr, verified.returncode) == ("", 0)
    (file,) = json.loads(verified.stdout)["files"]
    record = current_build_record()
    assert file["manifest"]["engine"]["source_sha256"] == record.source_sha256
    assert file["manifest"]["toolchain"]["revision"] == record.revision
    names = {member["name"] for member in file["manifest"]["members"]}
    assert {"NOTICES", "__main__.py", "pages/index.html"} <= names
    reproduced = run_module("runtime.cli", "--reproduce", str(llamafile), cwd=tmp_path)
    assert reproduced.stdout.splitlines() == [f"{name}: same" for name in file["platforms"]]
    assert reproduced.returncode == 0


def test_its_bill_of_materials_names_the_packages_of_the_page(llamafile: Path, tmp_path: Path) -> None:
    done = run_module("apepack", "sbom", str(llamafile), cwd=tmp_path)
    assert (done.stderr, done.returncode) == ("", 0)
    found = {component["name"]: component for component in json.loads(done.stdout)["components"]}
    assert found["musl libc (Linux)"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert found["svelte"]["purl"].startswith("pkg:npm/svelte@")
