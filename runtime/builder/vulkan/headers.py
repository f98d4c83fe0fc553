"""The headers of Vulkan and of SPIR-V, from Debian's packages: no package index of Python has vulkan.hpp.

apt fetches and verifies them on any Debian or Ubuntu; on other systems, the files are put into the cache by hand.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.builder.cache import cache_root, cached, digest_of
from runtime.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PACKAGES", "DebianPackage", "headers_key", "vulkan_headers"]

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


PACKAGES: Final = (
    DebianPackage(
        "pool/main/v/vulkan-loader/libvulkan-dev_1.4.309.0-1_amd64.deb",
        "8d329d465e16168afff58b1bd0dd6db46aac2cc3f56054a481b25a04e90b345a",
    ),
    DebianPackage(
        "pool/main/s/spirv-headers/spirv-headers_1.6.1+1.4.309.0-1_all.deb",
        "dc18db866d63680351c40ac6b6bece34cb52da64a7799ce1cc4f16f6bff4d064",
    ),
)


def headers_key() -> str:
    """Return the part of cache keys that stands for the headers."""
    return digest_of([package.sha256 for package in PACKAGES])


def vulkan_headers() -> Path:
    """Return the folder that holds `vulkan/` and `spirv/`.

    Raises:
        ArtifactError: a package cannot be fetched or unpacked; the error says what to do without apt.
    """

    def unpack(folder: Path) -> None:
        for package in PACKAGES:
            _unpack(_fetched(package), folder)
        shutil.move(folder / "usr" / "include", folder / "include")
        shutil.rmtree(folder / "usr")

    return cached("vulkan-headers", headers_key(), unpack) / "include"


def _fetched(package: DebianPackage) -> Path:
    """Return PACKAGE's file: that in the cache, or one from the archive that apt has for this machine."""
    kept = cache_root() / "debian" / f"{package.sha256}.deb"
    if kept.is_file() and _sha256(kept) == package.sha256:
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".partial")
    advice = f"put {package.file} of Debian, with SHA-256 {package.sha256}, at {kept}, or build with --no-gpu"
    helper = "/usr/lib/apt/apt-helper"
    result = _run(helper, "download-file", f"{_site()}/{package.path}", str(partial), f"SHA256:{package.sha256}")
    if result is None or result.returncode != 0 or not partial.is_file() or _sha256(partial) != package.sha256:
        partial.unlink(missing_ok=True)
        lines = result.stderr.strip().splitlines() if result else []
        reason = next((line for line in lines if line.startswith("E:")), "this system has no apt")
        raise ArtifactError(f"cannot fetch Vulkan's headers: {reason}; {advice}")
    return partial.replace(kept)


def _site() -> str:
    """Return the address of Debian's archive that apt has for this machine; empty if there is none."""
    query = ("indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian")
    result = _run("apt-get", *query)
    sites = re.findall(r"^\S+$", result.stdout, re.MULTILINE) if result else []
    return sites[0].rstrip("/") if sites else ""


def _unpack(package: Path, folder: Path) -> None:
    result = _run("dpkg-deb", "--extract", str(package), str(folder))
    if result is None or result.returncode != 0:
        reason = result.stderr.strip() if result else "this system has no dpkg-deb"
        raise ArtifactError(f"cannot unpack {package}: {reason}; install dpkg, or build with --no-gpu")


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Run COMMAND; None if there is no such program or it does not end."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIME_LIMIT)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
