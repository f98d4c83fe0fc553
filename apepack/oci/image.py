"""An image made from a llamafile: planned, then written in one pass over the weights.

The weights are the lowest layers. A layer that is stored unpacked is known by the digests of all layers below it, too:
above the program, each new program would make a machine unpack the same weights once more.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from apepack.errors import OutputError
from apepack.oci.blobs import write_blobs
from apepack.oci.config import image_config, platform_object
from apepack.oci.descriptor import (
    CONFIG_TYPE,
    INDEX_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    REFERENCE_NAME,
    Descriptor,
    manifest,
)
from apepack.oci.labels import TITLE, created
from apepack.oci.layer import LayerPlan
from apepack.oci.layout import check_output, creating
from apepack.oci.modelpack import add_artifact, weight_layer
from apepack.oci.plan import plan_image
from apepack.oci.source import reading
from apepack.packing.lint import enforce
from apepack.upgrade.rewriting import shares_blocks
from zipalign.transaction import check_space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from apepack.oci.layout import Layout
    from apepack.oci.plan import ImageOptions, ImagePlan
    from apepack.oci.reference import Reference
    from apepack.packing.lint import Finding
    from zipalign.copying import Progress

__all__ = ["Image", "Layer", "Platform", "make_image"]

_CONTAINERD_NAME: Final = "io.containerd.image.name"  # by which `docker load` and `ctr import` name it
_METADATA_SIZE: Final = 1 << 16  # room for the JSON documents, in the check of the free space


class Layer(NamedTuple):
    """A layer; the platform is empty if it is in the images for all, and the digest if it is not written yet."""

    plan: LayerPlan
    platform: str = ""
    digest: str = ""


class Platform(NamedTuple):
    """The image for one platform."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was made, or would be by a run without dry_run.

    Attributes:
        output: the folder or archive.
        name: its name.
        layers: its layers, the lowest first.
        arguments: its default arguments.
        labels: its labels.
        size: the size of all layers in bytes.
        findings: the warnings of the checks.
        digest: the digest of its index, by which registries know it; empty if it is not written.
        platforms: the images in the index.
        modelpack: the digest of the manifest of the ModelPack artifact, if there is one.
    """

    output: Path
    name: Reference
    layers: tuple[Layer, ...]
    arguments: tuple[str, ...]
    labels: Mapping[str, str]
    size: int
    findings: tuple[Finding, ...]
    digest: str = ""
    platforms: tuple[Platform, ...] = ()
    modelpack: str = ""


def make_image(  # one keyword for each output and callback
    path: Path,
    output: Path,
    options: ImageOptions,
    *,
    modelpack: Path | None = None,
    progress: Progress | None = None,
    on_plan: Callable[[Image], None] | None = None,
) -> Image:
    """Make the image OUTPUT from the llamafile PATH: a tar archive if its name ends so, else a folder.

    Args:
        path: the llamafile, also one that became an ELF program.
        output: the folder or archive. It appears complete or not at all.
        options: the choices.
        modelpack: the folder or archive of a ModelPack artifact, if it is wanted.
        progress: called with the number of bytes of the weights read since the last call.
        on_plan: called with the image, but for its digests, before it is written.

    Raises:
        InputError: PATH is no llamafile, has no weights, or cannot become an image.
        ImageNameError: the name is none.
        LintError: a warning in strict mode.
        OutputError: an output cannot be created.
        LayoutError, ZipalignError: PATH is damaged, or there is too little space.
        OSError: a file cannot be read or written.
    """
    outputs = [output, *([modelpack] if modelpack else [])]
    _check_outputs(path, outputs)
    with reading(path) as source:
        plan = plan_image(source, options)
        planned = _planned(output, plan, enforce(plan.arguments.findings, strict=options.strict))
        if on_plan:
            on_plan(planned)
        _check_space(plan, outputs)
        if options.dry_run:
            return planned
        with contextlib.ExitStack() as stack:
            layout, *others = [stack.enter_context(creating(path)) for path in outputs]
            return _write(layout, others[0] if others else None, plan, planned, progress or (lambda _: None))


def _check_outputs(path: Path, outputs: Sequence[Path]) -> None:
    for output in outputs:
        check_output(output)
        if output.exists() and output.samefile(path):
            raise OutputError(output, "the output would replace the input: name another file")
    if len({output.resolve() for output in outputs}) < len(outputs):
        raise OutputError(outputs[0], "the image and the ModelPack artifact cannot be the same file")


def _check_space(plan: ImagePlan, outputs: Sequence[Path]) -> None:
    """Refuse OUTPUTS, the image and perhaps the artifact, if they do not fit on their file systems together."""
    needed: dict[int, int] = {}
    for output, size in zip(outputs, (plan.size, plan.member_size), strict=False):
        device = output.parent.stat().st_dev
        shared = plan.member_size if shares_blocks(plan.source.path, output.parent) else 0
        needed[device] = needed.get(device, 0) + size + _METADATA_SIZE - shared
        check_space(output, needed[device])


def _planned(output: Path, plan: ImagePlan, findings: tuple[Finding, ...]) -> Image:
    layers = tuple(Layer(layer, platform) for layer, platform in plan.layers)
    return Image(output, plan.name, layers, plan.arguments.arguments, plan.labels, plan.size, findings)


def _write(layout: Layout, other: Layout | None, plan: ImagePlan, planned: Image, progress: Progress) -> Image:
    """Write the image to LAYOUT, and the artifact to the OTHER one, if there is one."""
    files = []
    layers = []
    for layer in planned.layers:
        layouts, blobs = [layout], [layer.plan]
        if layer.plan.member and other:
            layouts, blobs = [layout, other], [layer.plan, LayerPlan.raw(layer.plan.member)]
        digest, *others = write_blobs(layouts, blobs, plan.source.fd, progress)
        layers.append(layer._replace(digest=digest))
        files += [weight_layer(blob, digest) for blob, digest in zip(blobs[1:], others, strict=True)]
    images = [_add_image(layout, plan, platform, layers) for platform in plan.programs]
    manifests = {"manifests": [descriptor.to_json() for descriptor in images]}
    index = layout.add(INDEX_TYPE, manifest(INDEX_TYPE, plan.labels, manifests))
    _complete(layout, plan, index)
    artifact = add_artifact(other, plan.model, files, plan.labels[TITLE]) if other else None
    if other and artifact:
        _complete(other, plan, artifact)
    return replace(
        planned,
        layers=tuple(layers),
        digest=index.digest,
        platforms=tuple(Platform(name, image.digest) for name, image in zip(plan.programs, images, strict=True)),
        modelpack=artifact.digest if artifact else "",
    )


def _complete(layout: Layout, plan: ImagePlan, content: Descriptor) -> None:
    """Complete LAYOUT with an index that contains only CONTENT, by the name in PLAN."""
    names = {REFERENCE_NAME: plan.name.tag, _CONTAINERD_NAME: plan.name.full}
    layout.complete(manifest(INDEX_TYPE, {}, {"manifests": [replace(content, annotations=names).to_json()]}))


def _add_image(layout: Layout, plan: ImagePlan, platform: str, layers: Sequence[Layer]) -> Descriptor:
    own = [layer for layer in layers if layer.platform in {"", platform}]
    contents = [(layer.digest, layer.plan.created_by) for layer in own]
    config = image_config(platform, contents, plan.labels, port=plan.arguments.port, created=created())
    properties = {
        "config": layout.add(CONFIG_TYPE, config).to_json(),
        "layers": [Descriptor(LAYER_TYPE, layer.digest, layer.plan.size).to_json() for layer in own],
    }
    found = layout.add(MANIFEST_TYPE, manifest(MANIFEST_TYPE, plan.labels, properties))
    return replace(found, platform=platform_object(platform))
