"""The Hub's requests and their answers, without the network: what each does to the repositories."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from tools.local_hub.objects import DamagedObjectError, ObjectStore
from tools.local_hub.repository import ConflictError, File, Repository, git_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import BufferedIOBase
    from pathlib import Path

    from tools.local_hub.repository import Commit

__all__ = ["Answer", "Hub", "Request"]

LFS_SIZE_MIN: Final = 10 << 20  # the Hub stores smaller text in git, and binary files by .gitattributes
_BINARY: Final = re.compile(rb"[\0-\x08\x0e-\x1f]")
_TOKEN_LIFE: Final = 3600
_REPOSITORY: Final = r"(?P<name>[\w.-]+/[\w.-]+)"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for."""

    method: str
    path: str
    query: Mapping[str, str]
    token: str | None
    body: BufferedIOBase
    size: int
    root: str  # the address of the hub

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body.read(self.size))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the hub answers: a text, or a file."""

    status: int = 200
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None


class RefusedError(Exception):
    """The request is refused with an answer."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        self.answer = Answer(status, {"error": message}, {"X-Error-Message": message, "X-Error-Code": code or ""})


class Hub:
    """The repositories in a folder.

    Args:
        folder: where they are; it is created.
        token: a token that may write; without it, any may.
        reader: a token that may read only.
        chunked: whether clients may upload in chunks. Where they do, they never ask for Git LFS.
    """

    def __init__(
        self, folder: Path, *, token: str | None = None, reader: str | None = None, chunked: bool = True
    ) -> None:
        self._folder = folder
        self._token = token
        self._reader = reader
        self._chunked = chunked
        self._lock = threading.Lock()
        self.objects = ObjectStore(folder)
        routes: dict[str, Callable[[Request, Repository, dict[str, str]], Answer]] = {
            rf"POST /api/models/{_REPOSITORY}/preupload/(?P<revision>[^/]+)": self._preupload,
            rf"GET /api/models/{_REPOSITORY}/xet-(?P<kind>read|write)-token/(?P<revision>[^/]+)": self._chunk_token,
            rf"POST /api/models/{_REPOSITORY}/commit/(?P<revision>[^/]+)": self._commit,
            rf"POST /api/models/{_REPOSITORY}/branch/(?P<branch>[^/]+)": self._branch,
            rf"GET /api/models/{_REPOSITORY}/tree/(?P<revision>[^/]+)": self._tree,
            rf"GET /api/models/{_REPOSITORY}(/revision/(?P<revision>[^/]+))?": self._information,
            rf"POST /{_REPOSITORY}\.git/info/lfs/objects/batch": self._lfs_batch,
            rf"PUT /{_REPOSITORY}/lfs/(?P<sha256>[0-9a-f]{{64}})": self._lfs_upload,
            rf"POST /{_REPOSITORY}/lfs/verify": self._lfs_verify,
            rf"(GET|HEAD) /{_REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)": self._resolve,
        }
        self._routes = [(re.compile(pattern), answer) for pattern, answer in routes.items()]

    def repository(self, name: str) -> Repository:
        """Return the repository ORGANISATION/NAME, which may not exist."""
        return Repository(self._folder / "repositories" / name, name)

    def answer(self, request: Request) -> Answer:
        """Return the answer to REQUEST, and do what it asks for."""
        try:
            return self._answer(request)
        except RefusedError as refusal:
            return refusal.answer

    def _answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", "/api/validate-yaml"):
            return _validate_card(request.json()["content"])
        if (request.method, request.path) == ("POST", "/api/repos/create"):
            return self._create(request)
        for pattern, answer in self._routes:
            found = pattern.fullmatch(f"{request.method} {request.path}")
            if found:
                parts = {name: unquote(value) for name, value in found.groupdict().items() if value}
                repository = self.repository(parts["name"])
                self._check_access(request, repository)
                return answer(request, repository, parts)
        raise RefusedError(404, f"there is no {request.method} {request.path}")

    def _check_access(self, request: Request, repository: Repository) -> None:
        if request.method == "PUT":
            return  # the Hub's addresses for uploads are signed, and clients send no token there
        if request.method == "POST" or "write-token" in request.path:
            self._check_writer(request)
        if not repository.exists or (repository.is_private and request.token is None):
            raise RefusedError(404 if request.token else 401, "Repository not found", "RepoNotFound")

    def _check_writer(self, request: Request) -> None:
        if request.token is None:
            raise RefusedError(401, "Invalid username or password.")
        if request.token == self._reader:
            raise RefusedError(403, "You don't have the rights to write to this repository")
        if self._token is not None and request.token != self._token:
            raise RefusedError(401, "Invalid credentials in Authorization header")

    def _create(self, request: Request) -> Answer:
        self._check_writer(request)
        wanted = request.json()
        repository = self.repository(f"{wanted['organization']}/{wanted['name']}")
        address = {"url": f"{request.root}/{repository.name}", "name": repository.name}
        with self._lock:
            if repository.exists:
                return Answer(409, {"error": "You already created this model repo", **address})
            repository.create(private=wanted.get("visibility") == "private")
        return Answer(200, address)

    def _branch(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:
        start = _known(repository, {"revision": request.json().get("startingPoint", "main")})
        repository.branch(parts["branch"], start.id)
        return Answer(201, {})

    def _preupload(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:
        commit = _known(repository, parts)
        modes = []
        for file in request.json()["files"]:
            sample = base64.b64decode(file["sample"])
            is_lfs = file["size"] >= LFS_SIZE_MIN or bool(_BINARY.search(sample))
            present = commit.files.get(file["path"])
            oid = (present.sha256 if present.is_lfs else present.blob) if present else None
            mode = "lfs" if is_lfs else "regular"
            modes.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return Answer(200, {"files": modes})

    def _chunk_token(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:  # noqa: ARG002  # the signature of all
        if not self._chunked:
            raise RefusedError(404, "this hub stores no chunks: set HF_HUB_DISABLE_XET=1")
        address, token, end = self.objects.chunk_address, "local", int(time.time()) + _TOKEN_LIFE
        headers = {"X-Xet-Cas-Url": address, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(end)}
        return Answer(200, {"casUrl": address, "accessToken": token, "exp": end}, headers)

    def _commit(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:
        lines = [json.loads(line) for line in request.body.read(request.size).splitlines()]
        header = lines[0]["value"]
        changes = dict(self._change(line["key"], line["value"]) for line in lines[1:])
        parent = header.get("parentCommit")
        with self._lock:
            ref = parts["revision"]
            number = 1 + sum(name.startswith("refs/pr/") for name in repository.refs)
            if "create_pr" in request.query:
                parent = parent or repository.refs[ref]
                ref = f"refs/pr/{number}"
            try:
                made = repository.commit(ref, header["summary"], header["description"], changes, parent=parent)
            except ConflictError as error:
                raise RefusedError(412, "A commit has happened since. Please refresh and try again.") from error
        address = f"{request.root}/{repository.name}"
        answer = {"success": True, "commitOid": made.id, "commitUrl": f"{address}/commit/{made.id}", "hookOutput": ""}
        if "create_pr" in request.query:
            answer["pullRequestUrl"] = f"{address}/discussions/{number}"
        return Answer(200, answer)

    def _change(self, key: str, value: dict[str, Any]) -> tuple[str, File | None]:
        if key == "deletedFile":
            return value["path"], None
        if key == "file":
            data = base64.b64decode(value["content"])
            return value["path"], File(self.objects.add(data), len(data), git_hash(data), is_lfs=False)
        if key != "lfsFile":
            raise RefusedError(400, f"unknown operation {key}")
        oid, size = value["oid"], value["size"]
        if not self.objects.has(oid):
            raise RefusedError(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"
        return value["path"], File(oid, size, git_hash(pointer.encode()), is_lfs=True)

    def _tree(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:  # noqa: ARG002  # the signature of all
        files = [
            {"type": "file", "path": path, "oid": file.blob, "size": file.size}
            | ({"lfs": {"oid": file.sha256, "size": file.size, "pointerSize": 134}} if file.is_lfs else {})
            for path, file in _known(repository, parts).files.items()
        ]
        return Answer(200, files)

    def _information(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:  # noqa: ARG002  # the signature of all
        commit = _known(repository, parts)
        siblings = [{"rfilename": path} for path in commit.files]
        facts = {"id": repository.name, "modelId": repository.name, "sha": commit.id, "siblings": siblings}
        return Answer(200, {**facts, "private": repository.is_private, "tags": [], "downloads": 0, "likes": 0})

    def _lfs_batch(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:  # noqa: ARG002  # the signature of all
        address = f"{request.root}/{repository.name}/lfs"
        objects = []
        for wanted in request.json()["objects"]:
            actions = {"upload": {"href": f"{address}/{wanted['oid']}"}, "verify": {"href": f"{address}/verify"}}
            objects.append({**wanted, **({} if self.objects.has(wanted["oid"]) else {"actions": actions})})
        return Answer(200, {"transfer": "basic", "objects": objects})

    def _lfs_upload(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:  # noqa: ARG002  # the signature of all
        try:
            self.objects.receive(request.body, request.size, parts["sha256"])
        except DamagedObjectError as error:
            raise RefusedError(400, "the content does not match its SHA-256") from error
        return Answer(200)

    def _lfs_verify(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:  # noqa: ARG002  # the signature of all
        if not self.objects.has(request.json()["oid"]):
            raise RefusedError(404, "the object was not uploaded")
        return Answer(200, {})

    def _resolve(self, request: Request, repository: Repository, parts: dict[str, str]) -> Answer:
        commit = _known(repository, parts)
        file = commit.files.get(parts["path"])
        if file is None:
            raise RefusedError(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": commit.id, "ETag": f'"{file.sha256 if file.is_lfs else file.blob}"'}
        chunks = self.objects.xet_file(file.sha256) if file.is_lfs and self._chunked else None
        if chunks:
            refresh = f"{request.root}/api/models/{repository.name}/xet-read-token/{commit.id}"
            headers |= {"X-Xet-Hash": chunks.hash, "Link": f'<{refresh}>; rel="xet-auth"'}
        if request.method == "HEAD":
            return Answer(200, None, {**headers, "X-Linked-Size": str(file.size)})
        return Answer(200, None, headers, self.objects.whole(file.sha256))


def _known(repository: Repository, parts: Mapping[str, str]) -> Commit:
    commit = repository.find(parts.get("revision", "main"))
    if commit is None:
        raise RefusedError(404, "Invalid rev id", "RevisionNotFound")
    return commit


def _validate_card(content: str) -> Answer:
    """Refuse a card whose metadata is no YAML mapping, as the Hub does."""
    import yaml  # noqa: PLC0415  # only cards need it

    found = re.match(r"---\n(.*?)^---$", content, re.DOTALL | re.MULTILINE)
    try:
        metadata = yaml.safe_load(found[1]) if found else {}
    except yaml.YAMLError as error:
        return Answer(400, {"errors": [{"message": str(error)}], "warnings": []})
    if not isinstance(metadata, dict):
        return Answer(400, {"errors": [{"message": "the metadata is no mapping"}], "warnings": []})
    warnings = [] if metadata else [{"message": "empty or missing yaml metadata in repo card"}]
    return Answer(200, {"errors": [], "warnings": warnings})
