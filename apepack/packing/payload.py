"""What goes behind the runtime: weights, default arguments, and whatever a publisher adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.packing.lint import error, note, warning
from apepack.packing.lint_args import ARGS_SIZE_MAX, MODEL_OPTIONS, PROJECTOR_OPTIONS, has_option, lint_arguments
from apepack.packing.lint_model import lint_model, lint_projector, lint_shards, read_shards
from apepack.packing.model import is_model, is_weights, read_model, shard_paths
from apepack.packing.portable_part import MAIN_NAME
from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import format_arguments, parse_arguments
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from zipalign import Member

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from apepack.packing.lint import Finding
    from apepack.packing.model import Model

__all__ = ["Cargo", "Contents", "cargo_size", "lint_cargo", "load_cargo"]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a publisher names.

    Attributes:
        model: the weights, or the first shard of them.
        arguments: defaults that stand behind those that name the weights; none with `args_file`.
        args_file: an `.args` member ready made, used as it is.
        extra: more files, stored under their base names.
        projector: what lets the model see or hear.
    """

    model: Path
    arguments: Sequence[str] = ()
    args_file: Path | None = None
    extra: Sequence[Path] = ()
    projector: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Every file named here."""
        named = [self.model, self.projector, *self.extra, self.args_file]
        return [path for path in named if path is not None]


@dataclass(frozen=True, slots=True)
class Cargo:
    """What is to be packed, read.

    Attributes:
        shards: the model, in as many files as it comes in.
        projector: what lets it see or hear.
        extra: the files beside them.
        arguments: the content of the `.args` member.
        args_file: where it was taken from as it is.
    """

    shards: tuple[Model, ...]
    projector: Model | None
    extra: tuple[Path, ...]
    arguments: bytes
    args_file: Path | None

    @property
    def model(self) -> Model:
        """The model; of a split one, the first shard, which says what it is."""
        return self.shards[0]

    @property
    def members(self) -> list[Member]:
        """What the archive is to hold, in its order."""
        models = [*self.shards, *([self.projector] if self.projector else [])]
        files = [*(model.path for model in models), *self.extra]
        return [*(Member(path.name, path) for path in files), Member(ARGS_NAME, self.arguments)]


def load_cargo(contents: Contents) -> Cargo:
    """Read the models and arguments that CONTENTS names, and find the other shards of a split model.

    Raises:
        InputError: a GGUF file is damaged or incomplete, or shards are missing.
        ArgumentsError: the arguments are damaged, or cannot be written.
        OSError: a file cannot be read.
    """
    shards = read_shards(read_model(contents.model))
    projector = read_model(contents.projector) if contents.projector else None
    taken = [model.path for model in shards] + ([projector.path] if projector else [])
    extra = [path for path in contents.extra if not any(path.samefile(other) for other in taken)]
    for path in extra:
        if path.is_file() and (is_weights(path.name) or is_model(path)):
            read_model(path)
    return Cargo(shards, projector, tuple(extra), _arguments(contents), contents.args_file)


def cargo_size(contents: Contents) -> int:
    """Return about how many bytes there are to copy, without reading anything.

    Raises:
        OSError: a file cannot be looked at.
    """
    shards = [path for path in shard_paths(contents.model) or () if path.is_file()] or [contents.model]
    files = [*shards, *([contents.projector] if contents.projector else []), *contents.extra]
    return sum(path.stat().st_size for path in files)


def _arguments(contents: Contents) -> bytes:
    if contents.args_file is not None:
        with contents.args_file.open("rb") as file:
            data = file.read(ARGS_SIZE_MAX + 1)  # one more is one too many, which is told of
        parse_arguments(data)
        return data
    arguments = [] if has_option(contents.arguments, MODEL_OPTIONS) else ["-m", contents.model.name]
    if contents.projector and not has_option(contents.arguments, PROJECTOR_OPTIONS):
        arguments += ["--mmproj", contents.projector.name]
    return format_arguments([*arguments, *contents.arguments])


def lint_cargo(cargo: Cargo, present: Collection[str], *, own_engine: bool) -> Iterator[Finding]:
    """Look whether CARGO makes a llamafile that works.

    Args:
        cargo: what is to be packed.
        present: the members that the runtime brings.
        own_engine: the runtime is one of this toolchain's builds.
    """
    yield from lint_model(cargo.model, own_engine=own_engine)
    yield from lint_shards(cargo.shards)
    if cargo.projector:
        yield from lint_projector(cargo.projector, cargo.model)
    yield from _lint_names(cargo, present)
    arguments = parse_arguments(cargo.arguments)
    if cargo.args_file and cargo.projector and not has_option(arguments, PROJECTOR_OPTIONS):
        name = cargo.projector.path.name
        yield warning(
            "arguments", f"it does not name the projector: add two lines, --mmproj and {name}", cargo.args_file
        )
    members = {*present, *(member.name for member in cargo.members)}
    yield from lint_arguments(arguments, len(cargo.arguments), members)


def _lint_names(cargo: Cargo, present: Collection[str]) -> Iterator[Finding]:
    for path in cargo.extra:
        if path.name == ARGS_NAME:
            yield error("name", "default arguments are added with --args, not with --add", path)
    for member in cargo.members:
        if member.name == NOTICES_NAME:
            yield error("name", f"{NOTICES_NAME} is the member with the runtime's licences: rename your file")
        if member.name == MAIN_NAME:
            yield note("name", f"python3 runs this {MAIN_NAME} then, not the model")
    weights = [name for name in present if is_weights(name)]
    if weights:
        named = ", ".join(map(repr, weights[:3]))
        yield warning("runtime", f"the --runtime holds weights already ({named}), which stay in the result")
