"""One file that is edited, made native and made an APE again a hundred times: it runs, and grows as is documented."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from apepack.format.first_member import FirstMember
from apepack.format.link import link
from apepack.format.prologue import Magic
from assimilate.conversion import assimilate, restore
from runtime.platforms import PLATFORMS, platform_named
from tests.builders.home import new_name
from tests.builders.programs import everywhere, everywhere_output
from zipalign import Member, add_files, read_archive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs_compiler

ALTERNATIONS = 100
WEIGHTS = bytes(range(256)) * 1000
AMD64, ARM64, MACOS = (platform_named(name) for name in ("linux-amd64", "linux-arm64", "macos-arm64"))
NATIVE = [AMD64, ARM64, MACOS]


def output_of(*command: str | Path, folder: Path) -> tuple[str, int]:
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "LOGNAME": new_name()}
    result = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert result.stderr == ""
    return result.stdout, result.returncode


def size_after_adding(size: int, name: str, data_size: int, names: list[str]) -> int:
    """What zipalign(1) says: a mark, a gap, the member's header, its data at a multiple of 64, a new directory."""
    mark_end = size + -size % 32 + 32
    data_offset = -(-(mark_end + 30 + len(name) + 20) // 64) * 64
    directory_size = sum(46 + len(one) + 28 for one in names)
    return data_offset + data_size + directory_size + 56 + 20 + 22


def test_a_hundred_alternations(tmp_path: Path) -> None:
    path = tmp_path / "program"
    link([everywhere(platform) for platform in PLATFORMS], path, first_member=FirstMember.of("NOTICES", b"none"))
    add_files(path, [Member("weights", WEIGHTS)])
    names = ["NOTICES", "weights", ".args"]

    for number in range(ALTERNATIONS):
        arguments = f"--number\n{number}\n".encode() * (1 + number % 7)
        before = path.stat().st_size
        add_files(path, [Member(".args", arguments)], durable=False)
        assert path.stat().st_size == size_after_adding(before, ".args", len(arguments), names)
        edited = path.read_bytes() if number % 20 == 19 else b""

        assimilate(path, NATIVE[number % len(NATIVE)])
        restore(path)
        assert path.stat().st_size == size_after_adding(before, ".args", len(arguments), names)
        if edited:
            assert path.read_bytes() == edited
            assert [entry.name for entry in read_archive(path).entries] == names
            expected = everywhere_output([str(path), "one"], str(path), Magic.MZ.value)
            assert output_of("sh", path, "one", folder=tmp_path) == (expected, 7)
            assimilate(path, AMD64)
            expected = everywhere_output([str(path), "one"], str(path), b"\x7fELF\2\1\1\0")
            assert output_of(path, "one", folder=tmp_path) == (expected, 7)
            restore(path)
            assert path.read_bytes() == edited
