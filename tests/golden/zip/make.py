"""Make the ZIP64 goldens: archives of other programs around 4 GiB, kept as the few bytes in them that are not zero.

Run as `python -m tests.golden.zip.make DIRECTORY` with 9 GiB free in DIRECTORY; writes *.json beside this file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
SIZES: Final = {"4g-minus-1": (1 << 32) - 1, "4g": 1 << 32}
_BLOCK: Final = 1 << 20
_JOIN: Final = 64  # zeros between two spans that are not worth a new one

PRODUCERS: Final = {
    "info-zip": ["zip", "-q", "-0", "-X", "big.zip", "big", "after"],
    "7zip": ["7z", "a", "-bso0", "-bsp0", "-tzip", "-mx0", "big.zip", "big", "after"],
    "libarchive": ["bsdtar", "--format", "zip", "--options", "zip:compression=store", "-cf", "big.zip", "big", "after"],
    "python": [],  # the standard library's zipfile
}


def spans(path: Path) -> list[tuple[int, str]]:
    """Return (offset, bytes in hex) of everything in a file that is not zero."""
    found: list[tuple[int, bytes]] = []
    with path.open("rb") as file:
        offset = 0
        while block := file.read(_BLOCK):
            if block.strip(b"\0"):
                found += [(offset + at, part) for at, part in _runs(block)]
            offset += len(block)
    return [(offset, part.hex()) for offset, part in found]


def _runs(block: bytes) -> list[tuple[int, bytes]]:
    runs = []
    at = 0
    gap = bytes(_JOIN)
    while at < len(block):
        rest = block[at:].lstrip(b"\0")
        at = len(block) - len(rest)
        if not rest:
            break
        end = rest.find(gap)
        run = rest if end < 0 else rest[:end]
        runs.append((at, run))
        at += len(run)
    return runs


def _make(directory: Path, producer: str, size_name: str) -> None:
    with (directory / "big").open("wb") as file:
        file.truncate(SIZES[size_name])
    (directory / "after").write_bytes(b"behind four gibibytes\n")
    made = directory / "big.zip"
    made.unlink(missing_ok=True)
    command = PRODUCERS[producer]
    if command:
        subprocess.run(command, cwd=directory, check=True)
    else:
        _zipfile(directory)
    with zipfile.ZipFile(made) as file:
        members = [[info.filename, info.file_size, info.CRC, info.header_offset] for info in file.infolist()]
    golden = {"size": made.stat().st_size, "members": members, "spans": spans(made)}
    text = json.dumps(golden, indent=1)
    (HERE / f"{producer}-{size_name}.json").write_text(text + "\n")
    made.unlink()


def _zipfile(directory: Path) -> None:
    with zipfile.ZipFile(directory / "big.zip", "w") as file:
        for name in ("big", "after"):
            file.write(directory / name, name)


def main() -> None:
    """Make all of them."""
    directory = Path(sys.argv[1])
    for producer in PRODUCERS:
        for size_name in SIZES:
            _make(directory, producer, size_name)
    (directory / "big").unlink()
    (directory / "after").unlink()


if __name__ == "__main__":
    main()
