"""The errors of huggingface_hub as sentences that say what to do."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from apepack.errors import ApepackError, HubError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub.errors import HfHubHTTPError

__all__ = ["explained"]

_AGAIN: Final = "run the command again, which transfers only what is missing"
_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")  # of Rust


@contextmanager
def explained(repository: str, endpoint: str) -> Iterator[None]:
    """Turn errors of the library that leave the block into HubError.

    Args:
        repository: the repository that the requests are about, ORGANISATION/NAME.
        endpoint: the address of the Hub.

    Raises:
        HubError: a request failed.
    """
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415  # an extra, and slow

    try:
        yield
    except (ApepackError, KeyboardInterrupt):
        raise
    except Exception as error:
        cause = _cause(error)
        if isinstance(cause, HfHubHTTPError):
            raise _refused(cause, repository, endpoint) from error
        if _error_number(cause) in _SPACE and getattr(cause, "filename", None) is None:
            reason = f"{os.strerror(errno.ENOSPC)}: make room for the file in {_cache_folder()}"
            raise HubError(f"{reason}, and {_AGAIN}") from error
        if isinstance(cause, OSError) and cause.errno is not None:
            raise cause from error
        sentence = _without_answer(cause, endpoint)
        if sentence is None:
            raise
        raise HubError(sentence) from error


def _error_number(error: BaseException) -> int | None:
    """Return the number of the system's error, if ERROR is one or, from hf_xet, has one in its text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _OS_ERROR.search(str(error))
    return int(found[1]) if found else None


def _cache_folder() -> str:
    from huggingface_hub import constants  # noqa: PLC0415  # an extra, and slow

    return str(constants.HF_HUB_CACHE)


def _cause(error: BaseException) -> BaseException:
    """Return the error that ERROR is about: the library wraps those of threads and of its cache."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415  # an extra, and slow

    wraps = isinstance(error, LocalEntryNotFoundError) or type(error) is RuntimeError
    while not isinstance(error, HfHubHTTPError) and wraps and error.__cause__ is not None:
        error = error.__cause__
        wraps = isinstance(error, LocalEntryNotFoundError) or type(error) is RuntimeError
    return error


def _refused(error: HfHubHTTPError, repository: str, endpoint: str) -> HubError:
    """Return the error for an answer with a status of 400 or more."""
    from huggingface_hub import errors  # noqa: PLC0415  # an extra, and slow

    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return HubError(f"{repository} is gated: ask for access at {endpoint}/{repository}", status)
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"{repository} has no such revision", status)
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return HubError(f"{repository} has no such file", status)
    said = (error.server_message or "").partition("\n")[0].rstrip(".")
    sentence = _SENTENCES.get(status)
    if isinstance(error, errors.RepositoryNotFoundError):
        sentence = "{endpoint} has no repository {repository}, or it is private and the token has no access to it"
    elif status >= 500:
        sentence = "{endpoint} fails ({status}): {again} later"
    elif sentence is None:
        sentence = "{endpoint} refuses this ({status}): {said}"
    seconds = error.response.headers.get("Retry-After", "")
    wait = f"in {seconds} s" if seconds.isdigit() else "in a few minutes"
    facts = {"endpoint": endpoint, "repository": repository, "status": status, "again": _AGAIN}
    return HubError(sentence.format(**facts, said=said or "without a reason", wait=wait), status)


_SENTENCES: Final = {
    401: "{endpoint} does not know the token: make one with write access at {endpoint}/settings/tokens",
    403: "the token may not write to {repository}: make one that may at {endpoint}/settings/tokens",
    409: "another commit to {repository} is being made: {again}",
    412: "{repository} has changed since this command began, and nothing was published: {again}",
    429: "{endpoint} takes no more requests for now: {again} {wait}",
}


def _without_answer(error: BaseException, endpoint: str) -> str | None:
    """Return a sentence for an error that is no answer of the Hub, or None for one that is a fault of this program."""
    import httpx2  # noqa: PLC0415  # part of an extra
    from huggingface_hub import errors  # noqa: PLC0415  # an extra, and slow

    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    sentences: list[tuple[tuple[type[BaseException], ...], str]] = [
        ((errors.OfflineModeIsEnabled,), "HF_HUB_OFFLINE is set: unset it to reach the Hub"),
        (
            (errors.LocalEntryNotFoundError,),
            f"{endpoint} cannot be reached, and the file is not in {_cache_folder()}: run the command again",
        ),
        (
            (httpx2.InvalidURL, httpx2.UnsupportedProtocol),
            f"HF_ENDPOINT is {endpoint!r}, which is no address of a hub: {reason}",
        ),
        ((httpx2.TransportError, ConnectionError), f"the connection to {endpoint} failed ({reason}): {_AGAIN}"),
        ((errors.OIDCError,), f"no token for this trusted publisher: {reason}"),
        ((ValueError,), f"the Hub cannot take this: {reason}"),
        # hf_xet has no better class.
        ((RuntimeError,), f"the transfer with {endpoint} failed ({reason}): {_AGAIN}"),
    ]
    return next((sentence for classes, sentence in sentences if isinstance(error, classes)), None)
