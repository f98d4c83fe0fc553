"""Completions by a plain program, byte for byte."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from zipalign import Member, add_files

__all__ = ["ENVIRONMENT", "Completer", "packed_program"]

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TERM": "xterm"}


@dataclass(frozen=True)
class Completer:
    """A command that completes prompts."""

    command: tuple[str, ...]

    def with_(self, *arguments: object) -> Completer:
        """The same with more arguments."""
        return Completer((*self.command, *map(str, arguments)))

    def run(self, *arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """What became of it, whatever that is."""
        return subprocess.run(
            [*self.command, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env=ENVIRONMENT,
            timeout=120,
            check=False,
        )

    def text(self, *arguments: object, stdin: bytes = b"") -> bytes:
        """What it writes, when nothing is to be said about it."""
        result = self.run(*arguments, stdin=stdin)
        assert (result.returncode, result.stderr) == (0, b"")
        return result.stdout

    def sentence(self, *arguments: object, stdin: bytes = b"") -> str:
        """Why it writes nothing."""
        result = self.run(*arguments, stdin=stdin)
        assert (result.returncode, result.stdout) == (1, b""), result.stderr
        said = result.stderr.decode()
        assert said.startswith("llamafile: ")
        assert said.count("\n") == 1, said
        return said


def packed_program(program: Path, folder: Path, *members: Member) -> Path:
    """Return a copy of PROGRAM in FOLDER with MEMBERS behind it: a plain program, which starts without a loader."""
    copy = Path(shutil.copy(program, folder / "llamafile"))
    add_files(copy, list(members))
    return copy
