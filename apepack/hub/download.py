"""Models from the Hub: fetched into the cache of huggingface_hub, which continues after a cut."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from apepack.hub.connection import connected, no_bar
from apepack.provenance.manifest import Source
from runtime.gguf.file_names import parse_shard_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingface_hub import HfApi

    from apepack.hub.connection import Bars, NoteCallback
    from apepack.hub.reference import Reference

__all__ = ["FetchedModel", "fetch_model"]


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
        api = connection.api
        first = api.hf_hub_download(reference.repository, names[0], revision=reference.revision, dry_run=True)
        revision = first.commit_hash  # all files of one commit
        planned = [api.hf_hub_download(reference.repository, name, revision=revision, dry_run=True) for name in names]
        size = sum(file.file_size or 0 for file in planned if file.will_download)
        with bar(size, f"fetching {reference.file_name}") as progress:
            paths = [_fetch(api, reference.repository, name, revision, progress) for name in names]
    asked_for = paths[names.index(reference.file)] if reference.file in names else paths[0]
    return FetchedModel(asked_for, Source(reference.repository, revision, reference.file))


def _file_names(reference: Reference) -> list[str]:
    shard = parse_shard_name(reference.file_name)
    if shard is None:
        return [reference.file]
    return [reference.folder + shard.sibling(number) for number in range(1, shard.count + 1)]


def _fetch(api: HfApi, repository: str, name: str, revision: str, progress: Callable[[int], None]) -> Path:
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
