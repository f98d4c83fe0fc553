"""The commands publish and card: what they print, where, and with which status."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from tests.apepack.test_cli_link import apepack, json_of
from tests.builders.hub import NAME, contents

if TYPE_CHECKING:
    from pathlib import Path

    from tools.local_hub.server import HubServer


@pytest.mark.slow
def test_the_plan(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    done = apepack(tiny.parent, "publish", "-n", tiny.name, NAME)
    assert (done.returncode, done.stderr) == (0, "")
    first, *files, last = done.stdout.splitlines()
    assert first == f"{NAME} (to be created): Tiny Q8_0: llamafile"
    assert [line.split()[0::2] for line in files] == [
        ["new", "Tiny.Q8_0.gguf"], ["new", "tiny.llamafile"], ["new", "README.md"]
    ]  # fmt: skip  # a list
    sizes = [int(line.split()[1]) for line in files]
    assert last == f"{sum(sizes)} bytes to send at most, in whole files"
    assert contents(hub) == {}


@pytest.mark.slow
def test_the_plan_in_chunks(xet_hub: HubServer, tiny: Path) -> None:
    """What two files share is sent once."""
    done = json_of(apepack(tiny.parent, "publish", "-n", "--json", tiny.name, NAME))
    sizes = {file["name"]: file["size"] for file in done["files"]}
    assert done["chunked"]
    assert done["estimated_size"] == sizes["tiny.llamafile"] + sizes["README.md"]
    assert (done["commit"], done["url"], done["creates"]) == (None, None, True)


@pytest.mark.slow
def test_the_address_is_printed(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    done = apepack(tiny.parent, "publish", "--commit-message", "One", "--private", tiny.name, NAME)
    commit = hub.hub.repository(NAME).commits()[0]
    assert (done.stdout, done.stderr, done.returncode) == (f"{hub.address}/{NAME}/commit/{commit.id}\n", "", 0)
    assert commit.summary == "One"
    assert hub.hub.repository(NAME).is_private
    again = json_of(apepack(tiny.parent, "publish", "--json", tiny.name, NAME))
    assert (again["commit"], again["sent_size"], again["creates"]) == (commit.id, 0, False)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("tiny.llamafile",), 2, "Missing argument"),
        (("tiny.llamafile", "tiny.llamafile"), 2, "names the repository, and tiny.llamafile is a file"),
        (("tiny.llamafile", "no repository"), 1, "is no name of a repository"),
        (("none.llamafile", NAME), 1, "none.llamafile: No such file or directory"),
        ((), 2, "Missing argument"),
    ],
)
def test_command_lines_that_are_refused(
    hub: HubServer, tiny: Path, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    done = apepack(tiny.parent, "publish", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert sentence in done.stderr
    assert contents(hub) == {}


@pytest.mark.slow
def test_errors_as_json(hub: HubServer, tiny: Path) -> None:
    done = apepack(tiny.parent, "publish", "--json", "--token", "wrong", tiny.name, NAME)
    result = json_of(done)
    assert (done.returncode, result["error"]["kind"]) == (1, "hub")


@pytest.mark.slow
def test_the_card_is_printed_or_renewed(tiny: Path) -> None:
    printed = apepack(tiny.parent, "card", tiny.name)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.startswith("---\nlibrary_name: llamafile\n")
    readme = tiny.parent / "README.md"
    assert apepack(tiny.parent, "card", "-o", "README.md", tiny.name).stdout == ""
    assert readme.read_text() == printed.stdout
    readme.write_text(readme.read_text() + "\nMine.\n")
    readme.chmod(0o600)
    result = json_of(apepack(tiny.parent, "card", "--json", "-o", "README.md", tiny.name))
    assert readme.read_text() == result["card"] == printed.stdout + "\nMine.\n"
    assert result["metadata"]["base_model"] == "base/Tiny-1B"
    assert stat.S_IMODE(readme.stat().st_mode) == 0o600


def test_a_damaged_card_is_left_alone(tiny: Path) -> None:
    readme = tiny.parent / "README.md"
    readme.write_text("---\na: [\n---\n")
    done = apepack(tiny.parent, "card", "-o", "README.md", tiny.name)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("apepack: README.md: its metadata, between the two lines ---, is not valid YAML")
    assert readme.read_text() == "---\na: [\n---\n"
