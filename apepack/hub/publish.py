"""Publishing llamafiles: one commit with everything that belongs to them, or none."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from apepack.errors import HubError, InputError
from apepack.hub.card import CARD_NAME, load_card, renew_card
from apepack.hub.connection import connected, no_bar
from apepack.hub.content import PublishedFile, collect_files
from apepack.hub.llamafile import read_llamafile
from apepack.hub.plan import Change, PlannedFile, plan_files, read_card, read_repository
from apepack.hub.upload import chunked_files, is_chunked, operations_for, send_chunks
from apepack.provenance.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingface_hub import CommitInfo

    from apepack.hub.connection import Bars, Connection, NoteCallback
    from apepack.hub.llamafile import Llamafile
    from apepack.hub.plan import RepositoryState

__all__ = ["Publication", "PublishPolicy", "publish"]

_REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class PublishPolicy:
    """How llamafiles are published.

    Attributes:
        revision: the branch; without it, the main one.
        create_pr: whether to make a pull request instead of a commit in the branch.
        private: whether a repository that is created is private; None for the default of its owner.
        message: the first line of the commit; without it, the models and the runtime.
        description: the other lines; without them, the digests and where the weights are from.
        gguf: whether to publish the weights as files of their own too.
        card: the model card to renew and publish; without it, that of the repository.
    """

    revision: str | None = None
    create_pr: bool = False
    private: bool | None = None
    message: str | None = None
    description: str | None = None
    gguf: bool = True
    card: Path | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published, or would be by a run without dry_run.

    Attributes:
        repository: the repository.
        files: its files, and what happened to them.
        message: the first line of the commit.
        description: the other lines.
        chunked: whether large files were sent in chunks.
        creates: whether the repository was created.
        url: the address of the commit or the pull request, or of the last commit if nothing had changed.
        commit: its id.
        sent_size: the number of bytes that were new to the storage of the Hub.
    """

    repository: str
    files: tuple[PlannedFile, ...]
    message: str
    description: str
    chunked: bool
    creates: bool
    url: str | None = None
    commit: str | None = None
    sent_size: int = 0

    @property
    def has_changes(self) -> bool:
        """Whether there was anything to publish."""
        return any(item.change is not Change.UNCHANGED for item in self.files)

    @property
    def estimated_size(self) -> int:
        """An estimate of the bytes that are new to the storage of the Hub."""
        return sum(item.new_size for item in self.files)


