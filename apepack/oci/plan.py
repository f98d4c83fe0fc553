"""The plan of an image: all of it but the digests, without reading the weights."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from apepack.oci.arguments import MODELS_FOLDER, image_arguments
from apepack.oci.labels import labels
from apepack.oci.layer import LayerFile, LayerPlan
from apepack.oci.program import COMPANION_PATH, platforms_of, program_layer
from apepack.oci.reference import Reference
from apepack.provenance.models import model_facts
from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import format_arguments
from zipalign import Member, add_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from apepack.oci.arguments import ImageArguments
    from apepack.oci.source import Source
    from apepack.provenance.manifest import ModelFacts
    from zipalign import Entry

__all__ = ["ImageOptions", "ImagePlan", "plan_image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """The choices for an image.

    Attributes:
        tag: its name; None for that of the file.
        platforms: such as `linux/amd64`; none for all of the llamafile.
        gpu: whether to keep the part for GPUs.
        strict: treat warnings as errors.
        dry_run: make all checks, write nothing.
    """

    tag: str | None = None
    platforms: tuple[str, ...] = ()
    gpu: bool = True
    strict: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """An image before it is written.

    Attributes:
        source: the llamafile.
        name: the name of the image.
        arguments: the default arguments.
        model: the facts about the model.
        labels: the labels.
        weights: the layers with one of the large members each.
        programs: the layers with programs, by platform.
        files: the layer with default arguments and small files.
    """

    source: Source
    name: Reference
    arguments: ImageArguments
    model: ModelFacts
    labels: Mapping[str, str]
    weights: tuple[LayerPlan, ...]
    programs: Mapping[str, LayerPlan]
    files: LayerPlan

    @property
    def layers(self) -> Iterator[tuple[LayerPlan, str]]:
        """The layers, the lowest first, with the platform of those that are only in its image."""
        yield from ((layer, "") for layer in self.weights)
        yield from ((layer, platform) for platform, layer in self.programs.items())
        yield self.files, ""

    @property
    def size(self) -> int:
        """The size of all layers in bytes."""
        return sum(layer.size for layer, _ in self.layers)

    @property
    def member_size(self) -> int:
        """The size of what file systems may share with the llamafile, in bytes."""
        return sum(layer.member_size for layer in self.weights)


def plan_image(source: Source, options: ImageOptions) -> ImagePlan:
    """Plan the image of SOURCE.

    Raises:
        InputError: it cannot become an image.
        ImageNameError: the name is none.
        LayoutError, ZipalignError: it is damaged.
    """
    stem = source.path.name.removesuffix(".exe").removesuffix(".llamafile")
    arguments = image_arguments(source)
    model = _model_facts(source, arguments.model)
    return ImagePlan(
        source,
        Reference.parse(options.tag) if options.tag else Reference.of_file(stem),
        arguments,
        model,
        labels(model, source.manifest, fallback=stem),
        tuple(LayerPlan.of_member(f"{MODELS_FOLDER}/{entry.name}", entry) for entry in source.large),
        {name: program_layer(source, name, gpu=options.gpu) for name in platforms_of(source, options.platforms)},
        _files_layer(source, arguments),
    )


def _model_facts(source: Source, name: str) -> ModelFacts:
    listed = {model.member: model.source for model in source.manifest.models} if source.manifest else {}
    entry = next(entry for entry in source.large if entry.name == name)
    return model_facts(name, source.data[entry.data_offset : entry.data_end], listed.get(name))


def _files_layer(source: Source, arguments: ImageArguments) -> LayerPlan:
    """Plan the layer with the archive that the program finds beside itself."""
    members = [Member(entry.name, source.content(entry)) for entry in source.small if _is_copied(entry)]
    members.append(Member(ARGS_NAME, format_arguments(arguments.arguments)))
    with tempfile.TemporaryDirectory(prefix="apepack.") as folder:
        archive = Path(folder) / "files"
        add_files(archive, members, durable=False)
        content = archive.read_bytes()
    return LayerPlan.of_files([LayerFile(COMPANION_PATH, content)], "default arguments and small files")


def _is_copied(entry: Entry) -> bool:
    return entry.name != ARGS_NAME and not entry.is_directory
