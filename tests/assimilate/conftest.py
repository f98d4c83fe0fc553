"""Shared parts of the tests of the assimilate command: running it, files, and the schema of its JSON."""

from __future__ import annotations

import importlib.resources
import json
from typing import TYPE_CHECKING

import pytest

from apepack.format.link import link
from tests.builders.ape import foreign_ape, small_ape, small_program
from tests.builders.elf import AARCH64, X86_64, exit_program
from tests.builders.genuine import genuine_ape
from tests.conftest import run_module

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

SCHEMA = json.loads(importlib.resources.files("assimilate").joinpath("assimilate.schema.json").read_text())
MACOS_SIZE = len(small_program("macos-arm64"))


def assimilate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_module("assimilate", *arguments, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "amd64").write_bytes(exit_program(X86_64, status=5))
    (tmp_path / "arm64").write_bytes(exit_program(AARCH64, status=5))
    link([tmp_path / "amd64", tmp_path / "arm64"], tmp_path / "ape")
    (tmp_path / "foreign").write_bytes(foreign_ape(exit_program(X86_64, status=5)))
    (tmp_path / "foreign").chmod(0o755)
    (tmp_path / "genuine").write_bytes(genuine_ape("2023-10", (X86_64, AARCH64)))
    (tmp_path / "all").write_bytes(small_ape("freebsd-amd64", "macos-arm64"))
    return tmp_path
