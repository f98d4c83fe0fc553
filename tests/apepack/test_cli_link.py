"""The apepack command as a linker: what it prints, where, and with which status."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders.elf import AARCH64, X86_64, exit_program
from tests.conftest import run_module

if TYPE_CHECKING:
    from pathlib import Path


def apepack(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_module("apepack", *arguments, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tool-amd64").write_bytes(exit_program(X86_64, status=5))
    (tmp_path / "tool-arm64").write_bytes(exit_program(AARCH64, status=5))
    return tmp_path


def test_link(folder: Path) -> None:
    result = apepack(folder, "-o", "tool", "tool-amd64", "tool-arm64")

    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
    assert (folder / "tool").read_bytes()[:9] == b"MZqFpD='\n"
    environment = {"TMPDIR": str(folder), "PATH": os.environ["PATH"]}
    assert subprocess.run(["sh", "./tool"], check=False, cwd=folder, env=environment).returncode == 5


def test_link_without_windows_to_the_default_name(folder: Path) -> None:
    assert apepack(folder, "--no-windows", "tool-amd64").returncode == 0
    assert (folder / "tool-amd64.ape").read_bytes()[:9] == b"jartsr='\n"


def test_json_tells_the_layout(folder: Path) -> None:
    result = apepack(folder, "--json", "-o", "tool", "tool-amd64", "tool-arm64")
    facts = json.loads(result.stdout)

    assert (facts["version"], facts["tool"], facts["operation"], facts["output"]) == (1, "apepack", "link", "tool")
    assert [image["platform"] for image in facts["images"]] == ["linux-amd64", "linux-arm64"]
    assert facts["profile"] == "default"


def test_a_dry_run_prints_the_map_and_writes_nothing(folder: Path) -> None:
    result = apepack(folder, "-n", "-o", "tool", "tool-amd64", "tool-arm64")

    assert [line.split()[0] for line in result.stdout.splitlines()][:1] == ["0x1000"]
    assert "linux-arm64 image of tool-arm64" in result.stdout
    assert not (folder / "tool").exists()


def test_errors_are_one_sentence_or_one_object(folder: Path) -> None:
    (folder / "text").write_text("not a program\n")

    result = apepack(folder, "-o", "tool", "tool-amd64", "text")
    assert result.stderr.startswith("apepack: text: not a native program")
    assert (result.stderr.count("\n"), result.stdout, result.returncode) == (1, "", 1)
    error = json.loads(apepack(folder, "--json", "text").stdout)["error"]
    assert (error["kind"], error["path"]) == ("input", "text")
    missing = apepack(folder, "no-such-file")
    assert (missing.stderr, missing.returncode) == ("apepack: no-such-file: No such file or directory\n", 1)


def test_nothing_to_do_is_a_usage_error(folder: Path) -> None:
    result = apepack(folder)

    assert result.returncode == 2
    assert "Missing argument" in result.stderr


def test_binfmt_lines_name_both_magics_and_the_interpreter(folder: Path) -> None:
    lines = apepack(folder, "--print-binfmt").stdout.splitlines()

    assert lines[1:] == [":APE:M::MZqFpD::/usr/bin/ape:FP", ":APE-jart:M::jartsr::/usr/bin/ape:FP"]
    assert lines[0].startswith("# /etc/binfmt.d/ape.conf")


def test_the_loader_alone(folder: Path) -> None:
    assert apepack(folder, "--loader", "host", "-o", "ape").returncode == 0

    assert subprocess.run([folder / "ape", folder / "tool-amd64"], check=False).returncode == 5
    assert apepack(folder, "--loader", "nowhere").returncode == 1
