"""The configuration of an image: what is started in it, and by which user.

https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from apepack.oci.arguments import MODELS_FOLDER
from apepack.oci.descriptor import document
from apepack.oci.program import FOLDER, PROGRAM_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["USER", "image_config", "platform_object"]

USER: Final = "65532:65532"  # `nonroot` in the images of other makers; a number, so that Kubernetes can check it
_AUTHOR: Final = "apepack oci"


def platform_object(platform: str) -> dict[str, str]:
    """Return PLATFORM, such as `linux/arm64`, as descriptors have it."""
    system, _, architecture = platform.partition("/")
    variant = {"variant": "v8"} if architecture == "arm64" else {}
    return {"os": system, "architecture": architecture, **variant}


def image_config(
    platform: str,
    layers: Sequence[tuple[str, str]],
    labels: Mapping[str, str],
    *,
    port: int | None,
    created: str | None,
) -> bytes:
    """Return the configuration of the image for PLATFORM.

    Args:
        platform: the system and the processor, such as `linux/amd64`.
        layers: of each layer, the digest of the archive and what it contains.
        labels: the labels.
        port: the port that its server listens at, if it is one.
        created: the time of its making, if it has one.
    """
    config: dict[str, Any] = {
        "User": USER,
        "Env": [f"PATH=/{FOLDER}"],
        "Entrypoint": [f"/{PROGRAM_PATH}"],
        "WorkingDir": f"/{MODELS_FOLDER}",
        "Labels": dict(labels),
        "StopSignal": "SIGTERM",
    }
    if port:
        config["ExposedPorts"] = {f"{port}/tcp": {}}
    time = {"created": created} if created else {}
    content = {
        **platform_object(platform),
        **time,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest for digest, _ in layers]},
        "history": [{**time, "created_by": f"{_AUTHOR}: {text}"} for _, text in layers],
    }
    return document(content)
