"""What a publication changes in a repository: which of its files are new, and how many bytes have to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from apepack.errors import HubError
from apepack.hub.card import CARD_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from huggingface_hub.hf_api import RepoFile

    from apepack.hub.connection import Connection
    from apepack.hub.content import PublishedFile

__all__ = ["Change", "PlannedFile", "RepositoryState", "plan_files", "read_card", "read_repository", "total_new_size"]


class Change(StrEnum):
    """What happens to a file of the repository."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file and what happens to it.

    Attributes:
        file: the file.
        change: what happens to it.
        new_size: an estimate of the bytes that are sent: those of no file that is in the repository or sent before it.
    """

    file: PublishedFile
    change: Change
    new_size: int


@dataclass(frozen=True, slots=True)
class RepositoryState:
    """A repository before the publication.

    Attributes:
        exists: whether there is one.
        has_revision: whether it has the branch.
        commit: the last commit of the branch, or that where a new branch begins.
        files: its files by name.
    """

    exists: bool
    has_revision: bool
    commit: str | None
    files: Mapping[str, RepoFile]


def read_repository(connection: Connection, revision: str | None) -> RepositoryState:
    """Return the state of the repository. A branch REVISION that it lacks would begin at the end of the main one.

    Raises:
        HubError: a request failed.
    """
    from huggingface_hub.errors import (  # noqa: PLC0415  # an extra, and slow
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.hf_api import RepoFile  # noqa: PLC0415  # the same

    api, name = connection.api, connection.repository
    has_revision = True
    try:
        info = api.model_info(name, revision=revision)
    except RevisionNotFoundError:
        info = api.model_info(name)
        has_revision = False
    except RepositoryNotFoundError as error:
        # Without a token, the Hub does not say whether there is a private one.
        if isinstance(error, GatedRepoError) or (error.response.status_code != 404 and api.token):
            raise
        return RepositoryState(exists=False, has_revision=revision is None, commit=None, files={})
    tree = api.list_repo_tree(name, revision=info.sha, recursive=True) if info.sha else ()
    files = {item.path: item for item in tree if isinstance(item, RepoFile)}
    return RepositoryState(exists=True, has_revision=has_revision, commit=info.sha, files=files)


def read_card(connection: Connection, state: RepositoryState) -> str:
    """Return the card of the repository, or an empty text if it has none.

    Raises:
        HubError: a request failed, or the card is no text.
    """
    if CARD_NAME not in state.files:
        return ""
    path = connection.api.hf_hub_download(connection.repository, CARD_NAME, revision=state.commit)
    try:
        return Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise HubError(f"{CARD_NAME} in {connection.repository} is not UTF-8: replace it first") from error


def plan_files(files: Sequence[PublishedFile], state: RepositoryState, *, chunked: bool) -> list[PlannedFile]:
    """Return what happens to FILES, in the same order.

    Args:
        files: the files, those first whose content others contain.
        state: the repository.
        chunked: whether the parts of a file that are in another file are found: by xet, but not by Git LFS.
    """
    present = {file.lfs.sha256 for file in state.files.values() if file.lfs}
    planned = []
    for file in files:
        change = _change(file, state.files.get(file.name))
        is_known = change is Change.UNCHANGED or file.sha256 in present
        known_parts = sum(size for sha256, size in file.contents if chunked and sha256 in present)
        planned.append(PlannedFile(file, change, 0 if is_known else file.size - known_parts))
        present |= {file.sha256, *(sha256 for sha256, _ in file.contents)}
    return planned


def total_new_size(planned: Iterable[PlannedFile]) -> int:
    """Return the estimate for all files."""
    return sum(item.new_size for item in planned)


def _change(file: PublishedFile, present: RepoFile | None) -> Change:
    if present is None:
        return Change.NEW
    is_same = present.lfs.sha256 == file.sha256 if present.lfs else present.blob_id == file.git_hash
    return Change.UNCHANGED if is_same else Change.CHANGED
