"""The errors of this package: one root, and each error carries its data."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "AlignmentError",
    "ArchiveBusyError",
    "ChangedInputError",
    "DuplicateNameError",
    "EntryNameError",
    "IncompleteFileError",
    "InputFileError",
    "MissingDependencyError",
    "MisstatedSizeError",
    "NoSpaceError",
    "NoSuchEntryError",
    "NotAnArchiveError",
    "OutOfBoundsError",
    "OutputFileError",
    "PrefixedArchiveError",
    "RollbackError",
    "RunningFileError",
    "TimestampError",
    "TrailingDataError",
    "UnsupportedZipError",
    "ZipFormatError",
    "ZipalignError",
]


class ZipalignError(Exception):
    """The root of this package's errors; the text is a sentence for the user."""


class NotAnArchiveError(ZipalignError):
    """The file has no end record: it is no ZIP archive, not even a damaged one."""

    def __init__(self, message: str, *, path: Path | str | None = None) -> None:
        self.path = path
        super().__init__(message)


class ZipFormatError(ZipalignError, ValueError):
    """The archive is damaged or ambiguous.

    Attributes:
        reason: the problem, without its place.
        offset: its place in the file in bytes, if there is a single one.
        entry: the name of the member concerned.
        field: the record and field in the specification's words, `central.crc`.
    """

    def __init__(
        self, reason: str, *, offset: int | None = None, entry: str | None = None, field: str | None = None
    ) -> None:
        self.reason = reason
        self.offset = offset
        self.entry = entry
        self.field = field
        subject = f"{entry!r}: " if entry is not None else ""
        place = f" at offset {offset:#x}" if offset is not None else ""
        super().__init__(f"{subject}{reason}{place}")


class PrefixedArchiveError(ZipFormatError):
    """The archive's offsets do not count bytes that were put before it.

    Attributes:
        prefix_size: their number.
    """

    def __init__(self, prefix_size: int, *, field: str) -> None:
        self.prefix_size = prefix_size
        super().__init__(
            f"the archive's offsets do not count the {prefix_size} bytes before it; separate both, and join them again:"
            f" head -c {prefix_size} FILE >PROGRAM; tail -c +{prefix_size + 1} FILE >ARCHIVE.zip;"
            " zipalign PROGRAM --import ARCHIVE.zip",
            field=field,
        )


class UnsupportedZipError(ZipFormatError):
    """The archive uses an unsupported part of the format, such as encryption."""


class OutOfBoundsError(ZipFormatError):
    """A member reaches into the directory or beyond, where an append would give it other bytes."""


class TrailingDataError(ZipFormatError):
    """Bytes follow the end of the archive, so that most readers do not find it.

    Attributes:
        archive_end: the end of the archive in bytes.
        size: the number of bytes behind it.
    """

    def __init__(self, archive_end: int, size: int, reason: str | None = None, *, entry: str | None = None) -> None:
        self.archive_end = archive_end
        self.size = size
        unknown = f"{size} bytes that do not belong to the archive follow its end (cut them off with --recover)"
        super().__init__(reason or unknown, offset=archive_end, entry=entry, field="end.comment_size")


class IncompleteFileError(TrailingDataError):
    """The file ends within a member behind a complete archive, as after an interrupted download.

    Attributes:
        missing: the number of absent bytes, without those of the directory.
    """

    def __init__(self, archive_end: int, size: int, *, entry: str, missing: int) -> None:
        self.missing = missing
        reason = (
            f"the file ends before the data of this member do ({missing} bytes and the directory are missing), so it is"
            " probably incomplete: fetch it again (zipalign --recover would remove the member)"
        )
        super().__init__(archive_end, size, reason, entry=entry)


class AlignmentError(ZipalignError, ValueError):
    """An alignment that is no power of two, or an unaligned member."""

    def __init__(self, message: str, *, alignment: int) -> None:
        self.alignment = alignment
        super().__init__(message)