def publish(  # noqa: PLR0913  # one keyword for each choice
    paths: Sequence[Path],
    repository: str,
    policy: PublishPolicy = PublishPolicy(),
    *,
    token: str | None = None,
    dry_run: bool = False,
    bar: Bars = no_bar,
    on_note: NoteCallback | None = None,
) -> Publication:
    """Publish the llamafiles PATHS in one commit.

    Nothing is visible in the repository before the commit. What was sent for a commit that was not made is found again
    by the next run.

    Args:
        paths: the llamafiles. What belongs to them is beside them: NAME.exe, NAME.llamafile.sig.
        repository: ORGANISATION/NAME; it is created if there is none.
        policy: how they are published.
        token: the token; without it, the one that huggingface_hub finds.
        dry_run: make all checks and read the repository, change nothing.
        bar: shows the progress.
        on_note: called with a sentence when a request failed and is tried again.

    Raises:
        InputError: a file is not what its manifest says, or no llamafile.
        ManifestError: a manifest is damaged.
        CardError: the model card cannot be renewed.
        MissingPackageError: huggingface_hub is not installed.
        HubError: the Hub cannot be reached, or refuses something.
        ZipalignError: an archive is damaged.
        OSError: a file cannot be read.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise HubError(f"{repository!r} is no name of a repository (expected ORGANISATION/NAME)")
    with connected(repository, token=token, on_note=on_note) as connection:
        if not dry_run:
            connection.require_token()  # before the files are read
        with bar(2 * sum(path.stat().st_size for path in paths), "verifying") as progress:
            for path in paths:
                _verify(path, progress, on_note)
            llamafiles = [read_llamafile(path, progress=progress) for path in paths]
        state = read_repository(connection, policy.revision)
        files = [*collect_files(llamafiles, gguf=policy.gguf), _card(connection, llamafiles, state, policy)]
        chunked = is_chunked()
        publication = Publication(
            repository,
            tuple(plan_files(files, state, chunked=chunked)),
            policy.message or _message(llamafiles),
            _description(llamafiles) if policy.description is None else policy.description,
            chunked,
            creates=not state.exists,
        )
        if dry_run:
            return publication
        if not publication.has_changes:
            url = f"{connection.endpoint}/{repository}/commit/{state.commit}"
            return replace(publication, url=url, commit=state.commit)
        return _commit(connection, publication, state, policy, bar)


def _verify(path: Path, progress: Callable[[int], None], on_note: NoteCallback | None) -> None:
    """Check that the file is what its manifest says."""
    report = verify(path, allow_no_manifest=True, progress=progress)
    if not report.ok:
        first = next(finding for finding in report.findings if finding.is_fault)
        reason = f"{first.subject}: {first.message}; `apepack verify` shows everything"
        raise InputError(path, f"it is not sound, and nothing was published: {reason}")
    if on_note and report.manifest is None:
        on_note(f"{path} has no manifest: only its archive was checked")


def _card(
    connection: Connection, llamafiles: Sequence[Llamafile], state: RepositoryState, policy: PublishPolicy
) -> PublishedFile:
    text = load_card(policy.card) if policy.card else read_card(connection, state)
    card = renew_card(text, llamafiles, policy.card or Path(CARD_NAME))
    return PublishedFile.of_text(CARD_NAME, card.encode())


def _message(llamafiles: Sequence[Llamafile]) -> str:
    titles = list(dict.fromkeys(llamafile.title for llamafile in llamafiles))
    return f"{', '.join(titles)}: {llamafiles[0].runtime}"


def _description(llamafiles: Sequence[Llamafile]) -> str:
    lines = []
    for llamafile in llamafiles:
        lines.append(f"{llamafile.sha256}  {llamafile.name}")
        lines += [f"{model.sha256}  {model.name}" for model in llamafile.models]
        for model in llamafile.manifest.models:
            if model.source:
                lines.append(f"{model.member} is from {model.source.repo}@{model.source.revision}")
    return "SHA-256 of the files, and the origin of the weights:\n\n" + "\n".join(dict.fromkeys(lines))


def _commit(
    connection: Connection, publication: Publication, state: RepositoryState, policy: PublishPolicy, bar: Bars
) -> Publication:
    """Send the files and make the commit."""
    api, repository = connection.api, publication.repository
    if not state.exists:
        api.create_repo(repository, private=policy.private, exist_ok=True)
    if policy.revision and not state.has_revision and not policy.create_pr:
        api.create_branch(repository, branch=policy.revision, revision=state.commit, exist_ok=True)
    parent = state.commit or api.model_info(repository).sha
    branch = policy.revision or "main"
    sent_size = 0
    if publication.chunked:
        files = chunked_files(publication.files)
        with bar(sum(file.size for file in files), "sending") as progress:
            sent_size = send_chunks(connection, files, None if policy.create_pr else branch, progress)
    sizes = [item.new_size for item in publication.files if item.file.is_large and not publication.chunked]

    def count(size: int) -> None:
        nonlocal sent_size
        sent_size += size
        advance(size)

    with bar(sum(sizes), "sending") as advance:
        made: CommitInfo = api.create_commit(
            repository,
            operations_for(publication.files, chunked=publication.chunked, progress=count),
            commit_message=publication.message,
            commit_description=publication.description,
            revision=policy.revision,
            create_pr=policy.create_pr,
            parent_commit=parent,
        )
    sent_size += sum(item.new_size for item in publication.files if not item.file.is_large)
    return replace(publication, url=made.pr_url or made.commit_url, commit=made.oid, sent_size=sent_size)
