"""Repositories: their commits, branches and pull requests, in JSON files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Commit", "ConflictError", "File", "Repository", "git_hash"]

MAIN: Final = "main"


class ConflictError(Exception):
    """The branch does not end with the commit that the client names as the parent."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a commit."""

    sha256: str
    size: int
    blob: str  # git's name of the content, or of the pointer to it
    is_lfs: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """A state of all files."""

    id: str
    parent: str | None
    summary: str
    description: str
    files: Mapping[str, File]


def git_hash(data: bytes) -> str:
    """Return the name that git gives a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class Repository:
    """One repository.

    Args:
        folder: where its files are.
        name: ORGANISATION/NAME.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.name = name

    @property
    def exists(self) -> bool:
        """Whether it has been created."""
        return self._folder.is_dir()

    def create(self, *, private: bool) -> None:
        """Create it with an empty commit, as the Hub does."""
        self._folder.mkdir(parents=True)
        self._write("settings", {"private": private})
        self._write("refs", {})
        self.commit(MAIN, "initial commit", "", {})

    @property
    def is_private(self) -> bool:
        """Whether readers need a token."""
        return bool(self._read("settings")["private"])

    @property
    def refs(self) -> dict[str, str]:
        """The last commit of each branch and pull request."""
        refs: dict[str, str] = self._read("refs")
        return refs

    def find(self, revision: str) -> Commit | None:
        """Return the commit that a branch, a pull request or a commit's id names."""
        commit_id = self.refs.get(revision, revision)
        if not (self._folder / f"{commit_id}.json").is_file():
            return None
        stored = self._read(commit_id)
        files = {path: File(**file) for path, file in stored["files"].items()}
        return Commit(commit_id, stored["parent"], stored["summary"], stored["description"], files)

    def commits(self, revision: str = MAIN) -> list[Commit]:
        """Return the commits of a branch, the last one first."""
        found = []
        commit = self.find(revision)
        while commit:
            found.append(commit)
            commit = self.find(commit.parent) if commit.parent else None
        return found

    def branch(self, name: str, start: str) -> None:
        """Create a branch that ends with the commit START."""
        self._write("refs", {**self.refs, name: start})

    def commit(
        self, ref: str, summary: str, description: str, changes: Mapping[str, File | None], *, parent: str | None = None
    ) -> Commit:
        """Add a commit to REF. CHANGES has the new content of each file, or None for one that is removed.

        Raises:
            ConflictError: REF exists, and does not end with PARENT.
        """
        refs = self.refs
        last = self.find(ref)
        if parent and ref in refs and refs[ref] != parent:
            raise ConflictError(refs[ref])
        base = last or (self.find(parent) if parent else None)
        files = {**(base.files if base else {}), **{path: file for path, file in changes.items() if file}}
        files = {path: file for path, file in sorted(files.items()) if changes.get(path, file)}
        parent_id = base.id if base else None
        content = {
            "parent": parent_id,
            "summary": summary,
            "description": description,
            "files": {path: asdict(file) for path, file in files.items()},
        }
        commit_id = hashlib.sha1(json.dumps(content).encode(), usedforsecurity=False).hexdigest()
        self._write(commit_id, content)
        self._write("refs", {**refs, ref: commit_id})
        return Commit(commit_id, parent_id, summary, description, files)

    def _read(self, name: str) -> Any:
        return json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))

    def _write(self, name: str, value: object) -> None:
        """Replace a JSON file as a whole."""
        path = self._folder / f"{name}.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
