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
    "BuildRecordError",
    "CacheError",
    "CompileError",
    "ContainerError",
    "ContextFullError",
    "GgufError",
    "GgufFormatError",
    "InvalidOptionError",
    "ModelError",
    "ModelsListError",
    "OptionError",
    "PagesError",
    "PromptError",
    "RuntimeDamagedError",
    "RuntimePackageError",
    "RuntimeVersionError",
    "ToolMissingError",
    "ToolchainError",
    "UnknownPlatformError",
]


class RuntimePackageError(Exception):
    """The root of this package's errors; the text is a message for the user."""


class UnknownPlatformError(RuntimePackageError):
    """A platform name that is not in the table."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        super().__init__(f"there is no platform {name!r} (choose from {', '.join(known)})")


class RuntimeDamagedError(RuntimePackageError):
    """The package llamafile_runtime is incomplete, or has files of another version."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"llamafile-runtime is damaged: {problem}; install it again: pip install --force-reinstall"
            " llamafile-runtime"
        )


class RuntimeVersionError(RuntimePackageError):
    """The package llamafile_runtime belongs to another version of the toolchain.

    Attributes:
        found: the version of the package.
        expected: that of the toolchain.
    """

    def __init__(self, found: str, expected: str) -> None:
        self.found = found
        self.expected = expected
        super().__init__(
            f"llamafile-runtime has version {found} (expected {expected}, that of llamafile-toolchain); run: pip"
            f" install llamafile-runtime=={expected}"
        )


class BuildError(RuntimePackageError):
    """A runtime, a loader or the web page cannot be built."""


class BuildRecordError(BuildError):
    """The record beside a program, build.json, is damaged."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"{path} is damaged ({reason}): build the runtime again")


class CacheError(BuildError):
    """The cache folder cannot be written."""

    def __init__(self, folder: Path, cause: OSError) -> None:
        self.folder = folder
        super().__init__(
            f"cannot write the cache {folder}: {cause.strerror or cause}; set XDG_CACHE_HOME to a writable folder"
        )


class ArtifactError(BuildError):
    """A pinned input could not be downloaded, or has another hash."""


class AnchorError(BuildError):
    """A patch of the engine's source found its anchor fewer or more times than expected."""

    def __init__(self, file: str, anchor: str, found: int, expected: int) -> None:
        self.file = file
        self.anchor = anchor
        self.found = found
        self.expected = expected
        super().__init__(
            f"cannot patch the engine's {file}: it has the anchor {anchor!r} {found} times (expected {expected});"
            " the patches in runtime/builder/*_patches.py are for another version of the engine"
        )


class ToolchainError(BuildError):
    """A build tool is missing, or has another version than the pinned one."""


class ToolMissingError(ToolchainError):
    """A build tool is not installed."""


class CompileError(BuildError):
    """A compiler or linker failed; the log has its output."""

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
    """A GGUF file is cut off, or has content that the engine refuses.

    Attributes:
        field: the field in the specification, or the key or tensor.
        offset: in the file, in bytes.
    """

    def __init__(self, reason: str, *, offset: int, field: str) -> None:
        self.field = field
        self.offset = offset
        super().__init__(f"{reason} at offset {offset:#x}")


class ModelError(GgufError, ValueError):
    """A valid GGUF file with a model that the portable runtime does not support."""


class ContainerError(GgufError):
    """A file has no weights, or none that can be mapped.

    Attributes:
        path: the file, as given.
    """

    def __init__(self, message: str, *, path: str) -> None:
        self.path = path
        super().__init__(message)


class OptionError(RuntimePackageError, ValueError):
    """An option, an `.args` file or a prompt is invalid."""


class InvalidOptionError(OptionError):
    """An option that the portable runtime lacks, or an option or argument that is invalid.

    Attributes:
        option: the option or argument, as written.
    """

    def __init__(self, message: str, option: str) -> None:
        self.option = option
        super().__init__(message)


class ArgumentsError(OptionError):
    """An `.args` file is damaged."""

    def __init__(self, problem: str, line: int) -> None:
        self.line = line
        super().__init__(f".args: {problem} in line {line}")


class ModelsListError(OptionError):
    """A list of models is damaged."""

    def __init__(self, problem: str, line: int) -> None:
        self.line = line
        super().__init__(f"models.ini: {problem} in line {line}")


class PromptError(OptionError):
    """A prompt is empty, or too long for the context."""


class ContextFullError(OptionError):
    """There are more tokens than fit in the context.

    Attributes:
        size: of the context, in tokens.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the context is full: it has room for {size} tokens (-c)")
