"""Debian's packages: where apt gets them, and where the cache keeps them, each under its SHA-256.

apt fetches and verifies them on any Debian or Ubuntu; on other systems, files are put into the cache by hand.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.builder.cache import cache_root
from runtime.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DebianPackage", "archive_site", "extract_package", "fetch_package", "is_kept", "kept_package", "sha256_of"]

_TIME_LIMIT: Final = 600  # seconds for one file


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """A pinned file in the pool of Debian's archive."""

    path: str
    sha256: str

    @property
    def file(self) -> str:
        """Its name."""
        return self.path.rpartition("/")[2]


def kept_package(sha256: str) -> Path:
    """Return the place of a package in the cache."""
    return cache_root() / "debian" / f"{sha256}.deb"


def is_kept(sha256: str) -> bool:
    """Say whether the cache holds it, whole."""
    path = kept_package(sha256)
    return path.is_file() and sha256_of(path) == sha256


def fetch_package(package: DebianPackage) -> Path:
    """Return PACKAGE's file: that in the cache, or one from the archive that apt has for this machine.

    Raises:
        ArtifactError: it cannot be fetched; the error says where to put it.
    """
    kept = kept_package(package.sha256)
    if is_kept(package.sha256):
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".partial")
    helper = "/usr/lib/apt/apt-helper"
    address = f"{archive_site()}/{package.path}"
    result = _run(helper, "download-file", address, str(partial), f"SHA256:{package.sha256}")
    if result is None or result.returncode != 0 or not partial.is_file() or sha256_of(partial) != package.sha256:
        partial.unlink(missing_ok=True)
        lines = result.stderr.strip().splitlines() if result else []
        reason = next((line for line in lines if line.startswith("E:")), "this system has no apt")
        raise ArtifactError(f"{reason}; put {package.file} of Debian, with SHA-256 {package.sha256}, at {kept}")
    return partial.replace(kept)


def archive_site() -> str:
    """Return the address of Debian's archive that apt has for this machine; empty if there is none."""
    query = ("indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian")
    result = _run("apt-get", *query)
    sites = re.findall(r"^\S+$", result.stdout, re.MULTILINE) if result else []
    return sites[0].rstrip("/") if sites else ""


def extract_package(package: Path, folder: Path) -> None:
    """Write the files of PACKAGE below FOLDER.

    Raises:
        ArtifactError: it is damaged, or this system has no dpkg-deb.
    """
    result = _run("dpkg-deb", "--extract", str(package), str(folder))
    if result is None or result.returncode != 0:
        reason = result.stderr.strip() if result else "this system has no dpkg-deb: install dpkg"
        raise ArtifactError(f"cannot unpack {package}: {reason}")


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Run COMMAND; None if there is no such program or it does not end."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIME_LIMIT)
    except (OSError, subprocess.TimeoutExpired):
        return None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file at PATH, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
