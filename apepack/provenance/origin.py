"""Where the programs of a new llamafile come from: the records that llamafile-build leaves beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apepack.provenance.manifest import Engine, Origin, Toolchain
from runtime.builder.build_record import read_build_record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runtime.builder.build_record import BuildRecord

__all__ = ["origin_of_builds", "origin_of_record"]


def origin_of_builds(programs: Iterable[Path]) -> Origin:
    """Return the origin of PROGRAMS; none if one of them has no record, or if they were built from different inputs.

    Raises:
        BuildRecordError: a record is damaged.
    """
    records = [read_build_record(program) for program in programs]
    first = records[0] if records else None
    return origin_of_record(first) if first and all(record == first for record in records) else Origin()


def origin_of_record(record: BuildRecord) -> Origin:
    """Return the facts of RECORD as manifests have them."""
    engine = Engine(record.engine, record.engine_version, record.source_sha256, record.patches_sha256)
    return Origin(engine, Toolchain(record.version, record.revision, dict(record.tools)))
