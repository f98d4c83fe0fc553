"""The file with the weights: a llamafile, also an assimilated one, another ZIP archive, or a GGUF file.

Names are resolved as in the native program (shim/archive/reference.cpp, shim/resolve/names.cpp): a file on disk, else a
member of the archive; `/zip/NAME` is always the member, and `ARCHIVE@MEMBER` a member of another archive. Files are
mapped, and weights are views of the mapping.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import parse_arguments
from runtime.errors import ContainerError
from runtime.gguf.file_names import is_gguf_name, parse_shard_name
from runtime.gguf.header import MAGIC, GgufHeader
from zipalign.errors import NotAnArchiveError, ZipalignError
from zipalign.input_file import map_file
from zipalign.reader import read_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zipalign.archive import Archive, Entry

__all__ = ["Container", "open_container"]

_ARCHIVE_PREFIX: Final = "/zip/"
_SEPARATOR: Final = "@"
_MODEL_OPTIONS: Final = ("-m", "--model")
_SPLIT_COUNT: Final = "split.count"
_TENSOR_ALIGNMENT: Final = 32  # the engine's demand; both programs accept the same files
_TEXT_SIZE_MAX: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Container:
    """A file with weights.

    Attributes:
        path: the file, as given.
        data: its content, mapped.
        archive: the archive at its end; None for a GGUF file.
        member: the weights, if given as ARCHIVE@MEMBER.
    """

    path: str
    data: memoryview
    archive: Archive | None = None
    member: Entry | None = None

    @property
    def args(self) -> bytes | None:
        """The default arguments; None if there are none, or if a member was given.

        Raises:
            ContainerError: they are compressed or too large.
        """
        entry = None if self.member else self.find(ARGS_NAME)
        return self.text_of(entry) if entry else None

    def weights(self, name: str | None = None) -> memoryview:
        """Return the GGUF file NAME, or without a name the only one in the file.

        Raises:
            ContainerError: there is no such file, there are several, or it cannot be mapped.
        """
        if name is None:
            return self.single_weights()
        if _is_on_disk(name):
            return _open(name).default_weights()
        if entry := self.find(name):
            return self.weights_of(entry)
        for archive, member in _archives_in(name):
            if entry := archive.find(member):
                return archive.weights_of(entry)
        archives = [archive for archive, _ in _archives_in(name)]
        raise _not_found_error(name, archives[0] if archives else self)

    def text(self, name: str) -> bytes:
        """Return the content of the file or member NAME.

        Raises:
            ContainerError: it does not exist, is too large, or cannot be read.
        """
        if _is_on_disk(name):
            return _text(_read_start(name, _TEXT_SIZE_MAX + 1), f"'{name}'", name)
        if entry := self.find(name):
            return self.text_of(entry)
        for archive, member in _archives_in(name):
            if entry := archive.find(member):
                return archive.text_of(entry)
        where = f", and no such member in {self.path}" if self.archive else ""
        raise ContainerError(f"there is no file '{name}'{where}", path=name)

    def find(self, name: str) -> Entry | None:
        """Return the member NAME, which may be written as `/zip/NAME` or `./NAME`."""
        wanted = name.removeprefix(_ARCHIVE_PREFIX)
        while wanted.startswith("./"):
            wanted = wanted.removeprefix("./")
        return self.archive.entry(wanted) if self.archive else None

    def weights_names(self) -> list[str]:
        """Return the names of the members with weights; of split weights, that of the first part."""
        names = [entry.name for entry in self.archive.entries] if self.archive else []
        return [name for name in names if is_gguf_name(name) and not _is_continuation(name)]

    def single_weights(self) -> memoryview:
        """Return the only weights in this file.

        Raises:
            ContainerError: as weights() does.
        """
        if self.archive is None:
            return self.data
        names = self.weights_names()
        entry = self.member or (self.find(names[0]) if len(names) == 1 else None)
        if entry is None and not names:
            raise ContainerError(f"{self.path} holds no weights; name a model with -m FILE.gguf", path=self.path)
        if entry is None:
            choices = _quoted_list(names)
            raise ContainerError(f"{self.path} holds more than one model; choose with -m: {choices}", path=self.path)
        return self.weights_of(entry)

    def default_weights(self) -> memoryview:
        """Return the weights of this file, given as a model: those that its own `.args` name, or the only ones.

        Raises:
            ContainerError: as weights() does.
        """
        names = self.weights_names()
        if self.archive is None or len(names) == 1:
            return self.single_weights()
        if not names:
            reason = f"'{self.path}' holds no weights, and is none: it begins like no GGUF file"
            raise ContainerError(reason, path=self.path)
        defaults = pairwise(parse_arguments(self.args or b""))
        named = [value for option, value in defaults if option in _MODEL_OPTIONS]
        entry = self.find(named[-1]) if named else None
        if entry is None:
            choices = _quoted_list([f"{self.path}{_SEPARATOR}{name}" for name in names])
            reason = f"'{self.path}' holds more than one GGUF file, and its .args do not say which is meant"
            raise ContainerError(f"{reason}; choose with -m: {choices}", path=self.path)
        return self.weights_of(entry)

    def weights_of(self, entry: Entry) -> memoryview:
        """Return the member ENTRY as weights.

        Raises:
            ContainerError: it is not a GGUF file, or cannot be mapped.
        """
        what = f"'{entry.name}' in {self.path}"
        data = self._data_of(entry)
        if entry.data_offset % _TENSOR_ALIGNMENT:
            place = f"begins at offset {entry.data_offset}, which is no multiple of {_TENSOR_ALIGNMENT}"
            reason = f"{what} {place}, and cannot be mapped; add it again with: zipalign -j0"
            raise ContainerError(reason, path=self.path)
        return _weights(data, what, entry.name)

    def text_of(self, entry: Entry) -> bytes:
        """Return the content of the member ENTRY, a text.

        Raises:
            ContainerError: it is too large, or compressed.
        """
        return _text(self._data_of(entry), f"'{entry.name}' in {self.path}", self.path)

    def _data_of(self, entry: Entry) -> memoryview:
        if not entry.is_stored:
            reason = f"'{entry.name}' is compressed in {self.path} and cannot be mapped"
            raise ContainerError(f"{reason}; add it again with: zipalign -j0", path=self.path)
        return self.data[entry.data_offset : entry.data_end]


def open_container(name: str) -> Container:
    """Return the file NAME: a llamafile, another archive, a GGUF file, or ARCHIVE@MEMBER.

    Raises:
        ContainerError: there is no such file, or it has another format.
    """
    if _is_on_disk(name):
        return _open(name)
    archives = list(_archives_in(name))
    for archive, member in archives:
        if entry := archive.find(member):
            return replace(archive, member=entry)
    raise _not_found_error(name, archives[0][0] if archives else None)


def _open(path: str) -> Container:
    data = _map(path)
    if bytes(data[: len(MAGIC)]) == MAGIC:
        return Container(path, _weights(data, f"'{path}'", path))
    archive = _archive_at(path)
    if archive is None:
        reason = f"'{path}' is not a GGUF file, and does not end with an archive"
        raise ContainerError(f"{reason}: it is incomplete, or another kind of file; download it again", path=path)
    return Container(path, data, archive)


def _archive_at(path: str) -> Archive | None:
    try:
        return read_archive(path)
    except NotAnArchiveError:
        return None
    except ZipalignError as error:
        raise ContainerError(f"the archive in {path} is damaged: {error}", path=path) from error


def _archives_in(name: str) -> Iterator[tuple[Container, str]]:
    """Yield each split of NAME into an existing ARCHIVE and a MEMBER; both may contain the separator."""
    if name.startswith(_ARCHIVE_PREFIX):
        return
    for found in re.finditer(_SEPARATOR, name):
        path, member = name[: found.start()], name[found.end() :]
        if os.path.isfile(path) and (archive := _archive_at(path)):  # noqa: PTH113  # pathlib would drop a "./"
            yield Container(path, _map(path), archive), member


def _map(path: str) -> memoryview:
    try:
        return map_file(path)
    except OSError as error:
        raise ContainerError(f"cannot open '{path}': {error.strerror or error}", path=path) from error
    except ZipalignError as error:
        raise ContainerError(str(error), path=path) from error


def _read_start(path: str, size: int) -> bytes:
    """Return at most SIZE bytes of a file, which may be a pipe, such as `<(command)` of a shell."""
    try:
        with Path(path).open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise ContainerError(f"cannot open '{path}': {error.strerror or error}", path=path) from error


def _is_on_disk(name: str) -> bool:
    return not name.startswith(_ARCHIVE_PREFIX) and os.path.exists(name)  # noqa: PTH110  # as above


def _weights(data: memoryview, what: str, name: str) -> memoryview:
    """Return DATA, called WHAT in messages, if it is a complete GGUF file."""
    begins = bytes(data[: len(MAGIC)])
    if begins != MAGIC:
        reason = f"is not a GGUF file: it begins with '{repr(begins)[2:-1]}' (expected 'GGUF')"
        raise ContainerError(f"{what} {reason if begins else 'is empty'}", path=name)
    if parse_shard_name(name) and (count := GgufHeader.unpack(data).metadata.get(_SPLIT_COUNT, 1)) != 1:
        reason = (
            f"{what} is one of {count} files of a split model, and the portable runtime reads only models in one file"
        )
        raise ContainerError(f"{reason}; join them with: llama-gguf-split --merge", path=name)
    return data


def _text(data: memoryview | bytes, what: str, path: str) -> bytes:
    if len(data) > _TEXT_SIZE_MAX:
        raise ContainerError(f"{what} is larger than 16 MiB", path=path)
    return bytes(data)


def _is_continuation(name: str) -> bool:
    shard = parse_shard_name(name)
    return shard is not None and shard.number != 1


def _not_found_error(name: str, expected_in: Container | None) -> ContainerError:
    problem = f"there is no file '{name}'"
    if expected_in is None or expected_in.archive is None:
        return ContainerError(problem, path=name)
    names = expected_in.weights_names()
    if not names:
        return ContainerError(f"{problem}, and {expected_in.path} holds no weights", path=name)
    held = f"no such member in {expected_in.path} (it holds {_quoted_list(names)})"
    return ContainerError(f"{problem}, and {held}", path=name)


def _quoted_list(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
