"""A user's directories, in which the script looks for places for the loader."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from apepack.format.script import BLOCK_SIZE
from runtime.builder.loaders import loader_bytes
from runtime.platforms import platform_named
from tests.builders.ape import linked, probe_output
from tests.builders.home import new_name

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["USER", "Home", "loader_name"]

USER = new_name()


def loader_name() -> str:
    data = loader_bytes(platform_named("linux-amd64"))
    return sha256(data.ljust(-(-len(data) // BLOCK_SIZE) * BLOCK_SIZE, b"\0")).hexdigest()[:16]


class Home:
    """A user's directories and a program."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.temporary = root / "temporary"
        self.cache = root / "home" / ".cache"
        self.program = root / "here" / "probe"
        for folder in (self.temporary, self.cache.parent, self.program.parent):
            folder.mkdir()
        self.program.write_bytes(linked())
        self.program.chmod(0o755)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.cache.parent), "TMPDIR": str(self.temporary), "LOGNAME": USER,
        }  # fmt: skip  # a list

    def run(
        self, *, shell: str = "sh", user: int | None = None, **environment: str | None
    ) -> subprocess.CompletedProcess[str]:
        merged: dict[str, Any] = self.environment | environment
        return subprocess.run(
            [shell, self.program],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            user=user,
            cwd="/",  # which every user may enter
            env={name: value for name, value in merged.items() if value is not None},
        )

    def loader(self, base: Path, user: str = USER) -> Path:
        return base / f".ape-{user}" / loader_name()

    def works(self, result: subprocess.CompletedProcess[str]) -> bool:
        expected = probe_output([str(self.program)], str(self.program))
        return (result.stdout, result.stderr, result.returncode) == (expected, "", 7)
