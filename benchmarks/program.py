"""The measured program: the llamafile that `make` builds, in one file with its models, as users have it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Program"]

_BUILT: Final = Path(__file__).parents[1] / "build" / "llamafile"


@dataclass(frozen=True, slots=True)
class Program:
    """One llamafile."""

    path: Path

    @classmethod
    def pack(
        cls, path: Path, models: Iterable[Path] = (), arguments: Iterable[str] = (), *, built: Path = _BUILT
    ) -> Program:
        """Write the llamafile PATH with MODELS and, if there are any, the ARGUMENTS that it shall always have."""
        shutil.copy(built, path)
        members = [str(model) for model in models]
        lines = "".join(f"{argument}\n" for argument in arguments)
        if lines:
            args = path.with_name(".args")
            args.write_text(lines)
            members.append(str(args))
        if members:
            command = [sys.executable, "-m", "zipalign", "--quiet", "-j0", "--no-fsync", str(path), *members]
            subprocess.run(command, check=True)
        return cls(path)

    def command(self, tool: str = "llamafile") -> list[str]:
        """Return the command that starts it as the tool that it is by that name; a shell starts it."""
        alias = self.path.with_name(tool)
        if not alias.exists():
            alias.symlink_to(self.path.name)
        return [shutil.which("sh") or "/bin/sh", str(alias)]

    def versions(self) -> dict[str, str]:
        """Return the versions that it prints, for a table."""
        said = subprocess.run([*self.command(), "--version"], check=True, capture_output=True, text=True).stdout
        version, variant = said.splitlines()[:2]
        return {"of the llamafile": version.removeprefix("llamafile "), "which": variant}
