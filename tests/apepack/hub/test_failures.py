"""Failures while publishing and fetching: one sentence each, nothing half-published, and another run finishes."""

from __future__ import annotations

import errno
import os
import random
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from apepack.errors import HubError, MissingPackageError
from apepack.hub.download import fetch_model
from apepack.hub.publish import publish
from apepack.hub.reference import parse_reference
from tests.builders.ape import in_private_mounts
from tests.builders.hub import NAME, READER, change, contents, model_file, packed
from tools.local_hub.protocol import Answer
from tools.local_hub.server import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.local_hub.server import HubServer

ROOT: Final = Path(__file__).parents[3]
FILES: Final = ["README.md", "Tiny.Q8_0.gguf", "tiny.llamafile"]
INFORMATION: Final = rf"GET /api/models/{NAME}$"
CREATE: Final = "POST /api/repos/create"
CARD: Final = "POST /api/validate-yaml"
MODES: Final = "POST .*/preupload/"
BATCH: Final = "POST .*/objects/batch"
UPLOAD: Final = "PUT "
VERIFY: Final = "POST .*/lfs/verify"
CHUNKS: Final = "GET .*/xet-write-token/"
COMMIT: Final = "POST .*/commit/main"
STAGES: Final = (INFORMATION, CREATE, CARD, MODES, BATCH, UPLOAD, VERIFY, COMMIT)


