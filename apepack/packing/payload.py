"""The files packed after the runtime: weights, default arguments and added files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from apepack.packing.lint import error, note, warning
from apepack.packing.lint_args import ARGS_SIZE_MAX, MODEL_OPTIONS, PROJECTOR_OPTIONS, has_option, lint_arguments
from apepack.packing.lint_model import lint_model, lint_projector, lint_shards, read_shards
from apepack.packing.model import is_gguf_file, read_model, shard_paths
from apepack.packing.portable_part import MAIN_NAME
from apepack.provenance.manifest import MEMBER_NAME as MANIFEST_NAME
from apepack.provenance.manifest import SIGNATURE_NAME
from apepack.provenance.models import model_facts
from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import format_arguments, parse_arguments
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from runtime.gguf.file_names import is_gguf_name
from zipalign import Member
from zipalign.input_file import map_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from apepack.packing.lint import Finding
    from apepack.packing.model import Model
    from apepack.packing.runtime_part import RuntimePart
    from apepack.provenance.manifest import ModelFacts, Source

_WRITTEN: Final = {MANIFEST_NAME: "the llamafile's manifest", SIGNATURE_NAME: "its signature"}

__all__ = ["PackInputs", "Payload", "lint_payload", "load_payload", "payload_size"]


@dataclass(frozen=True, slots=True)
class PackInputs:
    """The input files and arguments, unread.

    Attributes:
        model: the model, or its first shard.
        arguments: default arguments, after those that name the model; none with `args_file`.
        args_file: a complete `.args` file, stored unchanged.
        extra: more files, stored under their base names.
        projector: the projector for images or audio.
        source: where the model came from, for the manifest.
        projector_source: where the projector came from.
    """

    model: Path
    arguments: Sequence[str] = ()
    args_file: Path | None = None
    extra: Sequence[Path] = ()
    projector: Path | None = None
    source: Source | None = None
    projector_source: Source | None = None

    @property
    def files(self) -> list[Path]:
        """All named files."""
        named = [self.model, self.projector, *self.extra, self.args_file]
        return [path for path in named if path is not None]


@dataclass(frozen=True, slots=True)
class Payload:
    """The inputs, read.

    Attributes:
        shards: the files of the model, one or several.
        projector: the projector for images or audio.
        extra: more files.
        arguments: the content of the `.args` member.
        args_file: the file with this content, if it was given.
        sources: where models came from, by the names of their members.
    """

    shards: tuple[Model, ...]
    projector: Model | None
    extra: tuple[Path, ...]
    arguments: bytes
    args_file: Path | None
    sources: Mapping[str, Source]

    @property
    def model(self) -> Model:
        """The model, or its first shard, which has the metadata."""
        return self.shards[0]

    @property
    def members(self) -> list[Member]:
        """The members to append, in their order."""
        models = [*self.shards, *([self.projector] if self.projector else [])]
        files = [*(model.path for model in models), *self.extra]
        return [*(Member(path.name, path) for path in files), Member(ARGS_NAME, self.arguments)]

    def model_facts(self) -> tuple[ModelFacts, ...]:
        """Return the facts of all members that are models, as the manifest has them."""
        return tuple(
            model_facts(member.name, map_file(member.source), self.sources.get(member.name))
            for member in self.members
            if isinstance(member.source, Path) and is_gguf_name(member.name)
        )


def load_payload(inputs: PackInputs) -> Payload:
    """Read the models and arguments of INPUTS, and find the other shards of a split model.

    Raises:
        InputError: a GGUF file is damaged or incomplete, or shards are missing.
        ArgumentsError: the arguments are invalid, or cannot be represented in `.args`.
        OSError: a file cannot be read.
    """
    shards = read_shards(read_model(inputs.model))
    projector = read_model(inputs.projector) if inputs.projector else None
    known = [model.path for model in shards] + ([projector.path] if projector else [])
    extra = [path for path in inputs.extra if not any(path.samefile(other) for other in known)]
    for path in extra:
        if path.is_file() and (is_gguf_name(path.name) or is_gguf_file(path)):
            read_model(path)
    sources = {shard.path.name: inputs.source for shard in shards if inputs.source}
    if projector and inputs.projector_source:
        sources[projector.path.name] = inputs.projector_source
    return Payload(shards, projector, tuple(extra), _args_content(inputs), inputs.args_file, sources)


def payload_size(inputs: PackInputs) -> int:
    """Return the approximate number of bytes to copy, from the sizes of the files.

    Raises:
        OSError: the size of a file cannot be determined.
    """
    shards = [path for path in shard_paths(inputs.model) or () if path.is_file()] or [inputs.model]
    files = [*shards, *([inputs.projector] if inputs.projector else []), *inputs.extra]
    return sum(path.stat().st_size for path in files)


def _args_content(inputs: PackInputs) -> bytes:
    if inputs.args_file is not None:
        with inputs.args_file.open("rb") as file:
            data = file.read(ARGS_SIZE_MAX + 1)  # one byte more, for lint_arguments() to report
        parse_arguments(data)
        return data
    arguments = [] if has_option(inputs.arguments, MODEL_OPTIONS) else ["-m", inputs.model.name]
    if inputs.projector and not has_option(inputs.arguments, PROJECTOR_OPTIONS):
        arguments += ["--mmproj", inputs.projector.name]
    return format_arguments([*arguments, *inputs.arguments])


def lint_payload(payload: Payload, runtime: RuntimePart | None, *, own_engine: bool) -> Iterator[Finding]:
    """Check that PAYLOAD results in a llamafile that works.

    Args:
        payload: the files to pack.
        runtime: the given runtime, if it is not linked from builds.
        own_engine: whether this toolchain built the runtime.
    """
    runtime_members = runtime.members if runtime else ()
    yield from lint_model(payload.model, own_engine=own_engine)
    yield from lint_shards(payload.shards)
    if payload.projector:
        yield from lint_projector(payload.projector, payload.model)
    yield from _lint_member_names(payload, runtime_members)
    arguments = parse_arguments(payload.arguments)
    if payload.args_file and payload.projector and not has_option(arguments, PROJECTOR_OPTIONS):
        name = payload.projector.path.name
        yield warning(
            "arguments", f"it does not name the projector: add two lines, --mmproj and {name}", payload.args_file
        )
    members = {*runtime_members, *(member.name for member in payload.members)}
    own_options = runtime is None or runtime.has_own_options
    yield from lint_arguments(arguments, len(payload.arguments), members, own_options=own_options)


def _lint_member_names(payload: Payload, runtime_members: Collection[str]) -> Iterator[Finding]:
    for path in payload.extra:
        if path.name == ARGS_NAME:
            yield error("name", "default arguments are added with --args, not with --add", path)
    for member in payload.members:
        if member.name == NOTICES_NAME:
            yield error("name", f"{NOTICES_NAME} is the member with the runtime's licences: rename your file")
        if member.name in {MANIFEST_NAME, SIGNATURE_NAME}:
            yield error("name", f"{member.name} is the member with {_WRITTEN[member.name]}: rename your file")
        if member.name == MAIN_NAME:
            yield note("name", f"python3 runs this {MAIN_NAME} then, not the model")
    weights = [name for name in runtime_members if is_gguf_name(name)]
    if weights:
        named = ", ".join(map(repr, weights[:3]))
        yield warning("runtime", f"the --runtime holds weights already ({named}), which stay in the result")
