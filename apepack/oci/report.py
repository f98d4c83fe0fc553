"""Reports on images: lines for users, and an object for JSON with the schema apepack.schema.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apepack.oci.image import Image, Layer

__all__ = ["image_json", "image_lines"]


def image_json(image: Image) -> dict[str, Any]:
    """Return the JSON object for IMAGE; in a dry run, digests are absent."""
    digests = {"digest": image.digest, "modelpack": image.modelpack}
    return {
        "output": str(image.output),
        "name": str(image.name),
        "size": image.size,
        "arguments": list(image.arguments),
        "labels": dict(image.labels),
        "layers": [_layer_json(layer) for layer in image.layers],
        "platforms": [{"platform": platform.name, "digest": platform.digest} for platform in image.platforms],
        "findings": [finding.to_json() for finding in image.findings],
    } | {name: digest for name, digest in digests.items() if digest}


def _layer_json(layer: Layer) -> dict[str, Any]:
    facts = {"files": list(layer.plan.names), "size": layer.plan.size}
    optional = {"platform": layer.platform, "digest": layer.digest}
    return facts | {name: value for name, value in optional.items() if value}


def image_lines(image: Image) -> Iterator[str]:
    """Yield the plan of IMAGE, or what it became."""
    yield f"{image.output}: the image {image.name}, {image.size:,} bytes"
    for layer in image.layers:
        platform = f" ({layer.platform})" if layer.platform else ""
        more = f" and {len(layer.plan.names) - 1} links" if len(layer.plan.names) > 1 else ""
        digest = f"  {layer.digest}" if layer.digest else ""
        yield f"  {layer.plan.size:>15,}  /{layer.plan.names[0]}{more}{platform}{digest}"
    for platform, digest in image.platforms:
        yield f"  {platform}: {digest}"
    if image.modelpack:
        yield f"  ModelPack: {image.modelpack}"
    if image.digest:
        yield f"  index: {image.digest}"
