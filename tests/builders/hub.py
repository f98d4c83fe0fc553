"""A local hub for tests, and what is published on it."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final

from apepack.packing.pack import PackInputs, pack
from apepack.provenance.description import renew_manifest
from apepack.provenance.keys import sign_statement
from apepack.provenance.signing import sign
from tests.builders.ape import small_ape
from tests.builders.gguf import U32, Gguf, Info, number, text, texts
from tools.local_hub.protocol import Hub
from tools.local_hub.server import HubServer, serving
from zipalign import Member, add_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pytest

    from tests.builders.gguf import Pair

__all__ = ["NAME", "READER", "TOKEN", "change", "contents", "hub_for", "model_file", "packed", "signed"]

NAME: Final = "me/tiny"
TOKEN: Final = "hf_writer"  # noqa: S105  # of a hub for tests
READER: Final = "hf_reader"


@contextmanager
def hub_for(folder: Path, monkeypatch: pytest.MonkeyPatch, *, chunked: bool) -> Iterator[HubServer]:
    """Serve a hub from FOLDER, and make it the one that huggingface_hub in this process knows."""
    import huggingface_hub
    from huggingface_hub import constants

    home = folder / "home"
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("HF_XET_CLIENT_RETRY_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("HF_XET_CLIENT_RETRY_BASE_DELAY", "10ms")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not chunked)
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda _: None))
    with serving(Hub(folder / "hub", token=TOKEN, reader=READER, chunked=chunked)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        try:
            yield server
        finally:
            huggingface_hub.close_session()


def model_file(path: Path, *pairs: Pair, data: bytes = b"") -> Path:
    """Write a model with a name, a licence and a base model, and with DATA, at least 2 MB if there is any."""
    known = [
        text("general.architecture", "llama"),
        text("general.type", "model"),
        text("general.name", "Tiny"),
        text("general.license", "apache-2.0"),
        number("general.file_type", 7, U32),
        texts("general.languages", ["en"]),
        number("general.base_model.count", 1, U32),
        text("general.base_model.0.repo_url", "https://huggingface.co/base/Tiny-1B"),
    ]
    given = {pair.key for pair in pairs}
    size = len(data) // 4 * 4 or 16
    model = Gguf([*(pair for pair in known if pair.key not in given), *pairs], [Info(dimensions=(size // 4,))], size)
    model.write(path)
    if data:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) - size] + data[:size])
    return path


def packed(folder: Path, model: Path, name: str = "tiny.llamafile", *, page: bytes = b"a page") -> Path:
    """Pack MODEL with programs for Linux and Windows and a page, which tells one runtime from another."""
    runtime = folder / "runtime"
    runtime.write_bytes(small_ape("linux-amd64", "windows-amd64"))
    add_files(runtime, [Member("pages/index.html", page)])
    output = folder / name
    pack(PackInputs(model), output, runtime=runtime)
    runtime.unlink()
    return output


def contents(server: HubServer, revision: str = "main", name: str = NAME) -> Mapping[str, str]:
    """The SHA-256 of each file of a repository, computed from what the hub stores."""
    repository = server.hub.repository(name)
    commit = repository.find(revision) if repository.exists else None
    if commit is None:
        return {}
    return {
        path: hashlib.sha256(server.hub.objects.whole(file.sha256).read_bytes()).hexdigest()
        for path, file in commit.files.items()
    }


def change(llamafile: Path) -> None:
    """Add a file to a llamafile, and its digest to the manifest."""
    add_files(llamafile, [Member("NOTICE", b"mine")])
    renew_manifest(llamafile)


def signed(llamafile: Path) -> Path:
    """Sign a llamafile with a new key, and return the signature beside it."""
    from securesystemslib.signer import CryptoSigner

    made = sign(llamafile, partial(sign_statement, signer=CryptoSigner.generate_ed25519()))
    assert made.path is not None
    return made.path
