"""One file with the check and a runtime, which Python runs as it is."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

__all__ = ["RUNTIME", "make_bundle", "unpack_runtime"]

RUNTIME = "llamafile"
_FOLDER = Path(__file__).parent
_PACKAGES = ("tools", "tools/gpu_check")
_MAIN = """\
import sys
from tools.gpu_check.checks import run_checks
sys.exit(run_checks(sys.argv[1:]))
"""


def make_bundle(runtime: Path, output: Path) -> None:
    """Write OUTPUT, with the llamafile RUNTIME."""
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", _MAIN)
        for package in _PACKAGES:
            archive.writestr(f"{package}/__init__.py", "")
        for module in sorted(_FOLDER.glob("[!_]*.py")):
            archive.write(module, f"{_PACKAGES[-1]}/{module.name}")
        archive.write(runtime, RUNTIME)


def unpack_runtime(folder: Path) -> Path:
    """Unpack the runtime of the bundle that this module is in to FOLDER, and return its path."""
    bundle = _FOLDER.parents[1]
    target = folder / RUNTIME
    with zipfile.ZipFile(bundle) as archive, archive.open(RUNTIME) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    target.chmod(0o755)
    return target
