"""Letters of the assimilate command, combined with each other and with its options."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from assimilate.cli import command
from tests.assimilate.conftest import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

# Letters, the file, and the platform of the result; None if it cannot be converted.
MATRIX: list[tuple[list[str], str, str | None]] = [
    (["-e"], "genuine", "linux-{host}"),
    (["-e", "-x"], "genuine", "linux-amd64"),
    (["-ea"], "genuine", "linux-arm64"),
    (["-m", "-x"], "genuine", "macos-amd64"),
    (["-mx"], "genuine", "macos-amd64"),
    (["-ma"], "genuine", None),
    (["-m", "-a"], "all", "macos-arm64"),
    (["-mx"], "all", None),
    (["-m", "-e", "-x"], "genuine", "linux-amd64"),
    (["-e", "-m", "-x"], "genuine", "macos-amd64"),
    (["-x", "-a"], "genuine", "linux-arm64"),
    (["-t", "freebsd-amd64"], "all", "freebsd-amd64"),
    (["-t", "freebsd-amd64"], "ape", None),
    (["--target=macos-arm64"], "all", "macos-arm64"),
    (["--macho", "--aarch64"], "all", "macos-arm64"),
    (["--elf", "--x86-64"], "ape", "linux-amd64"),
    (["-t", "host"], "ape", "linux-{host}"),
    (["--pe"], "genuine", None),
]


@pytest.mark.slow
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: " ".join([*row[0], row[1]]))
@pytest.mark.parametrize("others", [[], ["-c"], ["-b"], ["-cbf"], ["-o", "copy"], ["-n"], ["--verify"]], ids=str)
def test_flag_matrix(  # in this process: these are many
    folder: Path,
    row: tuple[list[str], str, str | None],
    others: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: str) -> dict[str, Any]:
        command.main(["--json", *arguments], standalone_mode=False)
        facts = json.loads(capsys.readouterr().out)
        jsonschema.validate(facts, SCHEMA)
        result: dict[str, Any] = facts["files"][0]
        return result

    monkeypatch.chdir(folder)
    letters, name, platform = row
    expected = platform and platform.format(host="arm64" if os.uname().machine == "aarch64" else "amd64")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    facts = run(*letters, *others, name)

    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    changed = {changed for changed in after if after[changed] != before.get(changed)}
    if expected is None:
        assert facts["error"]["kind"] == "foreign-file"
        assert not changed
        return
    assert facts["platform"] == expected
    backups = set() if name == "ape" or others in (["-c"], ["-cbf"]) else {f"{name}.ape-head"}
    assert changed == {"-n": set(), "-o": {"copy"}}.get("".join(others[:1]), {name} | backups)
    if others != ["-n"]:
        (program,) = run("--check", "copy" if "copy" in others else name)["programs"]
        assert (program["platform"], program["form"]) == (expected, "native")
