"""Models from the Hub: fetched into the cache of huggingface_hub, which continues after a cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from apepack.hub.connection import connected, no_bar
from apepack.provenance.manifest import Source
from runtime.gguf.file_names import parse_shard_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingface_hub import HfApi

    from apepack.hub.connection import Bars, NoteCallback
    from apepack.hub.reference import Reference

__all__ = ["FetchedModel", "fetch_model"]

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model in the cache.

    Attributes:
        path: the file that was asked for; other files of a split model are beside it.
        source: its repository, the commit, and its name there.
    """

    path: Path
    source: Source


def fetch_model(
    reference: Reference,
    *,
    bar: Bars = no_bar,
    on_note: NoteCallback | None = None,
) -> FetchedModel:
    """Fetch a model, all files of a split one, unless the cache has it.

    The token is the one that huggingface_hub finds; public models need none.

    Args:
        reference: the file.
        bar: shows the progress.
        on_note: called with a sentence when a request failed and is tried again.

    Raises:
        MissingPackageError: huggingface_hub is not installed.
        HubError: a request failed.
        OSError: a file cannot be written.
    """
    names = _file_names(reference)
    with connected(reference.repository, on_note=on_note) as connection:
        paths = _cached(connection.api, reference, names) or _fetch_all(connection.api, reference, names, bar)
    asked_for = paths[names.index(reference.file) if reference.file in names else 0]
    return FetchedModel(asked_for, Source(reference.repository, _commit(asked_for, reference.file), reference.file))


def _commit(path: Path, name: str) -> str:
    """Return the commit of the file NAME, which is in the cache as PATH: that has a folder for each commit."""
    return path.parents[name.count("/")].name


def _cached(api: HfApi, reference: Reference, names: list[str]) -> list[Path] | None:
    """Return the files without the network if it is not needed, for a commit, or not allowed, and they are there."""
    from huggingface_hub import constants  # noqa: PLC0415  # an extra, and slow
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415  # the same

    repository, revision = reference.repository, reference.revision
    if not constants.is_offline_mode() and not _COMMIT.fullmatch(revision or ""):
        return None
    try:
        return [Path(api.hf_hub_download(repository, name, revision=revision, local_files_only=True)) for name in names]
    except LocalEntryNotFoundError:
        return None


def _fetch_all(api: HfApi, reference: Reference, names: list[str], bar: Bars) -> list[Path]:
    """Fetch the files of one commit."""
    repository, revision = reference.repository, reference.revision
    planned = [api.hf_hub_download(repository, name, revision=revision, dry_run=True) for name in names]
    size = sum(file.file_size or 0 for file in planned if file.will_download)
    with bar(size, f"fetching {reference.file_name}") as progress:
        first = _fetch(api, repository, names[0], revision, progress)  # the cache remembers the commit of a branch
        commit = _commit(first, names[0])
        return [first, *(_fetch(api, repository, name, commit, progress) for name in names[1:])]


def _file_names(reference: Reference) -> list[str]:
    shard = parse_shard_name(reference.file_name)
    if shard is None:
        return [reference.file]
    return [reference.folder + shard.sibling(number) for number in range(1, shard.count + 1)]


def _fetch(api: HfApi, repository: str, name: str, revision: str | None, progress: Callable[[int], None]) -> Path:
    bar: Any = _bar(progress)
    return Path(api.hf_hub_download(repository, name, revision=revision, tqdm_class=bar))


def _bar(progress: Callable[[int], None]) -> type:
    """Return a class that huggingface_hub uses as its progress bar."""

    class Bar:
        """As much of tqdm as the library uses. One bar is enough: it has the methods for bytes on their way too."""

        def __init__(self, **options: Any) -> None:
            self.n = options.get("initial", 0)
            self.total = options.get("total")

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *exception: object) -> None:
            self.close()

        def update(self, size: float | None = 1) -> None:
            self.n += int(size or 0)
            progress(int(size or 0))

        def update_transfer(self, size: float | None = 1) -> None:
            """Bytes that arrived and are not written yet are no progress."""

        def set_postfix_str(self, *_: object, **__: object) -> None:
            """Show no speeds."""

        set_transfer_postfix_str = set_postfix_str

        def close(self) -> None:
            """Nothing is left."""

    return Bar
