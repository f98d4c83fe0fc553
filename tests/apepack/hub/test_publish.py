"""Publishing: one commit with everything that belongs to a llamafile."""

from __future__ import annotations

import hashlib
import random
import re
from typing import TYPE_CHECKING

import pytest

from apepack.errors import CardError, HubError, InputError
from apepack.hub.plan import Change
from apepack.hub.publish import PublishPolicy, publish
from tests.builders.ape import small_ape
from tests.builders.gguf import text
from tests.builders.hub import NAME, READER, TOKEN, change, contents, model_file, packed, signed
from zipalign import Member, add_files, read_archive

if TYPE_CHECKING:
    from pathlib import Path

    from tools.local_hub.server import HubServer


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def member_sha256(path: Path, name: str) -> str:
    entry = read_archive(path).entry(name)
    assert entry is not None
    return hashlib.sha256(path.read_bytes()[entry.data_offset : entry.data_end]).hexdigest()


def test_everything_of_a_llamafile_in_one_commit(hub: HubServer, tiny: Path) -> None:
    tiny.with_suffix(".exe").write_bytes(b"MZ" + bytes(100))
    signature = signed(tiny)
    published = publish([tiny], NAME)
    repository = hub.hub.repository(NAME)
    assert [commit.summary for commit in repository.commits()] == ["Tiny Q8_0: llamafile", "initial commit"]
    stored = contents(hub)
    assert list(stored) == ["README.md", "Tiny.Q8_0.gguf", "tiny.exe", "tiny.llamafile", "tiny.llamafile.sig"]
    assert stored["tiny.llamafile"] == sha256(tiny)
    assert stored["tiny.llamafile.sig"] == sha256(signature)
    assert stored["tiny.exe"] == sha256(tiny.with_suffix(".exe"))
    assert stored["Tiny.Q8_0.gguf"] == member_sha256(tiny, "Tiny.Q8_0.gguf")
    assert published.commit == repository.commits()[0].id
    assert published.url == f"{hub.address}/{NAME}/commit/{published.commit}"
    assert f"{sha256(tiny)}  tiny.llamafile" in repository.commits()[0].description
    assert not repository.is_private


@pytest.mark.slow
def test_in_chunks_too(xet_hub: HubServer, tiny: Path) -> None:
    publish([tiny], NAME)
    stored = contents(xet_hub)
    assert stored["tiny.llamafile"] == sha256(tiny)
    assert stored["Tiny.Q8_0.gguf"] == member_sha256(tiny, "Tiny.Q8_0.gguf")
    assert not [request for request in xet_hub.requests if "/lfs/" in request]


@pytest.mark.slow
def test_a_new_runtime_sends_only_the_runtime(xet_hub: HubServer, tmp_path: Path) -> None:
    """In chunks, new bytes are at most a tenth more than those before the weights."""
    model = model_file(tmp_path / "Tiny.Q8_0.gguf", data=random.Random(1).randbytes(12_000_000))
    first = packed(tmp_path, model, page=random.Random(2).randbytes(900_000))
    publish([first], NAME)
    before = xet_hub.hub.objects.chunk_bytes
    assert before < 1.1 * first.stat().st_size  # the weights are stored once, though two files have them
    second = packed(tmp_path, model, page=random.Random(3).randbytes(950_000))
    plan = publish([second], NAME, dry_run=True)
    published = publish([second], NAME)
    entry = read_archive(second).entry("Tiny.Q8_0.gguf")
    assert entry is not None
    added = xet_hub.hub.objects.chunk_bytes - before
    assert 900_000 < added < 1.1 * entry.data_offset
    assert 900_000 < published.sent_size < 1.1 * entry.data_offset
    assert published.sent_size < 1.1 * plan.estimated_size < 1.2 * entry.data_offset
    assert contents(xet_hub)["tiny.llamafile"] == sha256(second)


