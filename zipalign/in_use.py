"""Processes that run from a file.

The system protects a running native program from changes (ETXTBSY). A program that a loader runs from an APE is only
mapped, like any file, and would crash at the next page that it reads.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from zipalign.errors import RunningFileError

__all__ = ["check_unused"]

_MAPS_FIELDS: Final = 5  # address, permissions, offset, device, inode; behind them the path
# Of an APE, ELF, script, or Mach-O: only these are run. Other archives are not searched for in all processes.
_PROGRAMS: Final = (b"MZ", b"jart", b"\x7fELF", b"#!", b"\xcf\xfa\xed\xfe")


def check_unused(fd: int, path: Path) -> None:
    """Raise RunningFileError if the open file is a program that another process has mapped, as /proc shows it."""
    if not os.pread(fd, 4, 0).startswith(_PROGRAMS):
        return
    status = os.fstat(fd)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    inode = str(status.st_ino)
    name = str(path.resolve())
    for maps in Path("/proc").glob("[0-9]*/maps"):
        if int(maps.parent.name) == os.getpid():
            continue
        try:
            text = maps.read_text(errors="replace")
        except OSError:  # it has exited, or belongs to another user
            continue
        for line in text.splitlines() if inode in text else ():
            *_, its_device, its_inode = line.split(maxsplit=_MAPS_FIELDS)[:_MAPS_FIELDS]
            # Some file systems (btrfs) have another device here than in stat(2), but then the path is the same.
            if its_inode == inode and (its_device == device or line.endswith(f" {name}")):
                raise RunningFileError(path, int(maps.parent.name), _command_of(maps.parent))


def _command_of(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "a process that has just ended"
