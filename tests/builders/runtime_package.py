"""The Python package llamafile_runtime, with small programs in it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from runtime import VERSION
from runtime.package import LOADERS, MANIFEST_NAME, PACKAGE, PROGRAMS, PackageFile, PackageManifest
from tests.builders.elf import AARCH64, X86_64, exit_program

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_runtime_package"]

_FILES: Final = {
    f"{LOADERS}/linux-amd64": b"a loader",
    f"{PROGRAMS}/NOTICES": b"licences",
    f"{PROGRAMS}/linux-amd64": exit_program(X86_64, status=5),
    f"{PROGRAMS}/linux-arm64": exit_program(AARCH64, status=5),
}


def write_runtime_package(site: Path, toolchain: str = VERSION, platforms: tuple[str, ...] = ()) -> Path:
    """Write the package into the folder SITE of a Python path, and return its folder."""
    folder = site / PACKAGE
    for name, data in {"__init__.py": b"", **_FILES}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    files = tuple(PackageFile(name, len(data), sha256(data).hexdigest()) for name, data in sorted(_FILES.items()))
    platforms = platforms or ("linux-arm64", "linux-amd64")
    (folder / MANIFEST_NAME).write_bytes(PackageManifest(toolchain, platforms, ("linux-amd64",), files).pack())
    return folder
