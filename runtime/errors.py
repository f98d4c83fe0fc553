"""What can go wrong while runtime builds are made, found or read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "AnchorError",
    "ArgumentsError",
    "ArtifactError",
    "CacheError",
    "CompileError",
    "PagesError",
    "RuntimeBuildError",
    "ToolchainError",
    "UnknownPlatformError",
]


class RuntimeBuildError(Exception):
    """The root of this package's errors; its text is a sentence for the user."""


class UnknownPlatformError(RuntimeBuildError):
    """A platform was asked for that is not in the table."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        super().__init__(f"there is no platform {name!r} (choose from {', '.join(known)})")


class CacheError(RuntimeBuildError):
    """The cache folder cannot be written."""

    def __init__(self, folder: Path, cause: OSError) -> None:
        self.folder = folder
        super().__init__(
            f"cannot write the cache {folder}: {cause.strerror or cause}; set XDG_CACHE_HOME to a folder that can be"
        )


class ArtifactError(RuntimeBuildError):
    """A pinned input could not be downloaded, or is not what was pinned."""


class AnchorError(RuntimeBuildError):
    """An edit of the engine's source found its anchor absent or more than once."""

    def __init__(self, file: str, anchor: str, found: int) -> None:
        self.file = file
        self.anchor = anchor
        self.found = found
        super().__init__(
            f"cannot edit the engine's {file}: the anchor {anchor!r} stands there {found} times (expected once);"
            " the edits in runtime/edits.py are made for another version of the engine"
        )


class ToolchainError(RuntimeBuildError):
    """A tool of the build is missing or of another version than the pinned one."""


class CompileError(RuntimeBuildError):
    """A compiler or linker run failed; the log says why."""

    def __init__(self, what: str, log: str) -> None:
        self.what = what
        self.log = log
        super().__init__(f"{what} failed:\n{log}")


class PagesError(RuntimeBuildError):
    """The server's web page could not be built."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"cannot build the web page: {problem}; llamafile-build --no-pages builds without it")


class ArgumentsError(RuntimeBuildError, ValueError):
    """An `.args` file is damaged."""

    def __init__(self, problem: str, line: int) -> None:
        self.line = line
        super().__init__(f".args: {problem} in line {line}")
