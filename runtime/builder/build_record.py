"""What a runtime was built from: build.json beside its program, which manifests of llamafiles repeat.

It has the same bytes on every machine for the same sources, and is read where no compiler is installed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from runtime import VERSION
from runtime.errors import BuildRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE_NAME", "BuildRecord", "current_build_record", "read_build_record"]

FILE_NAME: Final = "build.json"
_VERSION: Final = 1
_TEXTS: Final = ("engine", "engine_version", "source_sha256", "patches_sha256", "version", "revision")
_RUNTIME: Final = Path(__file__).parents[1]
_SOURCES: Final = ("builder", "loader", "shim")


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """The inputs of a build.

    Attributes:
        engine: the name of the engine.
        engine_version: the version of the archive with its source.
        source_sha256: the digest of that archive.
        patches_sha256: the digest of the changes to it.
        version: the version of this toolchain.
        revision: the digest of this toolchain's own sources that decide the bytes of programs.
        tools: the versions of the tools.
    """

    engine: str
    engine_version: str
    source_sha256: str
    patches_sha256: str
    version: str
    revision: str
    tools: Mapping[str, str]

    def pack(self) -> bytes:
        """Return the content of the file."""
        texts = {name: getattr(self, name) for name in _TEXTS}
        content = {**texts, "tools": dict(self.tools), "format": _VERSION}
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def unpack(cls, data: bytes, path: Path) -> Self:
        """Read the content of the file PATH.

        Raises:
            BuildRecordError: it is damaged, or of another version.
        """
        try:
            content = json.loads(data)
            if content["format"] != _VERSION:
                raise BuildRecordError(path, f"its format is {content['format']!r} (expected {_VERSION})")
            texts = {name: content[name] for name in _TEXTS}
            tools = dict(content["tools"])
        except (ValueError, KeyError, TypeError) as error:
            raise BuildRecordError(path, f"{type(error).__name__}: {error}") from error
        if not all(isinstance(text, str) for text in (*texts.values(), *tools, *tools.values())):
            raise BuildRecordError(path, "a value is not a text")
        return cls(**texts, tools=tools)


def current_build_record() -> BuildRecord:
    """Return the record of the builds of these sources."""
    from runtime.builder.artifacts import ENGINE_SDIST  # noqa: PLC0415  # not needed to read a record
    from runtime.builder.engine_patches import PATCHES  # noqa: PLC0415  # the same
    from runtime.builder.patches import patches_key  # noqa: PLC0415  # the same
    from runtime.builder.toolchain import TOOLS  # noqa: PLC0415  # the same

    return BuildRecord(
        engine="llama.cpp",
        engine_version=f"{ENGINE_SDIST.distribution} {ENGINE_SDIST.version}",
        source_sha256=ENGINE_SDIST.sha256,
        patches_sha256=sha256(patches_key(PATCHES).encode()).hexdigest(),
        version=VERSION,
        revision=_revision(),
        tools=TOOLS,
    )


def _revision() -> str:
    """Return a digest of the sources of programs, loaders and their builds, with the names of the files."""
    digest = sha256()
    for folder in _SOURCES:
        for path in sorted((_RUNTIME / folder).rglob("*")):
            name = path.relative_to(_RUNTIME).as_posix()
            if path.is_file() and not _is_by_product(path):
                data = path.read_bytes()
                digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def _is_by_product(path: Path) -> bool:
    """Return whether Python or an editor made the file PATH."""
    return "__pycache__" in path.parts or path.name.startswith((".", "#")) or path.name.endswith("~")


def read_build_record(program: Path) -> BuildRecord | None:
    """Return the record beside PROGRAM, or None if there is none.

    Raises:
        BuildRecordError: it is damaged.
        OSError: it cannot be read.
    """
    path = program.with_name(FILE_NAME)
    return BuildRecord.unpack(path.read_bytes(), path) if path.is_file() else None
