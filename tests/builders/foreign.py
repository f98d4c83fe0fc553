"""Python for processors that this machine does not have, run by qemu-user; tools/foreign_python.py fetches it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import skip_without, tool
from tools.foreign_python import emulated
from tools.lost_inputs import python_for

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ForeignPython", "without_ours"]


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
        try:
            tool(emulated(self.architecture)[0])
        except FileNotFoundError:
            command = f"python3 -m tools.foreign_python {self.architecture}"
            skip_without(python_for(self.architecture), f"needs what `{command}` fetches")
        for name in ("packages", "bytecode"):
            (self.scratch / name).mkdir()
        without_ours(self.scratch / "packages", ("gguf", "yaml"))

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run it, and return what became of it."""
        return subprocess.run(
            [*emulated(self.architecture), *map(str, arguments)],
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
