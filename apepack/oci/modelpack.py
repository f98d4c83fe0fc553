"""A ModelPack artifact: the weights for engines of any maker, without a program.

https://github.com/modelpack/model-spec
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from apepack.oci.descriptor import MANIFEST_TYPE, Descriptor, document, manifest
from apepack.oci.labels import TITLE, created, licence_of, model_labels, source_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apepack.oci.layer import LayerPlan
    from apepack.oci.layout import Layout
    from apepack.provenance.manifest import ModelFacts

__all__ = ["ARTIFACT_TYPE", "WEIGHT_TYPE", "add_artifact", "model_config", "weight_layer"]

ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE: Final = "application/vnd.cncf.model.weight.v1.raw"  # the file itself, whose digest is that of the Hub
_PATH: Final = "org.cncf.model.filepath"
_FORMAT: Final = "gguf"
_SCALES: Final = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))


def weight_layer(plan: LayerPlan, digest: str) -> Descriptor:
    """Return the layer that is the file of PLAN. Clients of registries name the file as its title says."""
    name = plan.names[0]
    return Descriptor(WEIGHT_TYPE, digest, plan.size, annotations={_PATH: name, TITLE: name.rpartition("/")[2]})


def add_artifact(layout: Layout, model: ModelFacts, layers: Sequence[Descriptor], title: str) -> Descriptor:
    """Write the configuration and the manifest of the artifact with LAYERS, the files of MODEL and those beside it.

    TITLE is that of a model without a name.
    """
    config = layout.add(CONFIG_TYPE, model_config(model, [layer.digest for layer in layers]))
    properties = {"config": config.to_json(), "layers": [layer.to_json() for layer in layers]}
    annotations = model_labels(model, fallback=title)
    found = layout.add(MANIFEST_TYPE, manifest(MANIFEST_TYPE, annotations, properties, ARTIFACT_TYPE))
    return replace(found, artifact_type=ARTIFACT_TYPE)


def model_config(model: ModelFacts, digests: Sequence[str]) -> bytes:
    """Return the configuration of an artifact with the layers of DIGESTS."""
    licence = licence_of(model)
    descriptor = {
        "createdAt": created(),
        "name": model.name,
        "revision": model.source.revision if model.source else None,
        "sourceURL": source_url(model),
        "licenses": [licence] if licence else None,
    }
    config = {
        "architecture": model.architecture,
        "format": _FORMAT,
        "paramSize": _scaled(model.parameters) if model.parameters else None,
        "quantization": model.quantization,
    }
    files = {"type": "layers", "diffIds": list(digests)}
    return document({"descriptor": _known(descriptor), "config": _known(config), "modelfs": files})


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _scaled(count: int) -> str:
    """Return COUNT as the specification writes it: at most one digit behind the point, and a letter."""
    for scale, letter in _SCALES:
        if count >= scale:
            return f"{count / scale:.1f}".removesuffix(".0") + letter
    return str(count)
