"""Sending the contents of files to the Hub, before the commit that gives them names.

Large files go to content-addressed storage: in chunks by hf_xet, which sends none that the storage has
(https://huggingface.co/docs/xet), or whole by Git LFS. huggingface_hub would do both, but the first for files on disk
only; weights are ranges of llamafiles here, and streamed. The operations are left in the state in which its own
`preupload_lfs_files()` leaves them.
"""

from __future__ import annotations

from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import quote

from apepack.errors import HubError
from apepack.hub.plan import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingface_hub import CommitOperationAdd

    from apepack.hub.connection import Connection
    from apepack.hub.content import PublishedFile
    from apepack.hub.plan import PlannedFile

    Progress = Callable[[int], None]

__all__ = ["chunked_files", "is_chunked", "operations_for", "send_chunks"]


def is_chunked() -> bool:
    """Return whether large files are sent in chunks: hf_xet is installed, and HF_HUB_DISABLE_XET not set."""
    from huggingface_hub import constants  # noqa: PLC0415  # an extra, and slow

    return find_spec("hf_xet") is not None and not constants.HF_HUB_DISABLE_XET


def operations_for(
    planned: Sequence[PlannedFile], *, chunked: bool, progress: Progress | None = None
) -> list[CommitOperationAdd]:
    """Return the operations of a commit that adds the files of PLANNED, except unchanged ones.

    Args:
        planned: the files.
        chunked: whether the content of large ones was sent by send_chunks(). Otherwise create_commit() sends it.
        progress: called with the number of bytes that create_commit() has read since the last call.
    """
    return [_operation(item.file, chunked, progress) for item in planned if item.change is not Change.UNCHANGED]


def _operation(file: PublishedFile, chunked: bool, progress: Progress | None) -> CommitOperationAdd:  # noqa: FBT001  # private
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415  # an extra, and slow
    from huggingface_hub.lfs import UploadInfo  # noqa: PLC0415  # the same

    if isinstance(file.source, bytes):
        return CommitOperationAdd(file.name, file.source)
    operation = CommitOperationAdd(file.name, b"")
    # With a file object, the constructor would read all of it for the digest that is known.
    with file.source.open() as reader:
        sample = reader.read(512)
    operation.upload_info = UploadInfo(file.size, sample, bytes.fromhex(file.sha256))
    operation._upload_mode = "lfs"  # noqa: SLF001  # see the module's docstring; a test compares with the library
    operation._should_ignore = False  # noqa: SLF001  # the same
    operation._is_uploaded = chunked  # noqa: SLF001  # the same
    if not chunked:
        operation.path_or_fileobj = file.source.open(progress)
    return operation


def chunked_files(planned: Sequence[PlannedFile]) -> list[PublishedFile]:
    """Return the files of PLANNED that send_chunks() processes, in that order: the changed large ones.

    Files that others contain come first, because chunks are known after the session that sent them. Among these are
    unchanged ones that a changed file contains: for their first chunk, the storage answers which others it has, so that
    a machine that never sent them does not send them now.
    """
    changed = [item.file for item in planned if item.file.is_large and item.change is not Change.UNCHANGED]
    wanted = {sha256 for file in changed for sha256, _ in file.contents}
    parts = [item.file for item in planned if item.file.is_large and item.file.sha256 in wanted]
    return [*parts, *(file for file in changed if file not in parts)]


def send_chunks(
    connection: Connection,
    files: Sequence[PublishedFile],
    revision: str | None,
    progress: Progress | None = None,
) -> int:
    """Send FILES in chunks, each in a session of its own, and return how many bytes were new to the storage.

    Args:
        connection: the connection.
        files: the files.
        revision: the branch, or None for a pull request.
        progress: called with the number of bytes that were processed since the last call.

    Raises:
        HubError: there is no such service, or a file was changed in the meantime.
        RuntimeError: sending failed. The connection makes a HubError of it.
    """
    import hf_xet  # noqa: PLC0415  # part of an extra

    address = f"{connection.endpoint}/api/models/{connection.repository}/xet-write-token/"
    address += quote(revision, safe="") if revision else "None?create_pr=1"
    headers = {"authorization": f"Bearer {connection.require_token()}"}
    _check_access(connection, address, headers)
    session = hf_xet.XetSession()
    new_size = 0
    for file in files:
        with session.new_upload_commit(token_refresh_url=address, token_refresh_headers=headers) as commit:
            stream = commit.start_upload_stream(name=file.name)  # it computes the SHA-256 of what it sends
            for chunk in file.chunks(progress):
                stream.write(chunk)
            sent = stream.finish()
            if sent.xet_info.sha256 != file.sha256:
                raise HubError(
                    f"{file.name} was changed while it was sent, and nothing was published: run the command again"
                )
            new_size += sent.dedup_metrics.new_bytes
    return new_size


def _check_access(connection: Connection, address: str, headers: dict[str, str]) -> None:
    """Ask for the right to send chunks, because hf_xet says nothing of the Hub's reasons.

    Raises:
        HubError: there is no such service.
    """
    from huggingface_hub.utils import hf_raise_for_status, http_backoff  # noqa: PLC0415  # an extra, and slow

    answer = http_backoff("GET", address, headers=headers)
    if answer.status_code == HTTPStatus.NOT_FOUND and "X-Error-Code" not in answer.headers:
        raise HubError(f"{connection.endpoint} takes no chunks: set HF_HUB_DISABLE_XET=1", HTTPStatus.NOT_FOUND)
    hf_raise_for_status(answer)
