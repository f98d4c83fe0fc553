"""The apepack command without a model: what it prints, where, and with which status."""

from __future__ import annotations

import importlib.resources
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from apepack.packing.portable_part import portable_members
from tests.builders.elf import AARCH64, X86_64, exit_program
from tests.builders.home import new_name
from tests.conftest import run_module

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = json.loads(importlib.resources.files("apepack").joinpath("apepack.schema.json").read_text())


def apepack(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_module("apepack", *arguments, cwd=folder)


def json_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the one object on stdout, which nothing else may accompany."""
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(result, SCHEMA)
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tool-amd64").write_bytes(exit_program(X86_64, status=5))
    (tmp_path / "tool-arm64").write_bytes(exit_program(AARCH64, status=5))
    return tmp_path


def test_link(folder: Path) -> None:
    result = apepack(folder, "-o", "tool", "tool-amd64", "tool-arm64")

    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
    assert (folder / "tool").read_bytes()[:9] == b"MZqFpD='\n"
    environment = {"TMPDIR": str(folder), "PATH": os.environ["PATH"], "LOGNAME": new_name()}
    assert subprocess.run(["sh", "./tool"], check=False, cwd=folder, env=environment).returncode == 5


def test_link_without_windows_to_the_default_name(folder: Path) -> None:
    assert apepack(folder, "--no-windows", "tool-amd64").returncode == 0
    assert (folder / "tool-amd64.ape").read_bytes()[:9] == b"jartsr='\n"


@pytest.mark.slow
def test_json_tells_the_layout(folder: Path) -> None:
    (folder / "NOTICES").write_text("licences")
    arguments = ("--json", "-o", "tool", "tool-amd64", "tool-arm64")
    facts = json_of(apepack(folder, *arguments))

    assert (facts["operation"], facts["dry_run"], facts["output"]) == ("link", False, "tool")
    assert [image["platform"] for image in facts["images"]] == facts["platforms"] == ["linux-amd64", "linux-arm64"]
    members = ["NOTICES", *(member.name for member in portable_members()), "manifest.json"]
    assert (facts["profile"], facts["members"]) == ("default", members)
    assert facts["size"] == (folder / "tool").stat().st_size
    (folder / "tool").unlink()
    assert json_of(apepack(folder, "-n", *arguments)) == {**facts, "dry_run": True}
    assert not (folder / "tool").exists()
    assert json_of(apepack(folder, "--no-windows", *arguments))["profile"] == "no-windows"


@pytest.mark.slow
def test_a_dry_run_prints_the_map_and_writes_nothing(folder: Path) -> None:
    (folder / "NOTICES").write_text("licences")
    planned = apepack(folder, "-n", "-o", "tool", "tool-amd64", "tool-arm64")

    assert [line.split()[0] for line in planned.stdout.splitlines()][:1] == ["0x1000"]
    assert "linux-arm64 image of tool-arm64" in planned.stdout
    assert not (folder / "tool").exists()
    made = apepack(folder, "-v", "-o", "tool", "tool-amd64", "tool-arm64")
    assert (made.stdout, made.stderr) == ("", planned.stdout)
    assert int(planned.stdout.splitlines()[-1].split()[0], 16) == (folder / "tool").stat().st_size


@pytest.mark.slow
def test_errors_are_one_sentence_or_one_object(folder: Path) -> None:
    (folder / "text").write_text("not a program\n")

    result = apepack(folder, "-o", "tool", "tool-amd64", "text")
    assert result.stderr.startswith("apepack: text: not a native program")
    assert (result.stderr.count("\n"), result.stdout, result.returncode) == (1, "", 1)
    error = json_of(apepack(folder, "--json", "text"))["error"]
    assert (error["kind"], error["path"]) == ("input", "text")
    assert json_of(apepack(folder, "--json"))["error"]["kind"] == "usage"
    missing = apepack(folder, "no-such-file")
    assert (missing.stderr, missing.returncode) == ("apepack: no-such-file: No such file or directory\n", 1)


def test_nothing_to_do_is_a_usage_error(folder: Path) -> None:
    result = apepack(folder)

    assert result.returncode == 2
    assert "Missing argument" in result.stderr


def test_binfmt_lines_name_both_magics_and_the_interpreter(folder: Path) -> None:
    printed = apepack(folder, "--print-binfmt").stdout
    lines = printed.splitlines()

    assert lines[1:] == [":APE:M::MZqFpD::/usr/bin/ape:FP", ":APE-jart:M::jartsr::/usr/bin/ape:FP"]
    assert lines[0].startswith("# /etc/binfmt.d/zz-ape.conf")
    assert json_of(apepack(folder, "--print-binfmt", "--json"))["configuration"] == printed


@pytest.mark.slow
def test_the_loader_alone(folder: Path) -> None:
    assert apepack(folder, "--loader", "host", "-o", "ape").returncode == 0

    assert subprocess.run([folder / "ape", folder / "tool-amd64"], check=False).returncode == 5
    assert apepack(folder, "--loader", "nowhere").returncode == 1
    facts = json_of(apepack(folder, "--loader", "linux-arm64", "--json"))
    assert (facts["platform"], facts["output"]) == ("linux-arm64", "ape")
    assert facts["size"] == (folder / "ape").stat().st_size


@pytest.mark.parametrize(
    "arguments",
    [
        ["--loader", "host", "tool-amd64"],
        ["--loader", "host", "-n"],
        ["--loader", "host", "--print-binfmt"],
        ["--print-binfmt", "-o", "x"],
        ["--print-binfmt", "--strict"],
        ["--print-binfmt", "--", "x"],
        *([option, "x", "tool-amd64"] for option in ("--args", "--add", "--mmproj", "--runtime")),
        ["--strict", "tool-amd64"],
        ["--no-companion", "tool-amd64"],
        ["tool-amd64", "--", "-n"],
    ],
    ids=" ".join,
)
def test_options_that_have_no_use_here(folder: Path, arguments: list[str]) -> None:
    before = sorted(folder.iterdir())
    result = apepack(folder, *arguments)

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert sorted(folder.iterdir()) == before


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "tool": "apepack", "operation": "pack"}, SCHEMA)
