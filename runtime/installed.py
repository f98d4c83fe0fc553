"""Runtimes that are there without a compilation, in the order in which they are used.

These are: a llamafile that the user names; the llamafile that `make install` installed with these packages; the Python
package llamafile_runtime, from the wheel llamafile-runtime; and the builds in the cache. Nothing is written: the
package may be read-only.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime import VERSION
from runtime.builder.build import builds_in_cache
from runtime.errors import RuntimeDamagedError, RuntimeVersionError, ToolMissingError, UnknownPlatformError
from runtime.package import LOADERS, MANIFEST_NAME, PACKAGE, PROGRAMS, PackageManifest
from runtime.platforms import PLATFORMS, Platform, platform_named

__all__ = [
    "NativeProgram",
    "RuntimeSource",
    "find_runtime",
    "installed_llamafile",
    "installed_loader",
    "package_programs",
]

# `make install` fills this folder: with the loaders, and a symbolic link to the llamafile.
_INSTALLED: Final = Path(__file__).parents[1] / "installed"


@dataclass(frozen=True, slots=True)
class NativeProgram:
    """A program to link, with the files that belong to it in the same folder."""

    platform: Platform
    path: Path


@dataclass(frozen=True, slots=True)
class RuntimeSource:
    """A runtime: a llamafile to copy, or programs to link."""

    llamafile: Path | None = None
    programs: tuple[NativeProgram, ...] = ()


def find_runtime(given: Path | None = None) -> RuntimeSource | None:
    """Return the first runtime that there is, or None. GIVEN is the llamafile that the user named, if any.

    Raises:
        RuntimeVersionError: the package is that of another version of the toolchain.
        RuntimeDamagedError: the package is incomplete.
        ToolchainError: there are compilers, but not those of the builds in the cache.
    """
    llamafile = given or installed_llamafile()
    if llamafile:
        return RuntimeSource(llamafile)
    programs = package_programs() or _cached_programs()
    return RuntimeSource(programs=programs) if programs else None


def installed_llamafile() -> Path | None:
    """Return the llamafile that `make install` installed with this package, or None."""
    link = _INSTALLED / "llamafile"
    return link.resolve() if link.is_file() else None


def installed_loader(platform: Platform) -> bytes | None:
    """Return the loader for PLATFORM from `make install` or from the package llamafile_runtime, or None.

    Raises:
        RuntimeVersionError, RuntimeDamagedError: as for find_runtime().
    """
    installed = _INSTALLED / LOADERS / platform.name
    if installed.is_file():
        return installed.read_bytes()
    package = _package()
    if package is None or platform.name not in package.manifest.loaders:
        return None
    return (package.folder / LOADERS / platform.name).read_bytes()


def package_programs() -> tuple[NativeProgram, ...]:
    """Return the programs of the package llamafile_runtime, in the order of the platform table; none without it.

    Raises:
        RuntimeVersionError, RuntimeDamagedError: as for find_runtime().
    """
    package = _package()
    if package is None:
        return ()
    try:
        platforms = {platform_named(name) for name in package.manifest.platforms}
    except UnknownPlatformError as error:
        raise RuntimeDamagedError(str(error)) from error
    folder = package.folder / PROGRAMS
    return tuple(NativeProgram(platform, folder / platform.name) for platform in PLATFORMS if platform in platforms)


@dataclass(frozen=True, slots=True)
class _Package:
    folder: Path
    manifest: PackageManifest


def _package() -> _Package | None:
    """Return the package llamafile_runtime, complete and of this version, or None."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:  # a folder without modules is what remains after it was removed
        return None
    folder = Path(spec.origin).parent
    if not folder.is_dir():
        raise RuntimeDamagedError(f"{folder} is not a folder: its files must be unpacked")
    try:
        manifest = PackageManifest.unpack((folder / MANIFEST_NAME).read_bytes())
    except FileNotFoundError as error:
        raise RuntimeDamagedError(f"{folder} has no {MANIFEST_NAME}") from error
    if manifest.toolchain != VERSION:
        raise RuntimeVersionError(manifest.toolchain, VERSION)
    for file in manifest.files:
        path = folder / file.path
        size = path.stat().st_size if path.is_file() else None
        if size != file.size:
            found = "is missing" if size is None else f"has {size} bytes (expected {file.size})"
            raise RuntimeDamagedError(f"{path} {found}")
    return _Package(folder, manifest)


def _cached_programs() -> tuple[NativeProgram, ...]:
    try:
        return tuple(NativeProgram(build.platform, build.path) for build in builds_in_cache())
    except ToolMissingError:  # without compilers, no build is of the present sources
        return ()
