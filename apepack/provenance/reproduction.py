"""Reproduction of the programs in a llamafile: they are built again from these sources, and compared byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from apepack.errors import ReproductionError
from apepack.format.link import embedded_bytes, read_program
from apepack.provenance.description import read_manifest, read_parts
from apepack.provenance.origin import origin_of_record
from runtime.builder.build_record import current_build_record
from runtime.errors import RuntimePackageError
from runtime.platforms import platform_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from apepack.format.contents import EmbeddedProgram
    from apepack.provenance.manifest import Origin
    from runtime.platforms import Platform

__all__ = ["Reproduction", "Verdict", "reproduce"]


class Verdict(StrEnum):
    """The result for one program."""

    SAME = "same"
    DIFFERENT = "different"
    IMPOSSIBLE = "cannot be built here"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The result for one program, and what explains it if it is not the same."""

    platform: str
    verdict: Verdict
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.platform}: {self.verdict}{': ' if self.reason else ''}{self.reason}"


def reproduce(path: Path, build: Callable[[Platform], Path]) -> Iterator[Reproduction]:
    """Yield the result for each program in the llamafile PATH, in the order of the file.

    BUILD builds the program for a platform, and returns its path.

    Raises:
        ReproductionError: the file has no programs, or no manifest that says what they were built from.
        ApepackError, ZipalignError, OSError: the file is damaged, or cannot be read.
    """
    manifest = read_manifest(path)
    parts = read_parts(path)
    if manifest is None or manifest.origin.engine is None or not parts.programs:
        raise ReproductionError(f"{path} does not say what its programs were built from: its manifest has no engine")
    stated = {program.platform: program.sha256 for program in manifest.programs}
    foreign = "; ".join(_differences(manifest.origin))
    for program in parts.programs:
        content = program.content(parts.data)
        if sha256(content).hexdigest() != stated.get(program.platform):
            reason = "the program in the file is not the one in its manifest"
            yield Reproduction(program.platform, Verdict.DIFFERENT, reason)
        elif foreign:
            yield Reproduction(program.platform, Verdict.IMPOSSIBLE, foreign)
        else:
            yield _compare(program, bytes(content), build)


def _differences(origin: Origin) -> Iterator[str]:
    """Yield what differs between these sources and those that ORIGIN names."""
    here = origin_of_record(current_build_record())
    for got, stated in ((here.engine, origin.engine), (here.toolchain, origin.toolchain)):
        if got is None or stated is None:
            yield "the manifest does not name the toolchain"
            continue
        for name in got.__slots__:
            if getattr(got, name) != getattr(stated, name):
                kind = type(stated).__name__.lower()
                yield f"{kind} {name} is {_text(getattr(got, name))} here (expected {_text(getattr(stated, name))})"


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in sorted(value.items()))
    return str(value)


def _compare(program: EmbeddedProgram, content: bytes, build: Callable[[Platform], Path]) -> Reproduction:
    try:
        built = read_program(build(platform_named(program.platform)))
    except RuntimePackageError as error:
        return Reproduction(program.platform, Verdict.IMPOSSIBLE, str(error).partition("\n")[0].rstrip(":"))
    expected = built.data if program.unpacked else embedded_bytes(built, program.span.offset)
    if expected == content:
        return Reproduction(program.platform, Verdict.SAME)
    got = f"SHA-256 {sha256(expected).hexdigest()} here, {sha256(content).hexdigest()} in the file"
    return Reproduction(program.platform, Verdict.DIFFERENT, got)
