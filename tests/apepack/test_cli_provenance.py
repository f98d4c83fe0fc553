"""apepack verify, sbom and sign, and apepack --source: what they print, where, and with which status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apepack.provenance.description import read_manifest
from apepack.provenance.manifest import Source
from tests.apepack.provenance.test_signature import write_keys
from tests.apepack.test_cli_link import apepack, json_of
from tests.builders.gguf import TinyModel
from tests.builders.llamafile import PLATFORMS, small_llamafile
from tests.conftest import run_module
from zipalign import Member, add_files

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_llamafile(tmp_path_factory.mktemp("packed"))


@pytest.fixture
def folder(packed: Path, tmp_path: Path) -> Path:
    """A folder with a llamafile, and keys."""
    shutil.copy(packed, tmp_path / "my.llamafile")
    write_keys(tmp_path)
    return tmp_path


def test_verify_sign_verify(folder: Path) -> None:
    assert apepack(folder, "verify", "my.llamafile", "--key", "ed25519.pub.pem").returncode == 1
    signed = apepack(folder, "sign", "my.llamafile", "--key", "ed25519.pem")
    assert (signed.stdout, signed.stderr, signed.returncode) == ("", "", 0)
    done = apepack(folder, "verify", "my.llamafile", "--key", "ed25519.pub.pem")
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines()[0] == "my.llamafile: everything holds"
    assert "  signature my.llamafile.sig, made by the expected signer" in done.stdout.splitlines()


@pytest.mark.slow
def test_verify_goes_on_after_a_fault(folder: Path) -> None:
    (folder / "text").write_text("text")
    done = apepack(folder, "verify", "text", "nowhere", ".", "my.llamafile")
    assert (done.stderr, done.returncode) == ("", 1)
    heads = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert heads == ["text: 1 fault", "nowhere: 1 fault", ".: 1 fault", "my.llamafile: everything holds"]
    quiet = apepack(folder, "verify", "-q", "my.llamafile")
    assert (quiet.stdout, quiet.stderr, quiet.returncode) == ("", "", 0)
    members = apepack(folder, "verify", "-v", "my.llamafile").stdout
    assert "  member    .args, " in members


@pytest.mark.slow
def test_verify_json(folder: Path) -> None:
    facts = json_of(apepack(folder, "verify", "--json", "my.llamafile"))
    assert (facts["operation"], facts["ok"]) == ("verify", True)
    (file,) = facts["files"]
    manifest = read_manifest(folder / "my.llamafile")
    assert manifest is not None
    assert (file["path"], file["findings"], file["signatures"]) == ("my.llamafile", [], [])
    assert (file["manifest_sha256"], file["manifest"]) == (manifest.sha256, json.loads(manifest.pack()))
    add_files(folder / "my.llamafile", [Member("note.txt", b"mine")])
    done = apepack(folder, "verify", "--json", "my.llamafile", "nowhere")
    facts = json_of(done)
    assert (done.returncode, facts["ok"], [file["ok"] for file in facts["files"]]) == (1, False, [False, False])
    assert facts["files"][0]["findings"][0]["subject"] == "member note.txt"
    assert facts["files"][1]["manifest"] is None


@pytest.mark.slow
def test_files_without_a_manifest(folder: Path) -> None:
    from zipalign import remove_entries

    remove_entries(folder / "my.llamafile", ["manifest.json"])
    assert apepack(folder, "verify", "my.llamafile").returncode == 1
    done = apepack(folder, "verify", "--allow-no-manifest", "my.llamafile")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "my.llamafile: the archive is sound")


@pytest.mark.slow
def test_sign_json_and_embed(folder: Path) -> None:
    facts = json_of(apepack(folder, "sign", "--json", "--embed", "--key", "ed25519.pem", "my.llamafile"))
    manifest = read_manifest(folder / "my.llamafile")
    assert manifest is not None
    assert (facts["operation"], facts["signature"], facts["manifest_sha256"]) == ("sign", None, manifest.sha256)
    assert not (folder / "my.llamafile.sig").exists()
    facts = json_of(apepack(folder, "sign", "--json", "--key", "ed25519.pem", "my.llamafile"))
    assert facts["signature"] == "my.llamafile.sig"


@pytest.mark.slow
def test_the_passphrase_of_a_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_keys(folder, "p256", b"secret")
    refused = apepack(folder, "sign", "--key", "p256.pem", "my.llamafile")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "set APEPACK_PASSPHRASE, or run this on a terminal" in refused.stderr
    monkeypatch.setenv("APEPACK_PASSPHRASE", "wrong")
    assert "not that of the key" in apepack(folder, "sign", "--key", "p256.pem", "my.llamafile").stderr
    monkeypatch.setenv("APEPACK_PASSPHRASE", "secret")
    assert apepack(folder, "sign", "--key", "p256.pem", "my.llamafile").returncode == 0


@pytest.mark.slow
def test_sbom(folder: Path) -> None:
    printed = apepack(folder, "sbom", "my.llamafile")
    assert (printed.stderr, printed.returncode) == ("", 0)
    assert json.loads(printed.stdout)["specVersion"] == "1.7"
    assert apepack(folder, "sbom", "-o", "sbom.json", "my.llamafile").stdout == ""
    assert (folder / "sbom.json").read_text() == printed.stdout
    facts = json_of(apepack(folder, "sbom", "--json", "--member", "my.llamafile"))
    assert (facts["member"], facts["output"], facts["sbom"]) == (True, None, json.loads(printed.stdout))
    assert apepack(folder, "verify", "my.llamafile").returncode == 0


@pytest.mark.slow
def test_reproduce(folder: Path) -> None:
    """Of a file from other sources, nothing is compiled; llamafile-build --reproduce is the same."""
    done = apepack(folder, "reproduce", "my.llamafile")
    assert (done.stderr, done.returncode) == ("", 1)
    lines = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == list(PLATFORMS)
    assert all(": cannot be built here: engine source_sha256 is " in line for line in lines)
    facts = json_of(apepack(folder, "reproduce", "--json", "my.llamafile"))
    assert {program["verdict"] for program in facts["programs"]} == {"cannot be built here"}
    same = run_module("runtime.cli", "--reproduce", "my.llamafile", cwd=folder)
    assert (same.stdout, same.returncode) == (done.stdout, 1)
    wrong = run_module("runtime.cli", "--reproduce", "my.llamafile", "host", cwd=folder)
    assert (wrong.returncode, "only --no-gpu" in wrong.stderr) == (2, True)


@pytest.mark.slow
def test_the_source_of_a_model_goes_into_the_manifest(folder: Path) -> None:
    TinyModel().write(folder / "x.gguf")
    options = ["--runtime", "my.llamafile", "-o", "x.llamafile", "x.gguf"]
    assert apepack(folder, "--source", "me/x@0123abc", *options).returncode == 0
    manifest = read_manifest(folder / "x.llamafile")
    assert manifest is not None
    assert {model.member: model.source for model in manifest.models}["x.gguf"] == Source("me/x", "0123abc")
    for text in ("me/x", "@1", "me/x@", "me x@1"):
        wrong = apepack(folder, "--source", text, *options)
        assert (wrong.returncode, "expected REPO@REVISION" in wrong.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["verify"], "Missing argument"),
        (["verify", "--identity", "me", "my.llamafile"], "belong together"),
        (["verify", "--identity", "me", "--issuer", "x", "--key", "k", "my.llamafile"], "not both"),
        (["verify", "--signature", "s", "a", "b"], "for one FILE"),
        (["sign", "my.llamafile"], "--key or with --keyless"),
        (["sign", "--key", "k", "--keyless", "my.llamafile"], "--key or with --keyless"),
        (["sbom", "--member", "-o", "x", "my.llamafile"], "not both"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(value[:2]),
)
def test_wrong_command_lines(arguments: list[str], word: str, folder: Path) -> None:
    done = apepack(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert word in done.stderr


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.slow
@pytest.mark.parametrize("change", [cut, Path.unlink, lambda path: path.write_bytes(b"")], ids=["cut", "gone", "empty"])
@pytest.mark.parametrize("name", ["sbom", "sign"])
def test_bad_input_is_one_sentence(name: str, change: Callable[[Path], object], folder: Path) -> None:
    change(folder / "my.llamafile")
    options = ["--key", "ed25519.pem"] if name == "sign" else []
    done = apepack(folder, name, "my.llamafile", *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith("apepack: ")
    assert not (folder / "my.llamafile.sig").exists()


@pytest.mark.slow
def test_verify_imports_nothing_heavy(folder: Path) -> None:
    code = "import sys, apepack.cli\ntry: apepack.cli.main()\nfinally: print(*sys.modules, file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    line = [sys.executable, "-c", code, "verify", "my.llamafile"]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert not {"gguf", "numpy", "lief", "securesystemslib", "cryptography", "cyclonedx"} & set(done.stderr.split())
