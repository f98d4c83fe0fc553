"""`llamafile-build --wheel`: the wheel of the builds that it would print."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import runtime.cli
from tests.runtime.builder.test_wheel import NAME, builds_in

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.builder.build import Build
    from runtime.platforms import Platform


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The platforms that were asked for; they are built already."""
    asked: list[str] = []
    builds = {build.platform: build for build in builds_in(tmp_path / "builds")}

    def build(platform: Platform, *_: object, **__: object) -> Build:
        asked.append(platform.name)
        return builds[platform]

    monkeypatch.setattr(runtime.cli, "build", build)
    return asked


def test_its_path_is_printed(built: list[str], tmp_path: Path) -> None:
    arguments = ["-q", "--wheel", str(tmp_path / "dist"), "linux-arm64", "linux-amd64"]
    result = CliRunner().invoke(runtime.cli.command, arguments)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'dist' / NAME}\n")
    assert built == ["linux-arm64", "linux-amd64"]
    assert (tmp_path / "dist" / NAME).is_file()


def test_its_path_is_in_json(built: list[str], tmp_path: Path) -> None:
    arguments = ["--json", "--wheel", str(tmp_path / "dist"), "linux-amd64"]
    printed = json.loads(CliRunner().invoke(runtime.cli.command, arguments).stdout)
    assert printed["wheel"] == str(tmp_path / "dist" / NAME)
    assert [item["platform"] for item in printed["builds"]] == ["linux-amd64"]
    without = json.loads(CliRunner().invoke(runtime.cli.command, ["--json", "linux-amd64"]).stdout)
    assert without["wheel"] is None
