"""docs/publishing.md, followed from an empty folder to a verified, signed, published file."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from apepack.hub.publish import publish
from apepack.provenance.description import read_manifest
from apepack.provenance.manifest import Source
from tests.acceptance.docs.readme import commands, section
from tests.builders.hub import TOKEN, contents, model_file, packed
from tests.builders.runtime_package import write_runtime_package
from tests.conftest import tool

if TYPE_CHECKING:
    from tools.local_hub.server import HubServer

PAGE: Final = "docs/publishing.md"
TITLE: Final = "From a model to a repository"
ROOT: Final = Path(__file__).parents[3]


def steps() -> list[list[str]]:
    """The commands of the section, without the installation and the hub."""
    return [words for words in commands(section(PAGE, TITLE)) if words[0] not in {"pip", "python3"}]


@pytest.mark.slow
def test_the_page_is_followed(xet_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool("openssl")
    source = publish([packed(tmp_path, model_file(tmp_path / "FILE.gguf"))], "ORGANISATION/MODEL")
    site, folder = tmp_path / "site", tmp_path / "work"
    for path in (site, folder):
        path.mkdir()
    write_runtime_package(site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    printed = {}
    for words in steps():
        done = subprocess.run(words, capture_output=True, check=False, text=True, cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), words
        printed[shlex.join(words)] = done.stdout
    stored = contents(xet_hub, name="ORGANISATION/NAME")
    assert list(stored) == ["FILE.gguf", "README.md", "my.llamafile", "my.llamafile.sig"]
    address = printed["apepack publish my.llamafile ORGANISATION/NAME"]
    assert address.startswith(f"{xet_hub.address}/ORGANISATION/NAME/commit/")
    manifest = read_manifest(folder / "my.llamafile")
    assert manifest is not None
    assert [model.source for model in manifest.models] == [
        Source("ORGANISATION/MODEL", source.commit or "", "FILE.gguf")
    ]
    users = fetched_by_a_user(tmp_path / "user", xet_hub)
    key = folder / "public.pem"
    check = ["apepack", "verify", "--json", "--key", str(key), "my.llamafile"]
    result = json.loads(subprocess.run(check, capture_output=True, check=True, text=True, cwd=users).stdout)
    assert result["ok"]


def fetched_by_a_user(folder: Path, hub: HubServer) -> Path:
    """Fetch the file and its signature without huggingface_hub."""
    folder.mkdir()
    for name in ("my.llamafile", "my.llamafile.sig"):
        address = f"{hub.address}/ORGANISATION/NAME/resolve/main/{name}"
        subprocess.run([tool("curl"), "--silent", "--fail", "--output", name, address], check=True, cwd=folder)
    return folder


def test_the_page_has_all_steps() -> None:
    assert [" ".join(words[:2]) for words in steps()] == [
        "openssl genpkey", "openssl pkey", "apepack -o", "apepack sign", "apepack verify", "apepack publish",
        "apepack publish", "apepack verify",
    ]  # fmt: skip  # a list


@pytest.mark.slow
def test_the_hub_without_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints what the shell has to know, and keeps what it has until it is started again."""
    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (words,) = (words for words in commands(section(PAGE, TITLE)) if words[0] == "python3")
    hub = tmp_path / "hub"
    for expected in ([], ["tiny"]):
        command = [sys.executable, *words[1:-1], str(hub), "--port", "0", "--token", TOKEN]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
            try:
                assert server.stdout is not None
                line = server.stdout.readline()
                given = dict(word.split("=") for word in shlex.split(line)[1:])
                assert given["HF_TOKEN"] == TOKEN
                found = subprocess.run(
                    [tool("curl"), "--silent", f"{given['HF_ENDPOINT']}/api/models/me/tiny"],
                    capture_output=True, check=True, text=True,
                )  # fmt: skip  # short
                assert ("siblings" in json.loads(found.stdout)) is bool(expected)
                (hub / "repositories" / "me").mkdir(parents=True, exist_ok=True)
                if not expected:
                    request = ["--header", f"Authorization: Bearer {TOKEN}", "--data"]
                    body = json.dumps({"organization": "me", "name": "tiny"})
                    address = f"{given['HF_ENDPOINT']}/api/repos/create"
                    subprocess.run([tool("curl"), "--silent", "--fail", *request, body, address], check=True)
            finally:
                server.terminate()
