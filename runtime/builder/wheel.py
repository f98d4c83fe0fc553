"""The wheel llamafile-runtime: the runtimes of several platforms as a Python package of data, for pip and its kin.

hatchling writes it, from a project of a few generated files that names the others where they lie. The result depends
on the builds alone: time stamps and modes are fixed, and files are sorted.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime import VERSION
from runtime.builder.build_record import FILE_NAME as RECORD_NAME
from runtime.builder.build_record import read_build_record
from runtime.builder.compilation import run_tool
from runtime.builder.gpu_part import FOLDER_NAME as GPU_NAME
from runtime.builder.gpu_part import gpu_members
from runtime.builder.loaders import compiled_loader
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from runtime.builder.webui.build import FOLDER_NAME as PAGES_NAME
from runtime.builder.webui.build import page_members
from runtime.errors import ToolMissingError
from runtime.image.stream import compress_image
from runtime.package import DISTRIBUTION, LOADERS, MANIFEST_NAME, PACKAGE, PROGRAMS, PackageFile, PackageManifest
from runtime.platforms import PLATFORMS, Launch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.builder.build import Build

__all__ = ["write_wheel"]

_TOOLCHAIN: Final = "llamafile-toolchain"
_LICENCES: Final = ("LICENSE", "NOTICE")  # of the toolchain's distribution
_LICENCE: Final = (
    "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause AND BSD-3-Clause AND ISC AND MIT AND Unlicense"
    " AND ZPL-2.1"
)
_MODULE: Final = '"""The programs of llamafiles, as data for apepack."""\n'
_EPOCH: Final = "315532800"  # 1980: the first time that a ZIP archive can state
_KEPT: Final = ("PATH", "HOME", "PYTHONPATH", "SYSTEMROOT")  # of the environment: HATCH_… would change the result
_README: Final = """# llamafile-runtime

The native programs of llamafiles, for apepack of llamafile-toolchain {version}. With both installed, apepack packs
a model without a compiler and without the network. This package has no code.

Programs: {platforms}.
"""


def write_wheel(builds: Sequence[Build], folder: Path) -> Path:
    """Write the wheel with BUILDS into FOLDER, which is created, and return its path.

    Licence texts and the web page are those of the first build in the order of the platform table, as in an APE that
    is linked from them.

    Raises:
        ToolMissingError: hatchling is not installed.
        BuildError: a loader cannot be compiled, or hatchling failed; no partial wheel is left.
        OSError: the wheel cannot be written.
    """
    if importlib.util.find_spec("hatchling") is None:
        raise ToolMissingError("hatchling is not installed; run: pip install 'llamafile-toolchain[build]'")
    folder = folder.resolve()  # hatchling runs in another one
    folder.mkdir(parents=True, exist_ok=True)
    by_platform = {build.platform: build for build in builds}
    ordered = [by_platform[platform] for platform in PLATFORMS if platform in by_platform]
    with tempfile.TemporaryDirectory(prefix=f".{DISTRIBUTION}.", dir=folder) as name:
        project, temporary = Path(name) / "project", Path(name) / "tmp"
        temporary.mkdir()
        _write_project(ordered, project)
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", name]
        # hatchling renames its temporary file, which must be on the file system of the result.
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {"SOURCE_DATE_EPOCH": _EPOCH, "TMPDIR": str(temporary)}
        run_tool(command, environment, f"writing the wheel {DISTRIBUTION}", folder=project)
        (wheel,) = Path(name).glob("*.whl")
        return wheel.replace(folder / wheel.name)


def _write_project(builds: Sequence[Build], project: Path) -> None:
    """Write what hatchling reads: the package's generated files, and a pyproject.toml that names all others."""
    files = _files_of(builds)
    package = project / PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_MODULE, encoding="utf-8")
    files |= _write_loaders(package) | _write_streams(builds, package)
    platforms = tuple(build.platform.name for build in builds)
    loaders = tuple(name.partition("/")[2] for name in files if name.startswith(f"{LOADERS}/"))
    described = tuple(_describe(name, path) for name, path in sorted(files.items()))
    (package / MANIFEST_NAME).write_bytes(PackageManifest(VERSION, platforms, loaders, described).pack())
    readme = _README.format(version=VERSION, platforms=", ".join(platforms))
    (project / "README.md").write_text(readme, encoding="utf-8")
    licences = _copy_licences(files, project)
    elsewhere = {name: path for name, path in files.items() if not path.is_relative_to(project)}
    (project / "pyproject.toml").write_text(_configuration(elsewhere, licences), encoding="utf-8")


