"""The workflows and the action for GitHub: pinned, with few rights; and the action's steps do what its inputs say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from runtime import VERSION
from tests.conftest import tool

ROOT: Final = Path(__file__).parents[1]
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Instead of the programs in the environment that the action makes.
RECORDER: Final = """#!/bin/sh
echo "$0" >>"$RECORD"
for argument; do echo "  $argument" >>"$RECORD"; done
echo "  HF_OIDC_RESOURCE=$HF_OIDC_RESOURCE" >>"$RECORD"
"""


def loaded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_rights_of_its_own(path: Path) -> None:
    """Each job names its own, and all actions are pinned by a commit, with the version beside it."""
    workflow = loaded(path)
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())
    for line in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8")):
        if not line.startswith(("./", "$/")):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_a_release_publishes_only_what_was_tried() -> None:
    jobs = loaded(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    needs = {name: job.get("needs", []) for name, job in jobs.items()}
    assert needs == {
        "test": [], "build": [], "try": "build", "attest": ["test", "try"], "release": "attest", "packages": "attest"
    }  # fmt: skip  # a table


class Action:
    """The action's steps, run by bash as GitHub does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "record"
        self.steps = loaded(ROOT / "action.yml")["runs"]["steps"]
        self.environment = {
            "PATH": f"{folder / 'path'}:/usr/bin:/bin",
            "RUNNER_TEMP": str(folder),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(folder / "output"),
            "RECORD": str(self.record),
        }
        for name in ("apepack", "zipalign", "pip"):
            self.replace(folder / "llamafile-toolchain" / "bin" / name)
        self.replace(folder / "path" / "python3")

    def replace(self, program: Path) -> None:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(RECORDER)
        program.chmod(0o755)

    def run(self, step: int, **environment: str) -> list[list[str]]:
        """Run a step, and return the calls of programs: name and arguments."""
        assert set(self.steps[step]["env"]) <= set(environment)
        assert self.steps[step]["shell"] == "bash"
        command = [tool("bash"), "--noprofile", "--norc", "-eo", "pipefail", "-c", self.steps[step]["run"]]
        subprocess.run(command, cwd=self.folder, env={**self.environment, **environment}, check=True)
        calls: list[list[str]] = []
        for line in self.record.read_text().splitlines():
            if not line.startswith("  "):
                calls.append([Path(line).name])
            elif not line.startswith("  HF_OIDC_RESOURCE=") or step == len(self.steps) - 1:
                calls[-1].append(line[2:])
        return calls


@pytest.fixture
def action(tmp_path: Path) -> Action:
    return Action(tmp_path)


@pytest.mark.parametrize(("wheels", "options"), [("", []), ("a folder", ["--no-index", "--find-links", "a folder"])])
def test_the_action_installs_its_own_version(action: Action, wheels: str, options: list[str]) -> None:
    environment = str(action.folder / "llamafile-toolchain")
    packages = [f"llamafile-toolchain[hub]=={VERSION}", f"llamafile-runtime=={VERSION}"]
    assert action.run(0, WHEELS=wheels) == [
        ["python3", "-m", "venv", environment],
        ["pip", "install", "--quiet", *options, *packages],
    ]


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ("", []),
        ("--server\n", ["--server"]),
        ("-p\nTwo words & $HOME\n--temp\n0", ["-p", "Two words & $HOME", "--temp", "0"]),
    ],
    ids=["none", "one", "several"],
)
def test_the_action_packs(action: Action, given: str, arguments: list[str]) -> None:
    output = "out put.llamafile"
    assert action.run(1, MODEL="a model.gguf", OUTPUT=output, ARGUMENTS=given) == [
        ["apepack", "-o", output, "a model.gguf", "--", *arguments],
        ["zipalign", "--check", output],
    ]
    assert (action.folder / "output").read_text() == f"path={action.folder / output}\n"


@pytest.mark.parametrize(
    ("environment", "resource"),
    [({}, "me/model"), ({"HF_TOKEN": "secret"}, ""), ({"HF_OIDC_RESOURCE": "me"}, "me")],
    ids=["trusted publisher", "token", "named resource"],
)
def test_the_action_publishes(action: Action, environment: dict[str, str], resource: str) -> None:
    calls = action.run(2, OUTPUT="my.llamafile", REPOSITORY="me/model", **environment)
    assert calls == [["apepack", "publish", "my.llamafile", "me/model", f"HF_OIDC_RESOURCE={resource}"]]


def test_the_checks_find_faults(tmp_path: Path) -> None:
    """Both programs of `make check` are there and work: an unknown key, and an action that is not pinned."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    steps = "jobs:\n  x:\n    runs-on: ubuntu-24.04\n    step: []\n    steps:\n      - uses: actions/checkout@v7\n"
    (folder / "x.yml").write_text(f"on: push\npermissions: {{}}\n{steps}")
    for program, word in (
        (["actionlint", str(folder / "x.yml")], 'unexpected key "step"'),
        (["zizmor", "--quiet", "--offline", str(folder)], "unpinned-uses"),
    ):
        command = [str(Path(sys.executable).with_name(program[0])), *program[1:]]
        said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert said.returncode != 0
        assert word in said.stdout