def test_nothing_is_sent_twice(hub: HubServer, tiny: Path) -> None:
    first = publish([tiny], NAME)
    sent = len(hub.requests)
    second = publish([tiny], NAME)
    assert (second.commit, second.has_changes, second.sent_size) == (first.commit, False, 0)
    assert {request.split()[0] for request in hub.requests[sent:]} <= {"GET", "HEAD"}


def test_a_dry_run_changes_nothing_and_needs_no_token(
    hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    planned = publish([tiny], NAME, dry_run=True)
    assert planned.creates
    assert [(item.file.name, item.change) for item in planned.files] == [
        ("Tiny.Q8_0.gguf", Change.NEW), ("tiny.llamafile", Change.NEW), ("README.md", Change.NEW)
    ]  # fmt: skip  # a list
    assert {request.split()[0] for request in hub.requests} == {"GET"}
    assert not hub.hub.repository(NAME).exists


def test_only_what_changed_is_in_the_commit(hub: HubServer, tiny: Path, tmp_path: Path) -> None:
    publish([tiny], NAME)
    change(tiny)
    planned = publish([tiny], NAME, dry_run=True)
    assert [item.change for item in planned.files] == [Change.UNCHANGED, Change.CHANGED, Change.CHANGED]
    publish([tiny], NAME)
    assert contents(hub)["tiny.llamafile"] == sha256(tiny)
    assert len(hub.hub.repository(NAME).commits()) == 3


def test_without_the_weights_as_a_file(hub: HubServer, tiny: Path) -> None:
    publish([tiny], NAME, PublishPolicy(gguf=False))
    assert list(contents(hub)) == ["README.md", "tiny.llamafile"]


def test_two_llamafiles_of_one_model_share_its_weights(hub: HubServer, tmp_path: Path) -> None:
    model = model_file(tmp_path / "Tiny.Q8_0.gguf")
    paths = [packed(tmp_path, model, "one.llamafile"), packed(tmp_path, model, "two.llamafile", page=b"another")]
    publish(paths, NAME)
    assert list(contents(hub)) == ["README.md", "Tiny.Q8_0.gguf", "one.llamafile", "two.llamafile"]


def test_two_models_of_one_name_are_refused(hub: HubServer, tmp_path: Path) -> None:
    one = packed(tmp_path, model_file(tmp_path / "Tiny.Q8_0.gguf"), "one.llamafile")
    other = model_file(tmp_path / "Tiny.Q8_0.gguf", text("general.name", "Other"))
    with pytest.raises(InputError, match="is another one than that of"):
        publish([one, packed(tmp_path, other, "two.llamafile")], NAME)
    assert not hub.hub.repository(NAME).exists


@pytest.mark.parametrize("private", [True, False, None], ids=str)
def test_a_private_repository(hub: HubServer, tiny: Path, private: object) -> None:
    publish([tiny], NAME, PublishPolicy(private=None if private is None else bool(private)))
    assert hub.hub.repository(NAME).is_private is bool(private)
    assert publish([tiny], NAME).has_changes is False


def test_words_of_ones_own(hub: HubServer, tiny: Path) -> None:
    publish([tiny], NAME, PublishPolicy(message="Release 3", description="See the notes."))
    commit = hub.hub.repository(NAME).commits()[0]
    assert (commit.summary, commit.description) == ("Release 3", "See the notes.")


def test_a_branch_is_created(hub: HubServer, tiny: Path) -> None:
    publish([tiny], NAME)
    change(tiny)
    publish([tiny], NAME, PublishPolicy(revision="next/one"))
    assert contents(hub, "next/one")["tiny.llamafile"] == sha256(tiny)
    assert contents(hub)["tiny.llamafile"] != sha256(tiny)


@pytest.mark.parametrize("kind", ["hub", pytest.param("xet_hub", marks=pytest.mark.slow)])
def test_a_pull_request(request: pytest.FixtureRequest, tiny: Path, kind: str) -> None:
    hub: HubServer = request.getfixturevalue(kind)
    publish([tiny], NAME)
    change(tiny)
    published = publish([tiny], NAME, PublishPolicy(create_pr=True))
    assert published.url == f"{hub.address}/{NAME}/discussions/1"
    assert contents(hub, "refs/pr/1")["tiny.llamafile"] == sha256(tiny)
    assert contents(hub)["tiny.llamafile"] != sha256(tiny)


def test_the_authors_card_stays(hub: HubServer, tiny: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text("---\nlicense: mit\n---\n# My model\n\nMade with love.\n")
    publish([tiny], NAME, PublishPolicy(card=card))
    change(tiny)
    publish([tiny], NAME)
    stored = hub.hub.repository(NAME).commits()[0].files["README.md"]
    text = hub.hub.objects.path(stored.sha256).read_text()
    assert "license: mit\n" in text
    assert "# My model\n\nMade with love.\n" in text
    assert text.count(sha256(tiny)) == 1
    assert card.read_text() == "---\nlicense: mit\n---\n# My model\n\nMade with love.\n"


def test_a_damaged_card_stops_it(hub: HubServer, tiny: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text("---\nlicense: [\n---\n")
    with pytest.raises(CardError, match="not valid YAML"):
        publish([tiny], NAME, PublishPolicy(card=card))
    assert not hub.hub.repository(NAME).exists


@pytest.mark.parametrize("name", ["tiny", "me/tiny/more", "me/ti ny", "", "https://huggingface.co/me/tiny"])
def test_names_that_are_none(hub: HubServer, tiny: Path, name: str) -> None:
    with pytest.raises(HubError, match="is no name of a repository"):
        publish([tiny], name)
    assert hub.requests == []


def test_no_telemetry(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of the registry of agents is asked for by no one, and the client says only what it is."""
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY")
    publish([tiny], NAME)
    assert not [request for request in hub.requests if "agent" in request or "telemetry" in request]
    (named,) = {headers["user-agent"] for headers in hub.headers if "apepack" in headers.get("user-agent", "")}
    assert re.fullmatch(r"apepack/[\d.]+; hf_hub/[\d.]+; python/[\d.]+", named)


def test_the_token_is_the_one_that_was_given(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", READER)
    publish([tiny], NAME, token=TOKEN)
    assert "tiny.llamafile" in contents(hub)


def test_a_file_that_is_not_what_its_manifest_says(hub: HubServer, tiny: Path) -> None:
    add_files(tiny, [Member("NOTICE", b"mine")])
    with pytest.raises(InputError, match=r"not sound, and nothing was published: member NOTICE: .*`apepack verify`"):
        publish([tiny], NAME)
    data = bytearray(tiny.read_bytes())
    data[-30] ^= 1
    tiny.write_bytes(data)
    with pytest.raises(InputError, match="it is not sound, and nothing was published"):
        publish([tiny], NAME)
    assert not hub.hub.repository(NAME).exists


def test_a_signature_of_another_file(hub: HubServer, tiny: Path) -> None:
    signed(tiny)
    change(tiny)
    with pytest.raises(InputError, match=r"nothing was published: signature .*tiny\.llamafile\.sig: it is of"):
        publish([tiny], NAME)
    assert not hub.hub.repository(NAME).exists


def test_a_file_without_a_manifest(hub: HubServer, tmp_path: Path) -> None:
    """Those of other makers have none: their archive is checked, and a note says that."""
    path = tmp_path / "other.llamafile"
    path.write_bytes(small_ape("linux-amd64"))
    add_files(path, [Member("Tiny.Q8_0.gguf", model_file(tmp_path / "Tiny.Q8_0.gguf"))], alignment=65536)
    notes: list[str] = []
    publish([path], NAME, on_note=notes.append)
    assert notes == [f"{path} has no manifest: only its archive was checked"]
    assert contents(hub)["other.llamafile"] == sha256(path)
