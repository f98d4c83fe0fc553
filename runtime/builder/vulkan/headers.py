"""The headers of Vulkan and of SPIR-V, from Debian's packages: no package index of Python has vulkan.hpp."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from runtime.builder.cache import cached, digest_of
from runtime.builder.debian import DebianPackage, extract_package, fetch_package
from runtime.builder.notices import section
from runtime.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PACKAGES", "headers_key", "vulkan_headers", "vulkan_notices"]

# The packages, and the titles of their licences.
PACKAGES: Final = {
    "Vulkan's headers": DebianPackage(
        "pool/main/v/vulkan-loader/libvulkan-dev_1.4.309.0-1_amd64.deb",
        "8d329d465e16168afff58b1bd0dd6db46aac2cc3f56054a481b25a04e90b345a",
    ),
    "SPIR-V's headers": DebianPackage(
        "pool/main/s/spirv-headers/spirv-headers_1.6.1+1.4.309.0-1_all.deb",
        "dc18db866d63680351c40ac6b6bece34cb52da64a7799ce1cc4f16f6bff4d064",
    ),
}
_LICENCES: Final = "licences"


def headers_key() -> str:
    """Return the part of cache keys that stands for the headers."""
    return digest_of([*(package.sha256 for package in PACKAGES.values()), _LICENCES])


def vulkan_headers() -> Path:
    """Return the folder that holds `vulkan/` and `spirv/`.

    Raises:
        ArtifactError: a package cannot be fetched or unpacked; the error says what to do without apt.
    """
    return _unpacked() / "include"


def vulkan_notices() -> str:
    """Return the licences of the headers, which contain code that gets into programs.

    Raises:
        ArtifactError: as `vulkan_headers`.
    """
    folder = _unpacked() / _LICENCES
    return "\n".join(section(title, (folder / title).read_text(encoding="utf-8")) for title in PACKAGES)


def _unpacked() -> Path:
    def unpack(folder: Path) -> None:
        (folder / _LICENCES).mkdir()
        for title, package in PACKAGES.items():
            extract_package(fetch_package(package), folder)
            name = package.file.partition("_")[0]
            shutil.move(folder / "usr" / "share" / "doc" / name / "copyright", folder / _LICENCES / title)
        shutil.move(folder / "usr" / "include", folder / "include")
        shutil.rmtree(folder / "usr")

    try:
        return cached("vulkan-headers", headers_key(), unpack)
    except ArtifactError as error:
        raise ArtifactError(f"cannot get Vulkan's headers: {error}; or build with --no-gpu") from error
