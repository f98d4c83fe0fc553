"""apt-get that comes to an end: a mirror that has lost a package, fails or stalls makes a sentence, no hang."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["PATIENCE", "AptGet", "reason", "run"]

PATIENCE: Final[dict[str, str]] = {
    "Acquire::Retries": "3",
    "Acquire::http::Timeout": "30",
    "Acquire::https::Timeout": "30",
    "DPkg::Lock::Timeout": "600",
}
_TIMED_OUT: Final = 124  # the exit status of timeout(1)


@dataclass(frozen=True, slots=True)
class AptGet:
    """The command with OPTIONS of its configuration."""

    options: Mapping[str, str] = field(default_factory=dict)
    as_root: bool = False

    def __call__(self, *arguments: str, limit: float, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run it for LIMIT seconds at most."""
        options = [
            word for name, value in (PATIENCE | dict(self.options)).items() for word in ("-o", f"{name}={value}")
        ]
        sudo = ["sudo"] if self.as_root and os.geteuid() != 0 else []
        return run([*sudo, "apt-get", "-qq", *options, *arguments], limit=limit, cwd=cwd)


def run(command: Sequence[str], *, limit: float, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run COMMAND; what takes longer than LIMIT seconds is ended, with all that it has started, and has failed."""
    environment = {**os.environ, "LC_ALL": "C"}
    limited = ["timeout", "--kill-after=10", str(limit), *command]
    result = subprocess.run(limited, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if result.returncode == _TIMED_OUT:
        result.stderr += f"E: it took more than {limit:.0f} seconds\n"
    return result


def reason(result: subprocess.CompletedProcess[str]) -> str:
    """Return the line that says why apt-get failed."""
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("E:").strip() for line in lines if line.startswith("E:")]
    return (errors or lines[-1:] or [f"exit status {result.returncode}"])[0]
