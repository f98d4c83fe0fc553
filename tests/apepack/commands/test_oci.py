"""apepack oci: what it prints, where, and with which status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apepack.oci.images import names_in, packed, read_layout
from tests.apepack.test_cli_link import apepack, json_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    packed(tmp_path, arguments=["--port", "9000"])
    return tmp_path


def test_an_image(folder: Path) -> None:
    done = apepack(folder, "oci", "x.llamafile", "-o", "x.tar", "-t", "me/cat:7", "--modelpack", "m.tar")

    assert (done.returncode, done.stderr) == (0, "")
    first, *others = done.stdout.splitlines()
    assert first.startswith("x.tar: the image me/cat:7, ")
    layout = read_layout(folder / "x.tar")
    (entry,) = layout.index["manifests"]
    assert others[-1] == f"  index: {entry['digest']}"
    assert [line.split()[1] for line in others[:4]] == [
        "/models/tiny.gguf",
        "/usr/bin/llamafile",
        "/usr/bin/llamafile",
        "/usr/bin/llamafile.llamafile",
    ]
    (artifact,) = read_layout(folder / "m.tar").index["manifests"]
    assert f"  ModelPack: {artifact['digest']}" in others
    config = layout.json(layout.platform("arm64")["config"])
    assert config["config"]["ExposedPorts"] == {"9000/tcp": {}}


def test_json(folder: Path) -> None:
    planned = json_of(apepack(folder, "oci", "--json", "-n", "x.llamafile", "-o", "out"))
    assert not (folder / "out").exists()
    facts = json_of(apepack(folder, "oci", "--json", "x.llamafile", "-o", "out", "--modelpack", "m"))

    assert (facts["operation"], facts["name"], facts["path"]) == ("oci", "x:latest", "x.llamafile")
    assert [platform["platform"] for platform in facts["platforms"]] == ["linux/amd64", "linux/arm64"]
    assert facts["digest"] == read_layout(folder / "out").index["manifests"][0]["digest"]
    for layer in facts["layers"]:
        assert layer.pop("digest") in read_layout(folder / "out").blobs
    assert planned["layers"] == facts["layers"]
    assert planned["arguments"] == facts["arguments"]


def test_quiet_and_a_dry_run(folder: Path) -> None:
    before = names_in(folder)

    dry = apepack(folder, "oci", "-n", "-q", "x.llamafile", "-o", "out", "--platform", "linux/arm64", "--no-gpu")

    assert (dry.returncode, dry.stderr) == (0, "")
    assert "amd64" not in dry.stdout
    assert "sha256" not in dry.stdout
    assert names_in(folder) == before
    done = apepack(folder, "oci", "-q", "x.llamafile", "-o", "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_warning(tmp_path: Path) -> None:
    packed(tmp_path, arguments=["--host", "127.0.0.1"])

    done = apepack(tmp_path, "oci", "-q", "x.llamafile", "-o", "out")
    refused = apepack(tmp_path, "oci", "-q", "--strict", "x.llamafile", "-o", "strict")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("apepack: warning: .args has --host 127.0.0.1, ")
    assert (refused.returncode, refused.stderr) == (1, done.stderr.replace("warning: ", ""))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["x.llamafile"], 2, "Missing option '-o'"),
        (["-o", "out"], 2, "Missing argument 'FILE'"),
        (["x.llamafile", "-o", "-"], 2, "a pipe, such as standard output"),
        (["x.llamafile", "-o", "out", "--platform", "windows/amd64"], 2, "'windows/amd64' is not one of"),
        (["x.llamafile", "-o", "out", "-t", "Cat"], 1, "apepack: 'Cat' is no name of an image: a name consists of"),
        (["nothing", "-o", "out"], 1, "apepack: nothing: No such file or directory"),
        (["x.llamafile", "-o", "rt"], 1, "apepack: rt: this exists, and its name does not end with .tar"),
        (["rt", "-o", "out"], 1, "apepack: rt: it holds no weights: pack a model first"),
        ([".", "-o", "out"], 1, "apepack: . is not a regular file but a folder"),
    ],
)
def test_errors(folder: Path, arguments: list[str], status: int, message: str) -> None:
    before = names_in(folder)

    done = apepack(folder, "oci", *arguments)

    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert names_in(folder) == before
