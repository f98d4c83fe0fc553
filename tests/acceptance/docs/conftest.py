"""A checkout of its own, in which tests run make."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import tool

CHECKOUT: Final = Path(__file__).parents[3]
SOURCES: Final = ("zipalign", "apepack", "assimilate", "runtime", "man")
FILES: Final = ("Makefile", "constraints.txt", "constraints-deflate64.txt", "pyproject.toml")


@dataclass(frozen=True)
class Checkout:
    """A checkout without other builds; its environment is that of the tests."""

    folder: Path

    def make(self, *arguments: str, umask: int = -1, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run make, without what a make around the tests says to it."""
        outside = {
            name: value for name, value in os.environ.items() if not re.match("M.*(FLAGS|LEVEL)|DESTDIR|PREFIX", name)
        }
        command = [tool("make"), *arguments]
        result = subprocess.run(
            command, cwd=self.folder, env=outside, umask=umask, capture_output=True, text=True, check=False, timeout=600
        )
        assert not check or result.returncode == 0, result.stderr
        return result


@pytest.fixture(scope="session")
def checkout(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """After `make -j8`, which finds the program in the cache."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(CHECKOUT / name, folder)
    (folder / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name not in {"ready", "developed"}:
            (folder / ".venv" / path.name).symlink_to(path)
    (folder / ".venv" / "ready").touch()  # newer than what it is made of: nothing is to be set up
    made = Checkout(folder)
    made.make("-j8")
    return made
