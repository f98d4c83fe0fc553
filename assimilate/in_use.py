"""Processes that run from a file.

The system protects a running native program from changes. A program that a loader runs from an APE is only mapped, like
any file, and would crash at the next page that it reads.
"""

from __future__ import annotations

import os
from pathlib import Path

from assimilate.errors import InUseError

__all__ = ["check_unused"]

_MAPS_FIELDS = 5  # address, permissions, offset, device, inode; behind them the path


def check_unused(path: Path) -> None:
    """Raise InUseError if another process has PATH mapped, as far as /proc shows it."""
    status = path.stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    name = str(path.resolve())
    for maps in Path("/proc").glob("[0-9]*/maps"):
        if int(maps.parent.name) == os.getpid():
            continue
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:  # it has exited, or belongs to another user
            continue
        for line in lines:
            *_, its_device, inode = line.split(maxsplit=_MAPS_FIELDS)[:_MAPS_FIELDS]
            # Some file systems (btrfs) have another device here than in stat(2), but then the path is the same.
            if inode == str(status.st_ino) and (its_device == device or line.endswith(f" {name}")):
                raise InUseError(int(maps.parent.name), _command_of(maps.parent))


def _command_of(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "a process that has just ended"
