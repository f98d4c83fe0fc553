"""The errors of this package: one root, and a family each for builds, GGUF files and options.

Those of native images are in runtime/image/errors.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "AnchorError",
    "ArgumentsError",
    "ArtifactError",
    "BuildError",
    "CacheError",
    "CompileError",
    "ContainerError",
    "ContextFullError",
    "GgufError",
    "GgufFormatError",
    "InvalidOptionError",
    "ModelError",
    "OptionError",
    "PagesError",
    "PromptError",
    "RuntimePackageError",
    "ToolchainError",
    "UnknownPlatformError",
]


class RuntimePackageError(Exception):
    """The root of this package's errors; its text is a sentence for the user."""


class UnknownPlatformError(RuntimePackageError):
    """A platform name that is not in the table."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        super().__init__(f"there is no platform {name!r} (choose from {', '.join(known)})")


class BuildError(RuntimePackageError):
    """A runtime, a loader or the web page cannot be built."""


class CacheError(BuildError):
    """The cache folder cannot be written."""

    def __init__(self, folder: Path, cause: OSError) -> None:
        self.folder = folder
        super().__init__(
            f"cannot write the cache {folder}: {cause.strerror or cause}; set XDG_CACHE_HOME to a folder that can be"
        )


class ArtifactError(BuildError):
    """A pinned input could not be downloaded, or is not what was pinned."""


class AnchorError(BuildError):
    """An edit of the engine's source found its anchor less or more often than it should."""

    def __init__(self, file: str, anchor: str, found: int, expected: int) -> None:
        self.file = file
        self.anchor = anchor
        self.found = found
        self.expected = expected
        super().__init__(
            f"cannot edit the engine's {file}: the anchor {anchor!r} stands there {found} times (expected {expected});"
            " the edits in runtime/builder/patches.py are made for another version of the engine"
        )


class ToolchainError(BuildError):
    """A tool of the build is missing or of another version than the pinned one."""


class CompileError(BuildError):
    """A compiler or linker run failed; the log says why."""

    def __init__(self, what: str, log: str) -> None:
        self.what = what
        self.log = log
        super().__init__(f"{what} failed:\n{log}")


class PagesError(BuildError):
    """The server's web page could not be built."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"cannot build the web page: {problem}; llamafile-build --no-pages builds without it")


class GgufError(RuntimePackageError):
    """A model file cannot be found, read or run."""


class GgufFormatError(GgufError, ValueError):
    """A GGUF file is cut off, or says something that the engine refuses.

    Attributes:
        field: the specification's name of what is wrong, or the key or tensor it is about.
        offset: where in the file it stands, in bytes.
    """

    def __init__(self, reason: str, *, offset: int, field: str) -> None:
        self.field = field
        self.offset = offset
        super().__init__(f"{reason} at offset {offset:#x}")


class ModelError(GgufError, ValueError):
    """A sound GGUF file with a model that the portable runtime cannot run."""


class ContainerError(GgufError):
    """A file that is to hold weights holds none, or none that can be used where they lie.

    Attributes:
        path: the file, as it was named.
    """

    def __init__(self, message: str, *, path: str) -> None:
        self.path = path
        super().__init__(message)


class OptionError(RuntimePackageError, ValueError):
    """An option, an `.args` file or a prompt is invalid."""


class InvalidOptionError(OptionError):
    """The portable runtime was started with options that make no sense, or that it does not have.

    Attributes:
        option: the one it is about, or a word that is none, as it was written.
    """

    def __init__(self, message: str, option: str) -> None:
        self.option = option
        super().__init__(message)


class ArgumentsError(OptionError):
    """An `.args` file is damaged."""

    def __init__(self, problem: str, line: int) -> None:
        self.line = line
        super().__init__(f".args: {problem} in line {line}")


class PromptError(OptionError):
    """A prompt is empty, or too long for the context."""


class ContextFullError(OptionError):
    """There are more tokens than the context has room for.

    Attributes:
        size: how many it has room for.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the context is full: it has room for {size} tokens (-c)")
