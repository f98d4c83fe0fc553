"""Descriptors, by which the parts of an image refer to each other, and the JSON form of all its documents.

https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONFIG_TYPE",
    "INDEX_TYPE",
    "LAYER_TYPE",
    "MANIFEST_TYPE",
    "REFERENCE_NAME",
    "Descriptor",
    "digest_of",
    "document",
    "manifest",
]

INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
REFERENCE_NAME: Final = "org.opencontainers.image.ref.name"
_SCHEMA_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to a blob.

    Attributes:
        media_type: the kind of its content.
        digest: its digest, `sha256:` and 64 digits.
        size: its size in bytes.
        platform: the system and the processor of an image.
        artifact_type: the kind of an artifact that is no image.
        annotations: what else is known about it.
    """

    media_type: str
    digest: str
    size: int
    platform: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as an object for JSON, without properties that it lacks."""
        optional = {
            "platform": dict(self.platform),
            "artifactType": self.artifact_type,
            "annotations": dict(self.annotations),
        }
        facts = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return facts | {name: value for name, value in optional.items() if value}


def digest_of(content: bytes) -> str:
    """Return the digest of CONTENT."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def document(content: Mapping[str, Any]) -> bytes:
    """Return CONTENT as JSON in one form, so that equal contents have equal digests."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def manifest(
    media_type: str, annotations: Mapping[str, str], properties: Mapping[str, Any], artifact_type: str = ""
) -> bytes:
    """Return a manifest or an index with PROPERTIES: its config and layers, or its manifests."""
    content = {"schemaVersion": _SCHEMA_VERSION, "mediaType": media_type, **properties}
    optional = {"artifactType": artifact_type, "annotations": dict(annotations)}
    return document(content | {name: value for name, value in optional.items() if value})
