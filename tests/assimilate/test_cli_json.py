"""The output of `assimilate --json`: one document that is valid by its schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.assimilate.conftest import MACOS_SIZE, SCHEMA, assimilate
from zipalign.lock import locked

if TYPE_CHECKING:
    from pathlib import Path


def answer(folder: Path, *arguments: str) -> dict[str, Any]:
    """Return the document, which is the whole output."""
    result = assimilate(folder, "--json", *arguments)
    assert result.stderr == ""
    facts: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(facts, SCHEMA)
    assert (facts["version"], facts["tool"]) == (1, "assimilate")
    return facts


class TestJson:
    def test_assimilate_and_restore(self, folder: Path) -> None:
        facts = answer(folder, "-x", "foreign", "nothing")

        assert (facts["operation"], facts["dry_run"]) == ("assimilate", False)
        done, failed = facts["files"]
        assert done == {
            "path": "foreign", "platform": "linux-amd64", "output": "foreign", "changed": True,
            "backup": "foreign.ape-head",
        }  # fmt: skip  # one fact after the other
        assert failed == {
            "path": "nothing",
            "error": {
                "kind": "file-not-found", "message": "nothing: No such file or directory", "path": "nothing",
            },
        }  # fmt: skip  # as above
        assert answer(folder, "--restore", "-n", "foreign") == {
            "version": 1, "tool": "assimilate", "operation": "restore", "dry_run": True,
            "files": [{"path": "foreign", "output": "foreign", "changed": True, "backup": None}],
        }  # fmt: skip  # as above

    def test_errors_carry_the_data_of_single_ones(self, folder: Path) -> None:
        (folder / "cut").write_bytes((folder / "ape").read_bytes()[:0x11000])
        with locked(folder / "genuine"):
            facts = answer(folder, "-x", "cut", "genuine", "amd64")

        cut, busy, native = (result["error"] for result in facts["files"])
        assert (cut["kind"], cut["path"], cut["field"]) == ("foreign-file", "cut", "p_offset")
        assert cut["offset"] > 0x10000
        assert (busy["kind"], busy["path"]) == ("archive-busy", "genuine")
        assert (native["kind"], native["path"]) == ("already", "amd64")

    def test_check(self, folder: Path) -> None:
        facts = answer(folder, "--check", "all", "ape", "nothing")

        everything, ape, nothing = facts["files"]
        assert (everything["kind"], everything["ok"], everything["members"]) == ("ape", True, 1)
        assert everything["programs"][1] == {
            "platform": "macos-arm64", "form": "unpacked", "offset": 0x11000, "size": 4096, "unpacked_size": MACOS_SIZE,
            "signature": "ad-hoc",
        }  # fmt: skip  # as above
        assert (ape["keeps_head"], ape["members"], ape["faults"]) == (True, None, [])
        assert nothing["error"]["kind"] == "file-not-found"

    def test_a_command_line_that_is_wrong(self, folder: Path) -> None:
        assert answer(folder, "-t", "linux-mips", "ape")["error"]["kind"] == "unknown-platform"
        assert answer(folder, "-o", "x", "ape", "foreign")["error"]["kind"] == "usage"

    def test_the_schema_is_a_schema(self) -> None:
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        for wrong in (
            {"version": 1, "tool": "assimilate"},
            {"version": 1, "tool": "assimilate", "operation": "check", "dry_run": False, "files": []},
            {"version": 2, "tool": "assimilate", "error": {"kind": "x", "message": "x"}},
        ):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(wrong, SCHEMA)
