"""The files packed after the runtime: weights, default arguments and added files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from apepack.packing.lint import error, note, warning
from apepack.packing.lint_args import (
    ARCHIVE_PREFIX,
    ARGS_SIZE_MAX,
    LIST_OPTIONS,
    MODEL_OPTIONS,
    PROJECTOR_OPTIONS,
    has_option,
    lint_arguments,
)
from apepack.packing.lint_list import lint_models_list
from apepack.packing.lint_model import lint_model, lint_projector, lint_shards, read_shards
from apepack.packing.model import is_gguf_file, model_stem, read_model, shard_paths
from apepack.packing.portable_part import MAIN_NAME
from apepack.provenance.manifest import MEMBER_NAME as MANIFEST_NAME
from apepack.provenance.manifest import SIGNATURE_NAME
from apepack.provenance.models import model_facts
from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import format_arguments, parse_arguments
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from runtime.gguf.file_names import is_gguf_name
from runtime.models_list import MEMBER_NAME as LIST_NAME
from runtime.models_list import ListedModel, format_models, is_listable
from zipalign import Member
from zipalign.input_file import map_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from apepack.packing.lint import Finding
    from apepack.packing.model import Model
    from apepack.packing.runtime_part import RuntimePart
    from apepack.provenance.manifest import ModelFacts, Source

_WRITTEN: Final = {MANIFEST_NAME: "the llamafile's manifest", SIGNATURE_NAME: "its signature"}

__all__ = ["ModelInput", "PackInputs", "PackedModel", "Payload", "lint_payload", "load_payload", "payload_size"]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One more model, unread.

    Attributes:
        model: the model, or its first shard.
        projector: its projector for images or audio.
        source: where the model came from, for the manifest.
        projector_source: where the projector came from.
    """

    model: Path
    projector: Path | None = None
    source: Source | None = None
    projector_source: Source | None = None


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
        more: other models, which the result serves too.
    """

    model: Path
    arguments: Sequence[str] = ()
    args_file: Path | None = None
    extra: Sequence[Path] = ()
    projector: Path | None = None
    source: Source | None = None
    projector_source: Source | None = None
    more: Sequence[ModelInput] = ()

    @property
    def models(self) -> list[ModelInput]:
        """All models, the first one first."""
        return [ModelInput(self.model, self.projector, self.source, self.projector_source), *self.more]

    @property
    def files(self) -> list[Path]:
        """All named files."""
        weights = [path for model in self.models for path in (model.model, model.projector)]
        return [path for path in [*weights, *self.extra, self.args_file] if path is not None]


@dataclass(frozen=True, slots=True)
class PackedModel:
    """A model, read: its files, one or several, and its projector."""

    shards: tuple[Model, ...]
    projector: Model | None

    @property
    def name(self) -> str:
        """The name by which clients ask for it, if the file has several models."""
        return model_stem(self.shards[0].path)

    @property
    def files(self) -> tuple[Model, ...]:
        """All of its files."""
        return (*self.shards, *([self.projector] if self.projector else []))


@dataclass(frozen=True, slots=True)
class Payload:
    """The inputs, read.

    Attributes:
        models: the models, the first one first.
        extra: more files.
        arguments: the content of the `.args` member.
        args_file: the file with this content, if it was given.
        sources: where models came from, by the names of their members.
        models_list: the content of the list of several models; None for one model, and with a list among `extra`.
    """

    models: tuple[PackedModel, ...]
    extra: tuple[Path, ...]
    arguments: bytes
    args_file: Path | None
    sources: Mapping[str, Source]
    models_list: bytes | None = None

    @property
    def shards(self) -> tuple[Model, ...]:
        """The files of the first model."""
        return self.models[0].shards

    @property
    def model(self) -> Model:
        """The model, or its first shard, which has the metadata."""
        return self.shards[0]

    @property
    def members(self) -> list[Member]:
        """The members to append, in their order."""
        files = [*(file.path for model in self.models for file in model.files), *self.extra]
        texts = {LIST_NAME: self.models_list} if self.models_list is not None else {}
        texts[ARGS_NAME] = self.arguments
        return [*(Member(path.name, path) for path in files), *(Member(*text) for text in texts.items())]

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
    models = tuple(
        PackedModel(read_shards(read_model(given.model)), read_model(given.projector) if given.projector else None)
        for given in inputs.models
    )
    known = [file.path for model in models for file in model.files]
    extra = [path for path in inputs.extra if not any(path.samefile(other) for other in known)]
    for path in extra:
        if path.is_file() and (is_gguf_name(path.name) or is_gguf_file(path)):
            read_model(path)
    sources: dict[str, Source] = {}
    for given, model in zip(inputs.models, models, strict=True):
        sources |= {shard.path.name: given.source for shard in model.shards if given.source}
        if model.projector and given.projector_source:
            sources[model.projector.path.name] = given.projector_source
    has_list = any(path.name == LIST_NAME for path in extra)
    models_list = _list_content(models) if len(models) > 1 and not has_list else None
    return Payload(models, tuple(extra), _args_content(inputs), inputs.args_file, sources, models_list)


def _list_content(models: Sequence[PackedModel]) -> bytes | None:
    """Return the list of MODELS; None if a name cannot be written, which lint_payload() reports."""
    if not all(is_listable(file.path.name) for model in models for file in model.files):
        return None
    sections = []
    for model in models:
        options = {"model": ARCHIVE_PREFIX + model.shards[0].path.name}
        if model.projector:
            options["mmproj"] = ARCHIVE_PREFIX + model.projector.path.name
        sections.append(ListedModel(model.name, options))
    return format_models(sections)


def payload_size(inputs: PackInputs) -> int:
    """Return the approximate number of bytes to copy, from the sizes of the files.

    Raises:
        OSError: the size of a file cannot be determined.
    """
    files = [*inputs.extra]
    for given in inputs.models:
        files += [path for path in shard_paths(given.model) or () if path.is_file()] or [given.model]
        files += [given.projector] if given.projector else []
    return sum(path.stat().st_size for path in files)


def _args_content(inputs: PackInputs) -> bytes:
    if inputs.args_file is not None:
        with inputs.args_file.open("rb") as file:
            data = file.read(ARGS_SIZE_MAX + 1)  # one byte more, for lint_arguments() to report
        parse_arguments(data)
        return data
    if inputs.more:
        listed = [] if has_option(inputs.arguments, LIST_OPTIONS) else [*LIST_OPTIONS, ARCHIVE_PREFIX + LIST_NAME]
        return format_arguments([*listed, *inputs.arguments])
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
    for model in payload.models:
        yield from lint_model(model.shards[0], own_engine=own_engine)
        yield from lint_shards(model.shards)
        if model.projector:
            yield from lint_projector(model.projector, model.shards[0])
    yield from _lint_member_names(payload, runtime_members)
    yield from _lint_names(payload.models)
    arguments = parse_arguments(payload.arguments)
    projector = payload.models[0].projector if len(payload.models) == 1 else None
    if payload.args_file and projector and not has_option(arguments, PROJECTOR_OPTIONS):
        name = projector.path.name
        yield warning(
            "arguments", f"it does not name the projector: add two lines, --mmproj and {name}", payload.args_file
        )
    members = {*runtime_members, *(member.name for member in payload.members)}
    own_options = runtime is None or runtime.has_own_options
    yield from lint_arguments(arguments, len(payload.arguments), members, own_options=own_options)
    yield from _lint_list(payload, arguments, members)


def _lint_names(models: Sequence[PackedModel]) -> Iterator[Finding]:
    """Check that each of MODELS has a name of its own, if there are several."""
    if len(models) == 1:
        return
    members: dict[str, Path] = {}
    names: dict[str, Path] = {}
    for model in models:
        for file in model.files:
            path = file.path
            if path.name in members and not path.samefile(members[path.name]):
                yield error("name", f"{members[path.name]} has the same name: rename one of them", path)
            elif path.name in members:
                yield error("name", "it is given twice: once is enough", path)
            members.setdefault(path.name, path)
            if not is_listable(path.name):
                yield error("name", "a list of models has no names with # ; [ ] or blanks around: rename it", path)
        first = model.shards[0].path
        if model.name in names and names[model.name].name != first.name:
            yield error("name", f"clients would call it {model.name!r}, as {names[model.name]}: rename one", first)
        names.setdefault(model.name, first)


def _lint_list(payload: Payload, arguments: Sequence[str], members: Collection[str]) -> Iterator[Finding]:
    """Check the list of models, and that the default arguments name it or one model."""
    given = next((path for path in payload.extra if path.name == LIST_NAME), None)
    if given is not None and (len(payload.models) > 1 or has_option(arguments, LIST_OPTIONS)):
        yield from lint_models_list(given.read_bytes(), members)
    if len(payload.models) > 1 and payload.args_file and not has_option(arguments, LIST_OPTIONS):
        first = f"{LIST_OPTIONS[0]} and {ARCHIVE_PREFIX}{LIST_NAME}"
        yield warning("arguments", f"it does not name the list of models: add two lines, {first}", payload.args_file)


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
