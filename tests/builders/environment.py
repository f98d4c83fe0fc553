"""A fresh Python environment with our wheels, as pip installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["fresh_environment"]


def fresh_environment(folder: Path, wheels: Iterable[Path]) -> Path:
    """Make the environment FOLDER, with WHEELS and what the toolchain requires; no extras, no pip, no network."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    program = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip())
    for name in required_by("llamafile-toolchain"):
        for top in {file.parts[0] for file in metadata.distribution(name).files or ()} - {"..", "__pycache__"}:
            place(Path(sysconfig.get_path("purelib")) / top, site / top)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    # Without bytecode: what the commands write besides their output would be seen.
    subprocess.run([*pip, "install", "--no-index", "--no-deps", "--no-compile", *wheels], check=True)
    subprocess.run([*pip, "check"], check=True, capture_output=True)
    return folder


def required_by(name: str) -> set[str]:
    """The distributions that NAME requires without extras, and those that these require."""
    found: set[str] = set()
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.name not in found and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
            found |= {requirement.name} | required_by(requirement.name)
    return found


def place(source: Path, target: Path) -> None:
    """Make TARGET the file or folder SOURCE, by links where the file system can."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=link, ignore=shutil.ignore_patterns("__pycache__"))
    elif not target.exists():
        link(source, target)


def link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