def refusal(status: int, message: str = "", **headers: str) -> Answer:
    return Answer(status, {"error": message}, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass(frozen=True)
class Row:
    """A failure and what is said of it."""

    answer: Answer
    stages: tuple[str, ...]
    sentence: str
    status: int


ROWS: Final = {
    "401": Row(refusal(401), (INFORMATION, CREATE, MODES, BATCH, COMMIT), "does not know the token: make one", 401),
    "403": Row(refusal(403), (CREATE, MODES, BATCH, COMMIT), f"the token may not write to {NAME}: make one", 403),
    "404": Row(refusal(404, X_Error_Code="RepoNotFound"), (MODES, COMMIT), f"has no repository {NAME}", 404),
    "409": Row(refusal(409, "busy"), (COMMIT,), "another commit to me/tiny is being made: run the command again", 409),
    "412": Row(refusal(412, "stale"), (COMMIT,), "me/tiny has changed since this command began, and nothing was", 412),
    "429": Row(refusal(429, "slow down"), STAGES, "takes no more requests for now: run the command again", 429),
    "429 with a time": Row(
        refusal(429, Retry_After="77"), (UPLOAD, COMMIT), "which transfers only what is missing in 77 s", 429
    ),
    "500": Row(refusal(500, "oops"), STAGES, r"fails \(500\): run the command again", 500),
    "503": Row(refusal(503), (UPLOAD, COMMIT), r"fails \(503\): run the command again", 503),
    "400": Row(refusal(400, "no such thing"), (INFORMATION, COMMIT), r"refuses this \(400\): no such thing$", 400),
    "a reason in lines": Row(refusal(422, "one\ntwo"), (COMMIT,), r"refuses this \(422\): one$", 422),
}


@pytest.mark.parametrize(("name", "stage"), [(name, stage) for name, row in ROWS.items() for stage in row.stages])
def test_an_answer_that_is_none(hub: HubServer, tiny: Path, name: str, stage: str) -> None:
    row = ROWS[name]
    hub.fail(Fault(stage, row.answer))
    with pytest.raises(HubError, match=row.sentence) as raised:
        publish([tiny], NAME)
    assert raised.value.status == row.status
    check_and_finish(hub, tiny, raised.value)


@pytest.mark.parametrize("cut", ["request", "before answer"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_cut(hub: HubServer, tiny: Path, stage: str, cut: str) -> None:
    """The commit whose answer is lost was made: the next run finds everything there."""
    hub.fail(Fault(stage, cut="request" if cut == "request" else "before answer"))
    with pytest.raises(HubError, match=r"^the connection to \S+ failed \(.*\): run the command again") as raised:
        publish([tiny], NAME)
    check_and_finish(hub, tiny, raised.value, may_be_made=stage == COMMIT and cut == "before answer")


def check_and_finish(hub: HubServer, tiny: Path, error: HubError, *, may_be_made: bool = False) -> None:
    assert "\n" not in str(error)
    assert "Traceback" not in str(error)
    assert may_be_made or list(contents(hub)) == []
    hub.fail()
    publish([tiny], NAME)
    assert list(contents(hub)) == FILES
    assert len(hub.hub.repository(NAME).commits()) == 2


@pytest.mark.parametrize("stage", [MODES, BATCH, UPLOAD, VERIFY])
@pytest.mark.parametrize("answer", [refusal(500), refusal(429, Retry_After="1"), None])
def test_failures_that_pass_are_waited_for(hub: HubServer, tiny: Path, stage: str, answer: Answer | None) -> None:
    hub.fail(Fault(stage, answer, cut=None if answer else "request", times=2))
    notes: list[str] = []
    publish([tiny], NAME, on_note=notes.append)
    assert list(contents(hub)) == FILES
    assert len(notes) == 2
    assert all("does not answer as it should: trying again in" in note for note in notes)


def test_what_was_sent_is_found_again(hub: HubServer, tiny: Path) -> None:
    hub.fail(Fault(COMMIT, refusal(500)))
    with pytest.raises(HubError):
        publish([tiny], NAME)
    hub.fail()
    seen = len(hub.requests)
    publish([tiny], NAME)
    assert not [request for request in hub.requests[seen:] if request.startswith("PUT")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(CHUNKS, refusal(401)), "does not know the token"),
        (Fault(CHUNKS, refusal(403)), f"the token may not write to {NAME}"),
        (Fault(CHUNKS, refusal(500)), "fails"),
        (Fault(CHUNKS, cut="request"), "the connection to .* failed"),
        (Fault(CHUNKS, refusal(404)), "HF_HUB_DISABLE_XET=1"),
    ],
    ids=["401", "403", "500", "cut", "no chunks"],
)
def test_failures_of_chunks(xet_hub: HubServer, tiny: Path, fault: Fault, sentence: str) -> None:
    xet_hub.fail(fault)
    with pytest.raises(HubError, match=sentence) as raised:
        publish([tiny], NAME)
    check_and_finish(xet_hub, tiny, raised.value)


@pytest.mark.parametrize("kind", ["hub", pytest.param("xet_hub", marks=pytest.mark.slow)])
def test_an_interrupted_transfer(request: pytest.FixtureRequest, tiny: Path, kind: str) -> None:
    hub: HubServer = request.getfixturevalue(kind)

    @contextmanager
    def interrupting(_size: int, label: str) -> Iterator[Callable[[int], None]]:
        def advance(_: int) -> None:
            if label == "sending":
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        publish([tiny], NAME, bar=interrupting)
    assert contents(hub) == {}
    publish([tiny], NAME)
    assert list(contents(hub)) == FILES


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hub", "xet_hub"])
def test_a_file_that_changes_while_it_is_sent(request: pytest.FixtureRequest, tiny: Path, kind: str) -> None:
    hub: HubServer = request.getfixturevalue(kind)

    @contextmanager
    def changing(_size: int, label: str) -> Iterator[Callable[[int], None]]:
        if label == "sending":
            data = bytearray(tiny.read_bytes())
            data[-200] ^= 1
            tiny.write_bytes(data)
        yield lambda _: None

    with pytest.raises(HubError, match=r"was changed while it was sent|does not match its SHA-256"):
        publish([tiny], NAME, bar=changing)
    assert contents(hub) == {}


def test_another_commit_in_between(hub: HubServer, tiny: Path) -> None:
    """A commit that was made after the repository was read is not overwritten."""
    publish([tiny], NAME)
    change(tiny)
    repository = hub.hub.repository(NAME)
    notes: list[str] = []

    def interfere(sentence: str) -> None:
        notes.append(sentence)
        repository.commit("main", "theirs", "", {})

    hub.fail(Fault(BATCH, refusal(500), times=1))
    with pytest.raises(HubError, match="nothing was published") as raised:
        publish([tiny], NAME, on_note=interfere)
    assert (raised.value.status, len(notes)) == (412, 1)
    assert repository.commits()[0].summary == "theirs"
    publish([tiny], NAME)
    assert [commit.summary for commit in repository.commits()][:2] == ["Tiny Q8_0: llamafile", "theirs"]


def test_no_token(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match=r"publishing needs a token with write access: make one at .*HF_TOKEN"):
        publish([tiny], NAME)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("token", "sentence"), [(READER, f"the token may not write to {NAME}"), ("hf_wrong", "does not know the token")]
)
def test_a_token_without_the_right(hub: HubServer, tiny: Path, token: str, sentence: str) -> None:
    with pytest.raises(HubError, match=sentence):
        publish([tiny], NAME, token=token)
    publish([tiny], NAME)
    change(tiny)
    with pytest.raises(HubError, match=sentence):
        publish([tiny], NAME, token=token)