class EntryNameError(ZipalignError, ValueError):
    """A name that other readers refuse, change, or extract to another place."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name!r} cannot be a member's name: {reason}")


class DuplicateNameError(ZipalignError, ValueError):
    """Two inputs of one call have the same name."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name = name
        super().__init__(f"{first} and {second} would both be stored as {name!r}: rename one of them")


class NoSuchEntryError(ZipalignError, LookupError):
    """A member to remove is not in the archive."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no member {name!r} in the archive (--list shows all members)")


class InputFileError(ZipalignError):
    """An input that cannot become a member: no regular file, or the archive itself."""

    def __init__(self, message: str, *, path: Path | str) -> None:
        self.path = path
        super().__init__(message)

    @classmethod
    def irregular(cls, path: Path | str, mode: int, *, folder_hint: str = "") -> InputFileError:
        """Return the error for a folder, pipe or device with this mode; `folder_hint` is the remedy for a folder."""
        hint = ""
        if stat.S_ISFIFO(mode):
            hint = " but a pipe, which can be read only once: save its data as a file first"
        elif stat.S_ISDIR(mode):
            hint = f" but a folder{folder_hint}"
        return cls(f"{path} is not a regular file{hint}", path=path)


class OutputFileError(ZipalignError):
    """A file to replace that is none: a folder, a pipe or a device."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} is not a regular file, and cannot be replaced by one: name another file")


class ChangedInputError(ZipalignError):
    """An input changed its size while it was copied; the archive is unchanged."""

    def __init__(self, path: Path, expected: int, got: int) -> None:
        self.path = path
        self.expected = expected
        self.got = got
        super().__init__(f"{path} changed while it was read (got {got} bytes, expected {expected}): try again")


class MisstatedSizeError(ZipalignError):
    """Reading an input gives more or fewer bytes than its size, as with generated files; the archive is unchanged."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        super().__init__(
            f"{path} states {size} bytes, but reading it gives another number, as with files in /proc and /sys:"
            " copy it, and add the copy"
        )


class ArchiveBusyError(ZipalignError):
    """Another process is writing this archive.

    Attributes:
        path: the archive.
        pid: the other process, if known.
        command: its name, if known.
    """

    def __init__(self, path: Path, pid: int | None = None, command: str | None = None) -> None:
        self.path = path
        self.pid = pid
        self.command = command
        who = "another process" if pid is None else f"process {pid}" + (f" ({command})" if command else "")
        super().__init__(f"{path} is being written by {who}: wait for it to finish")


class RunningFileError(ZipalignError):
    """The archive is a running program.

    Attributes:
        pid: a process that runs from it, if known; the system only says that there is one.
        command: its name, if known.
    """

    def __init__(self, path: Path, pid: int | None = None, command: str | None = None) -> None:
        self.path = path
        self.pid = pid
        self.command = command
        process = "" if pid is None else f" (process {pid}, {command})"
        super().__init__(f"{path} is running{process}: stop it first, or work on a copy")


class NoSpaceError(ZipalignError, OSError):
    """The file system has too little free space; detected before the first byte was written."""

    def __init__(self, path: Path, needed: int, free: int | None = None) -> None:
        self.path = path
        self.needed = needed
        self.free = free
        have = "" if free is None else f", {free} are free"
        super().__init__(f"no space on the file system of {path}: {needed} more bytes are needed{have}")


class RollbackError(ZipalignError):
    """An append failed, and its bytes could not be cut off; the old bytes are complete."""

    def __init__(self, path: Path, old_size: int, cause: OSError) -> None:
        self.path = path
        self.old_size = old_size
        super().__init__(
            f"the bytes behind offset {old_size} of {path} could not be cut off ({cause.strerror}): "
            "run zipalign --recover"
        )


class MissingDependencyError(ZipalignError):
    """An operation needs an optional package."""

    def __init__(self, package: str, purpose: str) -> None:
        self.package = package
        super().__init__(f"{purpose} needs the package {package}: pip install {package}")


class TimestampError(ZipalignError, ValueError):
    """SOURCE_DATE_EPOCH is no whole number of seconds."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"SOURCE_DATE_EPOCH must be a whole number of seconds (got {text!r})")
