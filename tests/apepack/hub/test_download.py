"""Models that are named by hf://: fetched once, packed, and their commit in the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apepack.errors import HubError
from apepack.hub.download import fetch_model
from apepack.hub.publish import PublishPolicy, publish
from apepack.hub.reference import Reference, is_reference, parse_reference
from apepack.provenance.description import read_manifest
from apepack.provenance.manifest import Source
from tests.apepack.test_cli_link import apepack, json_of
from tests.builders.ape import small_ape
from tests.builders.gguf import TinyModel
from tests.builders.hub import NAME, change, packed

if TYPE_CHECKING:
    from pathlib import Path

    from tools.local_hub.server import HubServer


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hf://me/tiny/a.gguf", Reference("me/tiny", None, "a.gguf")),
        ("hf://me/tiny@v1/a.gguf", Reference("me/tiny", "v1", "a.gguf")),
        ("hf://me/tiny@refs/pr/3/folder/a.gguf", Reference("me/tiny", "refs/pr/3", "folder/a.gguf")),
        ("hf://models/me/tiny@a%2Fb/a@1.GGUF", Reference("me/tiny", "a/b", "a@1.GGUF")),
    ],
)
def test_names(name: str, expected: Reference) -> None:
    assert is_reference(name)
    assert parse_reference(name) == expected


@pytest.mark.parametrize(
    "name",
    ["hf://", "hf://me", "hf://me/tiny", "hf://me/tiny@/a.gguf", "hf://me/tiny/a.txt", "hf://datasets/me/tiny/a.gguf"],
)
def test_names_that_are_none(name: str, tmp_path: Path) -> None:
    assert is_reference(name)
    with pytest.raises(HubError, match=r"expected hf://ORGANISATION/NAME\[@REVISION\]/FILE\.gguf"):
        parse_reference(name)


@pytest.mark.parametrize("name", ["hf/a.gguf", "./hf:/a.gguf", "https://hf.co/me/tiny/a.gguf"])
def test_other_names(name: str) -> None:
    assert not is_reference(name)


@pytest.mark.parametrize("kind", ["hub", pytest.param("xet_hub", marks=pytest.mark.slow)])
def test_a_model_is_fetched_once(request: pytest.FixtureRequest, tiny: Path, kind: str) -> None:
    hub: HubServer = request.getfixturevalue(kind)
    published = publish([tiny], NAME)
    first = fetch_model(parse_reference(f"hf://{NAME}/Tiny.Q8_0.gguf"))
    assert first.source == Source(NAME, published.commit or "", "Tiny.Q8_0.gguf")
    assert first.path.name == "Tiny.Q8_0.gguf"
    assert first.path.read_bytes()[:4] == b"GGUF"
    seen = len(hub.requests)
    second = fetch_model(parse_reference(f"hf://{NAME}@main/Tiny.Q8_0.gguf"))
    assert second == first
    assert not [request for request in hub.requests[seen:] if not request.startswith("HEAD")]


def test_a_revision(hub: HubServer, tiny: Path) -> None:
    old = publish([tiny], NAME)
    change(tiny)
    new = publish([tiny], NAME, PublishPolicy(revision="next"))
    for revision, published in ((old.commit, old), ("main", old), ("next", new)):
        fetched = fetch_model(parse_reference(f"hf://{NAME}@{revision}/Tiny.Q8_0.gguf"))
        assert fetched.source.revision == published.commit


def test_a_commit_in_the_cache_needs_no_network(hub: HubServer, tiny: Path) -> None:
    commit = publish([tiny], NAME).commit
    reference = parse_reference(f"hf://{NAME}@{commit}/Tiny.Q8_0.gguf")
    first = fetch_model(reference)
    seen = len(hub.requests)
    assert fetch_model(reference) == first
    assert len(hub.requests) == seen


def test_offline_the_cache_is_used(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish([tiny], NAME)
    reference = parse_reference(f"hf://{NAME}/Tiny.Q8_0.gguf")
    first = fetch_model(reference)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch_model(reference) == first
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        fetch_model(parse_reference(f"hf://{NAME}/other.gguf"))


def test_progress_is_that_of_the_bytes(hub: HubServer, tiny: Path) -> None:
    from contextlib import contextmanager

    publish([tiny], NAME)
    seen: list[int] = []
    sizes: list[int] = []

    @contextmanager
    def bar(size: int, _label: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  # of a generator function
        sizes.append(size)
        yield seen.append

    path = fetch_model(parse_reference(f"hf://{NAME}/Tiny.Q8_0.gguf"), bar=bar).path
    assert sizes == [sum(seen)] == [path.stat().st_size]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a runtime."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "runtime").write_bytes(small_ape("linux-amd64", "windows-amd64"))
    return folder


@pytest.mark.slow
def test_packed_from_the_hub(hub: HubServer, folder: Path) -> None:
    """By the command, with all files of a split model."""
    model = TinyModel()
    (folder / "model").mkdir()
    shards = model.write_shards(folder / "model" / "split.gguf", 4)
    assert len(shards) > 1
    commit = publish([packed(folder / "model", shards[0])], NAME).commit
    done = apepack(folder, "--json", "--runtime", "runtime", f"hf://{NAME}/{shards[0].name}", "--", "--temp", "0")
    result = json_of(done)
    assert result["output"] == "split.llamafile"
    assert [member["name"] for member in result["members"]][: len(shards)] == [shard.name for shard in shards]
    manifest = read_manifest(folder / "split.llamafile")
    assert manifest is not None
    assert {item.source for item in manifest.models} == {Source(NAME, commit or "", shards[0].name)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (f"hf://{NAME}/other.gguf", f"apepack: {NAME} has no such file\n"),
        (f"hf://{NAME}@other/Tiny.Q8_0.gguf", f"apepack: {NAME} has no such revision\n"),
        (f"hf://{NAME}/README.md", f"apepack: hf://{NAME}/README.md names no GGUF file in a model repository"),
        ("hf://me/other/a.gguf", "has no repository me/other, or it is private and the token has no access to it\n"),
    ],
)
def test_sentences_of_the_command(hub: HubServer, tiny: Path, folder: Path, name: str, sentence: str) -> None:
    publish([tiny], NAME)
    done = apepack(folder, "--runtime", "runtime", name)
    assert sentence in done.stderr
    assert (done.stdout, done.returncode, done.stderr.count("\n")) == ("", 1, 1)
    assert [path.name for path in folder.iterdir()] == ["runtime"]
