"""Verification of a llamafile: everything that can be recomputed from its bytes is compared with its manifest.

Nothing else than the file is read: no network, no other file but a signature's. Without a manifest, what can be checked
is the archive: its directory against its local headers, and the CRC-32 of each member.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from apepack.errors import InputError, LayoutError, ManifestError
from apepack.provenance.description import read_content, read_parts, sketch
from apepack.provenance.digests import Hasher
from apepack.provenance.finding import Finding, fault, note
from apepack.provenance.manifest import MEMBER_NAME, ImageDigest, Manifest, MemberDigest, Origin
from apepack.provenance.models import read_models
from apepack.provenance.recount import recount
from apepack.provenance.signature import check_signatures, find_signatures
from apepack.provenance.tail import tail_fault
from zipalign import NotAnArchiveError, ZipFormatError, check_archive
from zipalign.check import Severity
from zipalign.input_file import open_input

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from apepack.provenance.description import Parts
    from apepack.provenance.digests import Progress
    from apepack.provenance.manifest import ModelFacts
    from apepack.provenance.recount import Counted
    from apepack.provenance.signature import Check, SignatureResult
    from zipalign import Archive

    _Digest = ImageDigest | MemberDigest

__all__ = ["Report", "verify"]

_RENEW = "apepack add FILE writes a new manifest"


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a verification.

    Attributes:
        path: the file.
        manifest: its manifest, if it has one that can be read.
        contents: what the file consists of, without digests; None if that cannot be read.
        signatures: its signatures.
        findings: what does not hold, and notes.
    """

    path: Path
    manifest: Manifest | None = None
    contents: Manifest | None = None
    signatures: tuple[SignatureResult, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not any(finding.is_fault for finding in self.findings)


def verify(
    path: Path,
    *,
    allow_no_manifest: bool = False,
    check: Check | None = None,
    signature: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Recompute everything that the manifest of the llamafile PATH states.

    Args:
        path: the file.
        allow_no_manifest: whether a file without a manifest may be sound; of it, the archive is checked.
        check: the check of who signed it (check_signatures() in signature.py); without it, a signature is not needed.
        signature: the file with a detached signature, if it is not FILE.sig.
        progress: called with the number of bytes read since the last call.

    Raises:
        InputFileError: PATH is a folder, a pipe or a device.
        OSError: the file cannot be read.
    """
    try:
        checked = check_archive(path, alignment=1, data=False)
    except NotAnArchiveError:
        return Report(path, findings=(fault("archive", "there is none: this is no llamafile, or it was cut off"),))
    findings = [fault("archive", str(found)) for found in checked.findings if found.severity is Severity.FAULT]
    if findings:
        return Report(path, findings=tuple(findings))
    try:
        parts = read_parts(path)
    except (InputError, LayoutError, ZipFormatError) as error:
        return Report(path, findings=(fault("programs", str(error).removeprefix(f"{path}: ")),))
    archive = parts.archive
    entry = archive.entry(MEMBER_NAME) if archive else None
    if archive is None or entry is None:
        return _without_manifest(path, parts, allow=allow_no_manifest and check is None, progress=progress)
    try:
        with open_input(path) as fd:
            manifest = Manifest.unpack(read_content(fd, entry))
            report = _compare(path, fd, parts, archive, manifest, progress)
        results, findings = check_signatures(find_signatures(path, archive, signature), manifest, check)
    except (ManifestError, ZipFormatError) as error:
        return Report(path, findings=(fault("manifest", str(error)),))
    return replace(report, signatures=tuple(results), findings=(*report.findings, *findings))


def _without_manifest(path: Path, parts: Parts, *, allow: bool, progress: Progress | None) -> Report:
    checked = check_archive(path, alignment=1, progress=progress)
    findings = [fault("archive", str(found)) for found in checked.findings if found.severity is Severity.FAULT]
    reason = "there is none, so that only the archive was checked"
    findings.append(note("manifest", reason) if allow else fault("manifest", f"{reason}: {_RENEW}"))
    return Report(path, contents=sketch(parts, Origin()), findings=tuple(findings))


def _compare(
    path: Path, fd: int, parts: Parts, archive: Archive, manifest: Manifest, progress: Progress | None
) -> Report:
    """Compare PARTS, which have a manifest, with MANIFEST."""
    with Hasher(progress) as hasher:
        found = recount(fd, parts, manifest, hasher)
    findings = [
        *_differences("program", manifest.programs, found.programs),
        *_differences("loader", manifest.loaders, found.loaders),
        *_differences("member", manifest.members, found.members),
        *_model_differences(manifest, read_models(parts.data, parts.entries)),
    ]
    if found.remainder != manifest.remainder_sha256:
        findings.append(_remainder_fault(findings))
    own = archive.entry(MEMBER_NAME)
    behind = [entry.name for entry in parts.entries if own and entry.header_offset > own.header_offset]
    if own and not behind:
        reason = tail_fault(fd, archive, own)
        findings += [fault("end of file", reason)] if reason else []
    replaced = [name for name in behind if manifest.member(name)]
    findings += [
        fault(f"member {name}", f"it was replaced after the manifest was written: {_RENEW}") for name in replaced
    ]
    return Report(path, manifest, sketch(parts, manifest.origin), findings=tuple(findings))


def _differences(kind: str, stated: Sequence[_Digest], found: Mapping[str, Counted]) -> Iterator[Finding]:
    names = [_name_of(record) for record in stated]
    for name, record in zip(names, stated, strict=True):
        counted = found.get(name)
        subject = f"{kind} {name}"
        if counted is None:
            yield fault(subject, "the manifest has it, the file has not")
        elif counted.fault:
            yield fault(subject, counted.fault)
        elif counted.size != record.size:
            yield fault(subject, f"it has {counted.size} bytes (expected {record.size})")
        elif counted.sha256 != record.sha256:
            yield fault(subject, f"its SHA-256 is {counted.sha256} (expected {record.sha256})")
    for name, counted in found.items():
        if name not in names:
            yield fault(f"{kind} {name}", f"it is not in the manifest: {counted.fault or _RENEW}")


def _name_of(record: _Digest) -> str:
    return record.name if isinstance(record, MemberDigest) else record.platform


def _remainder_fault(findings: Sequence[Finding]) -> Finding:
    where = "in one of these parts, or " if findings else ""
    reason = f"bytes are changed {where}outside of programs, loaders and the data of members"
    return fault("remainder", reason)


def _model_differences(manifest: Manifest, models: Sequence[ModelFacts]) -> Iterator[Finding]:
    found = {model.member: model for model in models}
    for stated in manifest.models:
        model = found.pop(stated.member, None)
        if model is None:
            yield fault(f"model {stated.member}", "the manifest has it, the file has not")
        else:
            yield from _field_differences(stated, model)
    for name in found:
        yield fault(f"model {name}", f"it is not in the manifest: {_RENEW}")


def _field_differences(stated: ModelFacts, model: ModelFacts) -> Iterator[Finding]:
    for name in (record_field.name for record_field in fields(stated)):
        expected, got = getattr(stated, name), getattr(model, name)
        if name != "source" and got != expected:
            yield fault(f"model {stated.member}", f"the manifest says of {name}: {expected}, its header {got}")
