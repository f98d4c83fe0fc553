"""The bill of materials of a llamafile, in CycloneDX 1.7, from its manifest and its licence texts.

cyclonedx-python-lib writes it; it is in the extra `sbom`. Equal contents give equal bytes: there is no time, and the
serial number is derived from the rest.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from apepack.errors import MissingPackageError, SbomError
from apepack.provenance.description import read_manifest, renew_manifest
from apepack.provenance.libraries import read_libraries
from apepack.provenance.signature import find_signatures
from runtime import VERSION
from zipalign import Member, add_files, read_archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cyclonedx.model import ExternalReference, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

    from apepack.provenance.libraries import Library
    from apepack.provenance.manifest import Manifest, ModelFacts

__all__ = ["SBOM_MEMBER", "bill_of_materials", "store_bill_of_materials"]

SBOM_MEMBER: Final = "sbom.cdx.json"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://llamafile-toolchain/sbom")
_PREFIX: Final = "llamafile"  # of the names of properties


def bill_of_materials(path: Path) -> bytes:
    """Return the bill of materials of the llamafile PATH, without the member that may contain one.

    Raises:
        SbomError: the file has no manifest.
        ManifestError: its manifest is damaged.
        MissingPackageError: cyclonedx-python-lib is not installed.
        ZipalignError: its archive is damaged.
        OSError: the file cannot be read.
    """
    try:
        import cyclonedx  # noqa: F401, PLC0415  # an extra
    except ImportError as error:
        raise MissingPackageError("cyclonedx-python-lib", "sbom") from error
    manifest = read_manifest(path)
    if manifest is None:
        raise SbomError(f"{path} has no manifest: apepack add FILE writes one")
    bom = _bom(manifest, read_libraries(path))
    bom.serial_number = uuid.UUID(int=0)
    bom.serial_number = uuid.uuid5(_NAMESPACE, _text(bom))
    return (_text(bom) + "\n").encode()


def store_bill_of_materials(path: Path) -> bytes:
    """Store the bill of materials of the llamafile PATH as the member sbom.cdx.json, renew the manifest, and return it.

    Raises:
        SbomError: the file has no manifest, or is signed.
        ApepackError, ZipalignError, OSError: as for bill_of_materials(), or the file cannot be changed.
    """
    if find_signatures(path, read_archive(path)):
        raise SbomError(f"{path} is signed, and would not be afterwards: store the bill of materials before you sign")
    content = bill_of_materials(path)
    add_files(path, [Member(SBOM_MEMBER, content)])
    renew_manifest(path)
    return content


def _text(bom: Bom) -> str:
    from cyclonedx.output import make_outputter  # noqa: PLC0415  # an extra
    from cyclonedx.schema import OutputFormat, SchemaVersion  # noqa: PLC0415  # the same

    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_7).output_as_string(indent=1)


def _bom(manifest: Manifest, libraries: Sequence[Library]) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData  # noqa: PLC0415  # an extra
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415  # the same

    models = {model.member: model for model in manifest.models}
    programs = [_program(manifest, at) for at in range(len(manifest.programs))]
    engine = _engine(manifest)
    library_components = [*engine, *map(_library, libraries)]
    members = [
        _model(models[member.name], member.sha256) if member.name in models else _file(member.name, member.sha256)
        for member in manifest.members
        if member.name != SBOM_MEMBER
    ]
    title = next((model.name or model.member for model in manifest.models), "llamafile runtime")
    root = Component(name=title, type=ComponentType.APPLICATION, bom_ref="llamafile")
    tool = Component(name="apepack", type=ComponentType.APPLICATION, version=VERSION, bom_ref="tool:apepack")
    metadata = BomMetaData(component=root, tools=[])
    metadata.tools.components.add(tool)
    metadata.timestamp = None  # type: ignore[assignment]  # the result is the same at any time
    bom = Bom(components=[*programs, *library_components, *members], metadata=metadata)
    bom.register_dependency(root, [*programs, *members])
    for program in programs:
        bom.register_dependency(program, library_components)
    return bom


def _program(manifest: Manifest, at: int) -> Component:
    program = manifest.programs[at]
    toolchain = manifest.origin.toolchain
    facts = {"platform": program.platform, "size": str(program.size)}
    if toolchain:
        facts["revision"] = toolchain.revision
        facts |= {f"tool:{name}": version for name, version in toolchain.tools.items()}
    return _component(
        "application",
        f"program:{program.platform}",
        f"llamafile for {program.platform}",
        version=toolchain.version if toolchain else None,
        sha256=program.sha256,
        facts=facts,
    )


def _engine(manifest: Manifest) -> list[Component]:
    """Return the engine, if the manifest names one: its source and patches."""
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri  # noqa: PLC0415  # an extra

    engine = manifest.origin.engine
    if engine is None:
        return []
    component = _component(
        "library",
        "library:engine",
        engine.name,
        version=engine.version,
        licence="MIT",
        facts={"patches_sha256": engine.patches_sha256},
    )
    distribution, _, version = engine.version.partition(" ")
    source = ExternalReference(
        type=ExternalReferenceType.SOURCE_DISTRIBUTION,
        url=XsUri(f"pkg:pypi/{distribution}@{version}"),
        hashes=[_hash(engine.source_sha256)],
    )
    component.external_references.add(source)
    return [component]


def _library(library: Library) -> Component:
    from packageurl import PackageURL  # noqa: PLC0415  # an extra

    version = f"@{library.version}" if library.version else ""
    component = _component(
        "library",
        f"library:{library.name}{version}",
        library.name,
        version=library.version,
        licence=library.licence,
        facts={"licence_text": library.notices},
    )
    if library.is_npm:
        namespace, _, name = library.name.rpartition("/")
        component.purl = PackageURL("npm", namespace or None, name, library.version)
    return component


def _model(model: ModelFacts, sha256: str) -> Component:
    facts = {
        "member": model.member,
        "architecture": model.architecture,
        "quantization": model.quantization,
        "parameters": str(model.parameters) if model.parameters is not None else None,
        "source": f"{model.source.repo}@{model.source.revision}" if model.source else None,
    }
    component = _component(
        "machine-learning-model",
        f"model:{model.member}",
        model.name or model.member,
        licence=model.license,
        sha256=sha256,
        facts=facts,
    )
    component.external_references.update(_base_references(model))
    return component


def _base_references(model: ModelFacts) -> Iterable[ExternalReference]:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri  # noqa: PLC0415  # an extra

    for base in model.base_models:
        if base.repo_url:
            url = XsUri(base.repo_url)
            yield ExternalReference(type=ExternalReferenceType.OTHER, url=url, comment=f"base model: {base.name or ''}")


def _file(name: str, sha256: str) -> Component:
    return _component("file", f"file:{name}", name, sha256=sha256)


def _component(  # noqa: PLR0913  # the fields of a component
    kind: str,
    reference: str,
    name: str,
    *,
    version: str | None = None,
    licence: str | None = None,
    sha256: str | None = None,
    facts: dict[str, str] | dict[str, str | None] | None = None,
) -> Component:
    from cyclonedx.model import Property  # noqa: PLC0415  # an extra
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415  # the same

    return Component(
        type=ComponentType(kind),
        bom_ref=reference,
        name=name,
        version=version,
        licenses=[_licence(licence)] if licence else [],
        hashes=[_hash(sha256)] if sha256 else [],
        properties=[Property(name=f"{_PREFIX}:{key}", value=value) for key, value in (facts or {}).items() if value],
    )


def _hash(sha256: str) -> HashType:
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415  # an extra

    return HashType(alg=HashAlgorithm.SHA_256, content=sha256)


def _licence(text: str) -> License:
    """Return a licence: by its SPDX identifier or expression, or with the name that a model has for it."""
    from cyclonedx.contrib.license.factories import LicenseFactory  # noqa: PLC0415  # an extra

    return LicenseFactory().make_from_string(text)
