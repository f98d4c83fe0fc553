"""What a verification found: a fault, or a note about a property that is no fault."""

from __future__ import annotations

from dataclasses import dataclass

from zipalign.check import Severity

__all__ = ["Finding", "fault", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault or note."""

    severity: Severity
    subject: str  # the part of the file concerned
    message: str

    @property
    def is_fault(self) -> bool:
        """Whether something does not hold."""
        return self.severity is Severity.FAULT

    def __str__(self) -> str:
        return f"{self.severity}: {self.subject}: {self.message}"

    def as_dict(self) -> dict[str, str]:
        """Return the fields, for JSON."""
        return {"severity": self.severity.value, "subject": self.subject, "message": self.message}


def fault(subject: str, message: str) -> Finding:
    """Return a fault."""
    return Finding(Severity.FAULT, subject, message)


def note(subject: str, message: str) -> Finding:
    """Return a note."""
    return Finding(Severity.NOTE, subject, message)
