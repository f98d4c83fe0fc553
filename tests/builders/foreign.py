"""Python 3.13 for processors that this machine does not have, run by qemu-user; .ci/foreign-python fetches it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ForeignPython", "without_ours"]

_FOLDER: Final = Path(__file__).parents[2] / "build" / "foreign"


def without_ours(folder: Path, packages: Sequence[str]) -> Path:
    """Make FOLDER one for PYTHONPATH, with installed PACKAGES and nothing of this checkout, and return it."""
    for name in packages:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        place = Path(found.origin).parent
        for path in (place, place.with_name(f"{name}.libs")):
            if path.exists():
                (folder / path.name).symlink_to(path)
    return folder


@dataclass(frozen=True)
class ForeignPython:
    """Such a Python, with the gguf package of this machine's: it is the same everywhere."""

    architecture: str
    scratch: Path

    def __post_init__(self) -> None:
        if not (self._root / "ready").exists():
            pytest.skip(f"needs Python for {self.architecture}: .ci/foreign-python {self.architecture} fetches it")
        for name in ("packages", "bytecode"):
            (self.scratch / name).mkdir()
        without_ours(self.scratch / "packages", ("gguf", "yaml"))

    @property
    def _root(self) -> Path:
        return _FOLDER / self.architecture

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run it, and return what became of it."""
        libraries = self._root / "usr" / "lib" / f"{self.architecture}-linux-gnu"
        path = f"{libraries / 'blas'}:{libraries / 'lapack'}"  # as the base system's alternatives would have it
        emulator = [tool(f"qemu-{self.architecture}-static"), "-L", str(self._root), "-E", f"LD_LIBRARY_PATH={path}"]
        return subprocess.run(
            [*emulator, str(self._root / "usr" / "bin" / "python3.13"), *map(str, arguments)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=300,
            cwd=cwd,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(self.scratch / "packages"),
                "PYTHONPYCACHEPREFIX": str(self.scratch / "bytecode"),
            },
        )