def _write_loaders(package: Path) -> dict[str, Path]:
    """Write the loaders into PACKAGE, and return them by their paths in it."""
    names = [platform for platform in PLATFORMS if platform.launch is Launch.MAPPED]
    return _write_files(package, {f"{LOADERS}/{platform.name}": compiled_loader(platform) for platform in names})


def _write_streams(builds: Sequence[Build], package: Path) -> dict[str, Path]:
    """Do the same with the programs that an APE contains compressed: linking them takes seconds less."""
    programs = [build for build in builds if build.platform.launch is Launch.UNPACKED]
    streams = {f"{PROGRAMS}/{build.platform.name}": compress_image(build.path.read_bytes()) for build in programs}
    return _write_files(package, streams)


def _write_files(package: Path, contents: Mapping[str, bytes]) -> dict[str, Path]:
    for name, data in contents.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_bytes(data)
    return {name: package / name for name in contents}


def _files_of(builds: Sequence[Build]) -> dict[str, Path]:
    """Return the files of BUILDS by their path in the package."""
    members = page_members(builds[0].path) + [member for build in builds for member in gpu_members(build.path)]
    files = {member.name: member.source for member in members if isinstance(member.source, Path)}
    files |= {build.platform.name: build.path for build in builds}
    record = read_build_record(builds[0].path)
    if record and all(read_build_record(build.path) == record for build in builds):
        files[RECORD_NAME] = builds[0].path.with_name(RECORD_NAME)
    return {f"{PROGRAMS}/{name}": path for name, path in {**files, NOTICES_NAME: builds[0].notices}.items()}


def _describe(name: str, path: Path) -> PackageFile:
    data = path.read_bytes()
    return PackageFile(name, len(data), sha256(data).hexdigest())


def _copy_licences(files: Mapping[str, Path], project: Path) -> list[str]:
    """Copy all licence texts into PROJECT, and return their names there."""
    distribution = importlib.metadata.distribution(_TOOLCHAIN)
    texts = {name: distribution.read_text(f"licenses/{name}") or "" for name in _LICENCES}
    for part in ("", PAGES_NAME, GPU_NAME):
        place = f"{PROGRAMS}/{part}/NOTICES.txt" if part else f"{PROGRAMS}/{NOTICES_NAME}"
        if place in files:
            texts[f"{NOTICES_NAME}-{part}".rstrip("-")] = files[place].read_text(encoding="utf-8")
    for name, text in texts.items():
        (project / name).write_text(text, encoding="utf-8")
    return sorted(texts)


def _configuration(elsewhere: Mapping[str, Path], licences: Sequence[str]) -> str:
    """Return the pyproject.toml, which names the files ELSEWHERE. JSON's strings and lists are TOML's, too."""
    project = {
        "name": DISTRIBUTION,
        "version": VERSION,
        "description": "The native programs of llamafiles, for apepack of llamafile-toolchain",
        "readme": "README.md",
        "requires-python": ">=3.11",
        "license": _LICENCE,
        "license-files": list(licences),
        "keywords": ["llamafile", "gguf", "llama.cpp"],
    }
    generated = f"{PACKAGE}/"
    return "\n".join(
        [
            "[build-system]",
            'requires = ["hatchling"]',
            'build-backend = "hatchling.build"',
            "[project]",
            *(f"{key} = {json.dumps(value)}" for key, value in project.items()),
            "[tool.hatch.build.targets.wheel]",
            "ignore-vcs = true",
            f"only-include = {json.dumps([generated])}",
            "[tool.hatch.build.targets.wheel.force-include]",
            *(f"{json.dumps(str(path))} = {json.dumps(generated + name)}" for name, path in sorted(elsewhere.items())),
            "",
        ]
    )
