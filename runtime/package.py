"""The Python package llamafile_runtime: its folders, and the codec of the manifest that names its files.

The wheel `llamafile-runtime` holds nothing else. Programs lie beside the licence texts, pages and part for GPUs that
belong to them, as in the cache of builds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from runtime.errors import RuntimeDamagedError

__all__ = ["DISTRIBUTION", "LOADERS", "MANIFEST_NAME", "PACKAGE", "PROGRAMS", "PackageFile", "PackageManifest"]

DISTRIBUTION: Final = "llamafile-runtime"
PACKAGE: Final = "llamafile_runtime"
MANIFEST_NAME: Final = "manifest.json"
# Folders of the package; a file in one of them that is named after a platform is its program, or its loader.
PROGRAMS: Final = "programs"
LOADERS: Final = "loaders"

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, order=True)
class PackageFile:
    """A file of the package.

    Attributes:
        path: relative to the package, with slashes.
        size: in bytes.
        sha256: of its content, in hexadecimal digits.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PackageManifest:
    """The content of the package.

    Attributes:
        toolchain: the version of the toolchain that built it, and can use it.
        platforms: the names of the platforms with a program, in the order of the platform table.
        loaders: those with a loader.
        files: all files but the manifest and Python's, sorted by path.
    """

    toolchain: str
    platforms: tuple[str, ...]
    loaders: tuple[str, ...]
    files: tuple[PackageFile, ...]

    def pack(self) -> bytes:
        """Return the bytes of the manifest, the same for equal contents."""
        files = [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in self.files]
        fields = {
            "version": _VERSION,
            "toolchain": self.toolchain,
            "platforms": list(self.platforms),
            "loaders": list(self.loaders),
            "files": files,
        }
        return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def unpack(cls, data: bytes) -> PackageManifest:
        """Return the manifest in DATA.

        Raises:
            RuntimeDamagedError: DATA is no manifest of this version.
        """
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields["version"] != _VERSION:
                raise RuntimeDamagedError(f"{MANIFEST_NAME} has version {fields['version']} (expected {_VERSION})")
            files = tuple(PackageFile(str(item["path"]), int(item["size"]), item["sha256"]) for item in fields["files"])
            return cls(str(fields["toolchain"]), tuple(fields["platforms"]), tuple(fields["loaders"]), files)
        except (ValueError, KeyError, TypeError) as error:
            raise RuntimeDamagedError(f"{MANIFEST_NAME} is no manifest") from error
