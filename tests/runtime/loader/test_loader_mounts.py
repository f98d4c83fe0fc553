"""The loader where the system is in its way (noexec) and where the system calls it (binfmt_misc)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apepack.format.prologue import Magic
from tests.builders.ape import in_private_mounts, linked, loader, probe_output

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs_compiler


def test_a_program_on_a_noexec_file_system_runs_from_memory(tmp_path: Path) -> None:
    (tmp_path / "noexec").mkdir()
    (tmp_path / "program").write_bytes(linked())
    path = tmp_path / "noexec" / "program"

    result = in_private_mounts(
        'mount -t tmpfs -o noexec tmpfs "$3"; cp "$2" "$3/program"; exec "$1" "$3/program" one',
        loader(tmp_path),
        tmp_path / "program",
        path.parent,
    )

    assert (result.stdout, result.stderr) == (probe_output([str(path), "one"], str(path)), "")
    assert result.returncode == 7


@pytest.mark.parametrize("magic", [Magic.MZ, Magic.NO_WINDOWS])
@pytest.mark.parametrize("flags", ["", "F", "P", "FP"])
def test_as_interpreter_of_binfmt_misc(tmp_path: Path, flags: str, magic: Magic) -> None:
    program = tmp_path / "program"
    program.write_bytes(linked(magic))
    program.chmod(0o755)

    result = in_private_mounts(
        """mount -t binfmt_misc binfmt_misc "$1" 2>/dev/null || exit 99
        echo ":APE:M::$5::$2:$4" > "$1/register" || exit 99
        exec python3 -c 'import os, sys; os.execve(sys.argv[1], ["given name", "one"], {})' "$3"
        """,
        "/proc/sys/fs/binfmt_misc",
        loader(tmp_path),
        program,
        flags,
        magic.value[:6].decode(),
    )

    if result.returncode == 99:
        pytest.skip("needs a binfmt_misc of its own for each namespace (Linux 6.7)")
    name = "given name" if "P" in flags else str(program)
    assert (result.stdout, result.stderr) == (probe_output([name, "one"], str(program)), "")
    assert result.returncode == 7
