"""Findings of the checks before packing: errors, which refuse, warnings, which refuse in strict mode, and notes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from apepack.errors import ApepackError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Finding", "LintError", "Severity", "enforce", "error", "note", "quote", "warning"]

_TEXT_SHOWN_MAX: Final = 60


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    WARNING = "warning"  # an error in strict mode
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem. The message states the problem and the remedy."""

    severity: Severity
    kind: str  # architecture, arguments, model, name, projector, runtime, shards or size
    message: str
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def to_json(self) -> dict[str, str]:
        """Return the finding as an object for JSON."""
        facts = {"severity": self.severity.value, "kind": self.kind, "message": self.message}
        return facts | ({"path": str(self.path)} if self.path else {})


class LintError(ApepackError):
    """The inputs cannot be packed into a llamafile that works.

    Attributes:
        findings: the errors, and in strict mode the warnings.
    """

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        self.path = findings[0].path
        super().__init__("; ".join(map(str, findings)))


def error(kind: str, message: str, path: Path | None = None) -> Finding:
    """Return a finding that always refuses."""
    return Finding(Severity.ERROR, kind, message, path)


def warning(kind: str, message: str, path: Path | None = None) -> Finding:
    """Return a finding that refuses in strict mode."""
    return Finding(Severity.WARNING, kind, message, path)


def note(kind: str, message: str, path: Path | None = None) -> Finding:
    """Return a finding that never refuses."""
    return Finding(Severity.NOTE, kind, message, path)


def quote(text: str) -> str:
    """Return TEXT in quotes for a message, shortened if it is long."""
    return repr(text if len(text) <= _TEXT_SHOWN_MAX else f"{text[: _TEXT_SHOWN_MAX - 3]}...")


def enforce(findings: Iterable[Finding], *, strict: bool) -> tuple[Finding, ...]:
    """Return FINDINGS if none of them refuses.

    Raises:
        LintError: FINDINGS contain errors, or, if STRICT, warnings.
    """
    found = tuple(findings)
    refusing = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    refused = tuple(item for item in found if item.severity in refusing)
    if refused:
        raise LintError(refused)
    return found
