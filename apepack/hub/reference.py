"""Names of files on the Hub: hf://ORGANISATION/NAME[@REVISION]/FILE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apepack.errors import HubError, MissingPackageError
from runtime.gguf.file_names import is_gguf_name

__all__ = ["Reference", "is_reference", "parse_reference"]

_SCHEME: Final = "hf://"
_FORM: Final = "hf://ORGANISATION/NAME[@REVISION]/FILE.gguf"


@dataclass(frozen=True, slots=True)
class Reference:
    """A GGUF file in a model repository."""

    repository: str
    revision: str | None  # a branch, a tag or a commit
    file: str  # with its folders

    @property
    def folder(self) -> str:
        """The folder of the file in the repository, with a slash at its end unless it is empty."""
        return self.file[: self.file.rfind("/") + 1]

    @property
    def file_name(self) -> str:
        """The name of the file without its folders."""
        return self.file.rpartition("/")[2]


def is_reference(name: str) -> bool:
    """Return whether NAME names a file on the Hub."""
    return name.startswith(_SCHEME)


def parse_reference(name: str) -> Reference:
    """Return the parts of NAME.

    Raises:
        HubError: it is not of the form, or names no GGUF file in a model repository.
        MissingPackageError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import parse_hf_uri  # noqa: PLC0415  # an extra, and slow
        from huggingface_hub.errors import HfUriError  # noqa: PLC0415  # the same
    except ImportError as error:
        raise MissingPackageError("huggingface_hub", "hub") from error
    try:
        parsed = parse_hf_uri(name)
    except HfUriError as error:
        raise HubError(f"{name} names no file on the Hub (expected {_FORM})") from error
    if parsed.type != "model" or not is_gguf_name(parsed.path_in_repo):
        raise HubError(f"{name} names no GGUF file in a model repository (expected {_FORM})")
    return Reference(parsed.id, parsed.revision, parsed.path_in_repo)
