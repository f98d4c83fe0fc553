"""Running the real command in a process of its own."""

from __future__ import annotations

import importlib.resources
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

import zipalign

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMMAND", "SCHEMA", "environment", "json_of", "run"]

COMMAND = [sys.executable, "-m", "zipalign"]
SCHEMA = json.loads(importlib.resources.files("zipalign").joinpath("zipalign.schema.json").read_text())


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which the checkout's package is found from any directory."""
    clean = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    return {**clean, "PYTHONPATH": str(Path(zipalign.__file__).parents[1]), **(extra or {})}


def run(
    *arguments: str | Path,
    cwd: Path,
    extra: Mapping[str, str] | None = None,
    before: list[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run zipalign in `cwd`, under the command `before` if one is given, and return its result."""
    line = [*(before or []), *COMMAND, *map(str, arguments)]
    return subprocess.run(
        line, cwd=cwd, env=environment(extra), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def json_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what `done` printed with --json; it fits the schema, and nothing else was printed."""
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(result, SCHEMA)
    return result
