"""The connection to the Hub: huggingface_hub, without its progress bars, its messages and its telemetry.

https://huggingface.co/docs/huggingface_hub. Requests that fail are tried again by the library; that it waits is
reported, what it prints is not. Its errors become sentences in apepack.hub.failures.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from apepack.errors import HubError, MissingPackageError
from apepack.hub.failures import explained
from runtime import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from huggingface_hub import HfApi

    NoteCallback = Callable[[str], None]
    # Called with the number of bytes to process and a label; yields the function to call with those that were.
    Bars = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]

__all__ = ["Connection", "connected", "no_bar"]

_LOGGER: Final = "huggingface_hub"
_WAITING: Final = re.compile(r"(?:Waiting|Retrying in) (?P<seconds>[\d.]+)s.*\[Retry (?P<number>\d+)/(?P<count>\d+)\]")


class Connection:
    """A connection to the Hub, for requests about one repository.

    Args:
        api: the library.
        repository: ORGANISATION/NAME.
    """

    def __init__(self, api: HfApi, repository: str) -> None:
        self.api = api
        self.repository = repository

    @property
    def endpoint(self) -> str:
        """The address of the Hub."""
        return self.api.endpoint

    def require_token(self) -> str:
        """Return the token, which writing needs.

        Raises:
            HubError: there is none.
        """
        token = self.api.token
        if not isinstance(token, str):
            raise HubError(
                f"publishing needs a token with write access: make one at {self.endpoint}/settings/tokens, and give it"
                " in HF_TOKEN or to `hf auth login`"
            )
        return token


@contextmanager
def connected(
    repository: str, *, token: str | None = None, on_note: NoteCallback | None = None
) -> Iterator[Connection]:
    """Yield a connection; errors of the library in the block become HubError.

    Args:
        repository: ORGANISATION/NAME.
        token: the token; without it, the one that the library finds: from a trusted publisher's identity, in HF_TOKEN,
            or saved by `hf auth login`.
        on_note: called with a sentence when a request failed and is tried again.

    Raises:
        MissingPackageError: huggingface_hub is not installed.
        HubError: a request failed.
    """
    # Before the import: hf_xet, and the library when it is imported, read the environment.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub  # noqa: PLC0415  # an extra, and slow
    except ImportError as error:
        raise MissingPackageError("huggingface_hub", "hub") from error
    endpoint = os.environ.get("HF_ENDPOINT") or None  # the library reads it once, when it is imported
    api = huggingface_hub.HfApi(endpoint, library_name="apepack", library_version=VERSION)
    with explained(repository, api.endpoint), _quiet(api.endpoint, on_note):
        api.token = token or huggingface_hub.get_token()
        yield Connection(api, repository)


@contextmanager
def _quiet(endpoint: str, on_note: NoteCallback | None) -> Iterator[None]:
    """Keep the library from printing while the block runs."""
    from huggingface_hub import constants  # noqa: PLC0415  # an extra, and slow
    from huggingface_hub.utils import disable_progress_bars  # noqa: PLC0415  # the same

    constants.HF_HUB_DISABLE_TELEMETRY = True
    logger = logging.getLogger(_LOGGER)
    handlers, level = logger.handlers, logger.level
    logger.handlers = [_Notes(endpoint, on_note)]
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), disable_progress_bars():
            yield
    finally:
        logger.handlers = handlers
        logger.setLevel(level)


def no_bar(_size: int, _label: str) -> AbstractContextManager[Callable[[int], None]]:
    """Show no progress."""
    return nullcontext(lambda _: None)


class _Notes(logging.Handler):
    """Turns the library's messages about another try into notes, and drops all others."""

    def __init__(self, endpoint: str, on_note: NoteCallback | None) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._on_note = on_note

    def emit(self, record: logging.LogRecord) -> None:
        """Report that a request is tried again."""
        found = _WAITING.search(record.getMessage())
        if found and self._on_note:
            wait = f"{float(found['seconds']):.0f} s"
            times = f"{found['number']} of {found['count']}"
            self._on_note(f"{self._endpoint} does not answer as it should: trying again in {wait} ({times})")
