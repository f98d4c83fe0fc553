"""The same work for several files: an error is reported, and the next file follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from apepack.errors import ApepackError
from runtime.errors import RuntimePackageError
from zipalign import console
from zipalign.errors import ZipalignError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from apepack.packing.lint import Finding

__all__ = ["each_file", "print_findings"]


def each_file(paths: Sequence[Path], work: Callable[[Path], dict[str, Any]], *, as_json: bool) -> list[dict[str, Any]]:
    """Return the results of WORK for each of PATHS, as JSON objects; an error becomes one, and a sentence on stderr."""
    return [_attempt(path, work, as_json=as_json) for path in paths]


def print_findings(findings: Sequence[Finding]) -> None:
    """Print the warnings and notes of checks on stderr."""
    for finding in findings:
        click.echo(f"apepack: {finding.severity}: {finding}", err=True)


def _attempt(path: Path, work: Callable[[Path], dict[str, Any]], *, as_json: bool) -> dict[str, Any]:
    try:
        return work(path)
    except OSError as error:
        named = error.filename or path
        fields = console.error_fields(error, f"{named}: {error.strerror or error}") | {"path": str(named)}
    except (ApepackError, RuntimePackageError, ZipalignError) as error:
        fields = console.error_fields(error, str(error))
        fields.setdefault("path", str(path))
    if not as_json:
        click.echo(f"apepack: {fields['message']}", err=True)
    return {"path": str(path), "error": fields}
