"""The inputs from outside that CI could not fetch, and goes on without: build/lost-inputs.json.

CI turns a skipped test into a failed one, except where this record names the input that the test needs. Only commands
that CI runs before the tests write it.

    python3 -m tools.lost_inputs            prints the record
    python3 -m tools.lost_inputs PACKAGE    adds a Python package that pip could not install
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

__all__ = ["RECORD", "debian_package", "python_for", "python_package", "read_lost_inputs", "record_lost_input"]

RECORD: Final = Path(__file__).parents[1] / "build" / "lost-inputs.json"


def debian_package(name: str) -> str:
    """Return what the record calls the Debian package NAME."""
    return f"Debian package {name}"


def python_for(architecture: str) -> str:
    """Return what the record calls the Python of another processor."""
    return f"Python for {architecture}"


def python_package(name: str) -> str:
    """Return what the record calls the Python package NAME."""
    return f"Python package {name}"


def read_lost_inputs() -> dict[str, str]:
    """Return the reason of each lost input, by its name."""
    try:
        text = RECORD.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    lost: dict[str, str] = json.loads(text)
    return lost


def record_lost_input(name: str, reason: str) -> None:
    """Add the input NAME, which could not be fetched for REASON."""
    lost = read_lost_inputs() | {name: reason}
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    RECORD.write_text(json.dumps(lost, indent=2) + "\n", encoding="utf-8")


def main(packages: list[str]) -> None:
    """Add PACKAGES, or print a line for each lost input where there are none."""
    for package in packages:
        record_lost_input(python_package(package), "pip could not install it")
    if packages:
        return
    for name, reason in read_lost_inputs().items():
        print(f"CI goes on without {name}: {reason}")  # noqa: T201  # a command


if __name__ == "__main__":
    main(sys.argv[1:])
