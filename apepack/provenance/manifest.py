"""The manifest of a llamafile: the member manifest.json, which says what the file consists of.

It is JSON in one canonical form, with the schema manifest.schema.json: equal contents give equal bytes. It contains no
time and no path. Digests are SHA-256; sizes are in bytes. What is not known is absent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from apepack.errors import ManifestError
from apepack.provenance.json_object import JsonObject, canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MEMBER_NAME",
    "SIGNATURE_NAME",
    "BaseModel",
    "Engine",
    "ImageDigest",
    "Manifest",
    "MemberDigest",
    "ModelFacts",
    "Origin",
    "Source",
    "Toolchain",
]

MEMBER_NAME: Final = "manifest.json"
SIGNATURE_NAME: Final = "signature.json"  # the member that is no part of what the manifest describes
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine that the programs contain."""

    name: str
    version: str
    source_sha256: str  # of the archive with its source
    patches_sha256: str  # of our changes to that


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What compiled the programs."""

    version: str
    revision: str  # a digest of the toolchain's own sources that the programs are compiled from
    tools: Mapping[str, str] = field(hash=False)  # their versions


@dataclass(frozen=True, slots=True)
class Origin:
    """Where programs come from, as far as that is known: those of other makers have none."""

    engine: Engine | None = None
    toolchain: Toolchain | None = None


@dataclass(frozen=True, slots=True)
class ImageDigest:
    """A program or a loader: a program as it lies in the file, or decompressed, and a loader in whole blocks."""

    platform: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class MemberDigest:
    """A member of the archive: the digest of its content."""

    name: str
    sha256: str
    size: int
    crc32: str  # in eight hexadecimal digits: which of the members are the same is found without reading them


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model from which another was made, as the metadata of that says."""

    name: str | None = None
    organization: str | None = None
    version: str | None = None
    repo_url: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The place where the packer got a model."""

    repo: str
    revision: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A GGUF file, as its metadata describes it."""

    member: str
    type: str | None = None  # `model`, `mmproj`, `adapter`, …
    name: str | None = None
    architecture: str | None = None
    quantization: str | None = None
    license: str | None = None
    base_models: tuple[BaseModel, ...] = ()
    parameters: int | None = None  # the number of elements of its tensors
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest.

    Attributes:
        members: all members but the manifest itself and the signature, in the order of the directory.
        remainder_sha256: the digest of all other bytes before the manifest, and of the directory's headers of the
            members (docs/decisions/file-format.md).
    """

    programs: tuple[ImageDigest, ...]
    loaders: tuple[ImageDigest, ...]
    members: tuple[MemberDigest, ...]
    models: tuple[ModelFacts, ...]
    remainder_sha256: str
    origin: Origin = Origin()

    def member(self, name: str) -> MemberDigest | None:
        """Return the member with this name, if the manifest has it."""
        return next((member for member in self.members if member.name == name), None)

    @property
    def sha256(self) -> str:
        """The digest of the manifest itself, which signatures sign."""
        return hashlib.sha256(self.pack()).hexdigest()

    def pack(self) -> bytes:
        """Return the manifest in its canonical form."""
        content: dict[str, Any] = {
            "version": _VERSION,
            "engine": _plain(self.origin.engine) if self.origin.engine else None,
            "toolchain": _plain(self.origin.toolchain) if self.origin.toolchain else None,
            "programs": [_plain(program) for program in self.programs],
            "loaders": [_plain(loader) for loader in self.loaders],
            "members": [_plain(member) for member in self.members],
            "models": [_plain_model(model) for model in self.models],
            "remainder_sha256": self.remainder_sha256,
        }
        return canonical_json({name: value for name, value in content.items() if value is not None})

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read a manifest.

        Raises:
            ManifestError: it is damaged, not in its canonical form, or of another version.
        """
        fields = JsonObject.parse(data)
        version = fields.number("version")
        if version != _VERSION:
            raise ManifestError(f"its version is {version} (expected {_VERSION}): a newer apepack reads it", "version")
        engine, toolchain = fields.child("engine"), fields.child("toolchain")
        return cls(
            programs=tuple(_image(item) for item in fields.items("programs")),
            loaders=tuple(_image(item) for item in fields.items("loaders")),
            members=tuple(_member(item) for item in fields.items("members")),
            models=tuple(_model(item) for item in fields.items("models")),
            remainder_sha256=fields.digest("remainder_sha256"),
            origin=Origin(_engine(engine) if engine else None, _toolchain(toolchain) if toolchain else None),
        )


def _plain(record: Any) -> dict[str, Any]:
    """Return the fields of RECORD that are known."""
    values = {name: getattr(record, name) for name in record.__slots__}
    return {name: dict(value) if name == "tools" else value for name, value in values.items() if value is not None}


def _plain_model(model: ModelFacts) -> dict[str, Any]:
    plain = _plain(model) | {"base_models": [_plain(base) for base in model.base_models]}
    return plain | ({"source": _plain(model.source)} if model.source else {})


def _engine(fields: JsonObject) -> Engine:
    digests = (fields.digest("source_sha256"), fields.digest("patches_sha256"))
    return Engine(fields.text("name"), fields.text("version"), *digests)


def _toolchain(fields: JsonObject) -> Toolchain:
    return Toolchain(fields.text("version"), fields.digest("revision"), fields.texts("tools"))


def _image(fields: JsonObject) -> ImageDigest:
    return ImageDigest(fields.text("platform"), fields.digest("sha256"), fields.number("size"))


def _member(fields: JsonObject) -> MemberDigest:
    return MemberDigest(
        fields.text("name"), fields.digest("sha256"), fields.number("size"), fields.digest("crc32", digits=8)
    )


def _model(fields: JsonObject) -> ModelFacts:
    source = fields.child("source")
    return ModelFacts(
        fields.text("member"),
        type=fields.optional_text("type"),
        name=fields.optional_text("name"),
        architecture=fields.optional_text("architecture"),
        quantization=fields.optional_text("quantization"),
        license=fields.optional_text("license"),
        base_models=tuple(_base_model(item) for item in fields.items("base_models")),
        parameters=fields.optional_number("parameters"),
        source=Source(source.text("repo"), source.text("revision"), source.optional_text("file")) if source else None,
    )


def _base_model(fields: JsonObject) -> BaseModel:
    return BaseModel(*(fields.optional_text(name) for name in ("name", "organization", "version", "repo_url")))
