"""Blobs with members of a llamafile, written while they are read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from zipalign.inflate import entry_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from apepack.oci.layer import LayerPlan
    from apepack.oci.layout import Blob, Layout
    from zipalign import Entry
    from zipalign.copying import Progress

__all__ = ["write_blobs"]

_BATCH_SIZE: Final = 4 << 20  # in bytes: the unit of work of a thread


def write_blobs(layouts: Sequence[Layout], plans: Sequence[LayerPlan], fd: int, progress: Progress) -> list[str]:
    """Write each of PLANS to the layout at the same place in LAYOUTS; returns the digests.

    All have the same member of the open file FD, or none has one. It is read once, and checked.

    Raises:
        ZipFormatError: the member is damaged.
        OSError: a file cannot be read or written.
    """
    blobs = [layout.begin(plan.size) for layout, plan in zip(layouts, plans, strict=True)]
    for blob, plan in zip(blobs, plans, strict=True):
        blob.write(plan.head)
    member = plans[0].member
    if member:
        for blob in blobs:
            blob.clone(fd, member.data_offset, member.size)
        _write_member(blobs, fd, member, progress)
    for blob, plan in zip(blobs, plans, strict=True):
        blob.write(plan.tail)
    return [layout.end(blob) for layout, blob in zip(layouts, blobs, strict=True)]


def _write_member(blobs: Sequence[Blob], fd: int, member: Entry, progress: Progress) -> None:
    """Write MEMBER to all BLOBS. The digests, which take the most time, are computed by a thread each."""
    with ThreadPoolExecutor(len(blobs)) as pool:
        pending = [pool.submit(blob.hash, ()) for blob in blobs]
        for batch in _batches(fd, member):
            for future in pending:
                future.result()
            pending = [pool.submit(blob.hash, batch) for blob in blobs]
            for blob in blobs:
                blob.store(batch)
            progress(sum(map(len, batch)))


def _batches(fd: int, member: Entry) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for chunk in entry_chunks(fd, member):
        batch.append(chunk)
        size += len(chunk)
        if size >= _BATCH_SIZE:
            yield batch
            batch, size = [], 0
    yield batch