def test_no_hub_there(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(HubError, match=r"the connection to http://127.0.0.1:1 failed"):
        publish([tiny], NAME)


def test_no_address(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "hub.example")
    with pytest.raises(HubError, match=r"HF_ENDPOINT is 'hub\.example', which is no address of a hub"):
        publish([tiny], NAME)


def test_offline(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        publish([tiny], NAME)


def test_a_trusted_publisher_without_an_identity(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_OIDC_RESOURCE", NAME)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name in ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(HubError, match=r"no token for this trusted publisher: .*id-token: write"):
        publish([tiny], NAME)


def test_without_the_package(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'llamafile-toolchain\[hub\]'"):
        publish([tiny], NAME)
    with pytest.raises(MissingPackageError, match=r"pip install 'llamafile-toolchain\[hub\]'"):
        parse_reference("hf://me/tiny/tiny.gguf")


DOWNLOAD: Final = r"GET /me/tiny/resolve/"
HEAD: Final = r"HEAD /me/tiny/resolve/"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(HEAD, refusal(401)), "does not know the token|has no repository"),
        (Fault(HEAD, refusal(403, X_Error_Code="GatedRepo")), "me/tiny is gated: ask for access at"),
        (Fault(HEAD, refusal(404, X_Error_Code="RevisionNotFound")), "me/tiny has no such revision"),
        (Fault(HEAD, refusal(404, X_Error_Code="EntryNotFound")), "me/tiny has no such file"),
        (Fault(HEAD, refusal(404, X_Error_Code="RepoNotFound")), "has no repository me/tiny"),
        (Fault(HEAD, refusal(500)), r"fails \(500\)"),
        (Fault(HEAD, cut="request"), "connection to .* failed|cannot be reached"),
        (Fault(DOWNLOAD, refusal(429, Retry_After="5")), "takes no more requests for now"),
        (Fault(DOWNLOAD, refusal(500)), r"fails \(500\)"),
        (Fault(DOWNLOAD, cut="request"), "connection to .* failed"),
    ],
    ids=str,
)
def test_failures_of_downloads(hub: HubServer, tiny: Path, fault: Fault, sentence: str) -> None:
    publish([tiny], NAME)
    hub.fail(fault)
    with pytest.raises(HubError, match=sentence) as raised:
        fetch_model(parse_reference(f"hf://{NAME}/Tiny.Q8_0.gguf"))
    assert "\n" not in str(raised.value)
    hub.fail()
    assert fetch_model(parse_reference(f"hf://{NAME}/Tiny.Q8_0.gguf")).path.is_file()


def test_a_download_goes_on_after_a_cut(hub: HubServer, tiny: Path) -> None:
    publish([tiny], NAME)
    hub.fail(Fault(DOWNLOAD, cut="answer", times=1))
    path = fetch_model(parse_reference(f"hf://{NAME}/Tiny.Q8_0.gguf")).path
    assert path.read_bytes()[:4] == b"GGUF"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("http_get", OSError(errno.ENOSPC, "No space left on device")),
        ("http_get", OSError(errno.EDQUOT, "Disk quota exceeded")),
        ("http_get", RuntimeError("Task error: IO Error: No space left on device (os error 28)")),  # as hf_xet says it
    ],
    ids=["ENOSPC", "EDQUOT", "chunks"],
)
def test_a_full_disk(hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    publish([tiny], NAME)

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(f"huggingface_hub.file_download.{name}", fail)
        with pytest.raises(HubError, match=r"^No space left on device: make room for the file in \S+/hub, and run"):
            fetch_model(parse_reference(f"hf://{NAME}/Tiny.Q8_0.gguf"))
    assert fetch_model(parse_reference(f"hf://{NAME}/Tiny.Q8_0.gguf")).path.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hub", "xet_hub"])
def test_a_disk_that_is_full(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """By the command, on a file system that is too small for the model."""
    request.getfixturevalue(kind)
    model = model_file(tmp_path / "Large.gguf", data=random.Random(5).randbytes(6_000_000))
    publish([packed(tmp_path, model)], NAME)
    work = tmp_path / "work"
    work.mkdir()
    disable = "1" if kind == "hub" else "0"
    done = in_private_mounts(
        f'mount -t tmpfs -o size=2M tmpfs "$1" && cd "$1" && exec "$2" -m apepack -q hf://{NAME}/Large.gguf',
        work, sys.executable, HF_HOME=str(work / "home"), HF_HUB_DISABLE_XET=disable, PYTHONPATH=str(ROOT),
        HF_ENDPOINT=os.environ["HF_ENDPOINT"],
    )  # fmt: skip  # as many to a line as fit
    assert done.returncode == 1
    assert re.fullmatch(r"apepack: No space left on device: make room for the file in \S+, and run .*\n", done.stderr)
