"""Signatures of llamafiles: of the manifest's digest, in the file FILE.sig beside it or as the last member.

The manifest does not list the signature, so that signing does not change what is signed. Bytes behind the manifest are
those that zipalign writes for the same content, so that the signature covers the whole file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.errors import OutputError, SignatureError
from apepack.provenance.description import read_content, read_parts, renew_manifest
from apepack.provenance.finding import Finding, fault, note
from apepack.provenance.keys import check_envelope
from apepack.provenance.manifest import MEMBER_NAME, SIGNATURE_NAME
from apepack.provenance.statement import Envelope
from zipalign import Member, add_files, remove_entries
from zipalign.input_file import open_input
from zipalign.layout import pack_directory
from zipalign.lock import locked
from zipalign.output_file import OutputFile
from zipalign.replacement import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from securesystemslib.signer import SSlibKey

    from apepack.provenance.manifest import Manifest
    from zipalign import Archive

    Check = Callable[[Envelope], None]

__all__ = [
    "SIGNATURE_PLACE",
    "SIGNATURE_SUFFIX",
    "FoundSignature",
    "SignatureResult",
    "check_signatures",
    "drop_signature",
    "find_signatures",
    "key_check",
    "signature_path",
    "store_signature",
]

SIGNATURE_SUFFIX: Final = ".sig"
SIGNATURE_PLACE: Final = f"member {SIGNATURE_NAME}"  # of a signature in the file
_NOT_CHECKED: Final = "it was not checked: --key names the public key of its maker"


@dataclass(frozen=True, slots=True)
class FoundSignature:
    """A signature of a llamafile.

    Attributes:
        place: the member, or the path of the file.
        data: its content.
    """

    place: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SignatureResult:
    """The result of checking a signature.

    Attributes:
        place: the member, or the path of the file.
        key_ids: the keys that it names.
        is_accepted: whether the expected signer made it.
        is_wrong: whether it is damaged, or of something else.
        reason: why it is not accepted.
    """

    place: str
    key_ids: tuple[str, ...] = ()
    is_accepted: bool = False
    is_wrong: bool = False
    reason: str = ""


def signature_path(path: Path) -> Path:
    """Return the path of the detached signature of the llamafile PATH."""
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def find_signatures(path: Path, archive: Archive, detached: Path | None = None) -> list[FoundSignature]:
    """Return the signatures of the llamafile PATH with ARCHIVE: the member, and the file DETACHED or FILE.sig.

    Raises:
        ZipFormatError: the member is damaged.
        OSError: DETACHED cannot be read.
    """
    found = []
    entry = archive.entry(SIGNATURE_NAME)
    if entry:
        with open_input(path) as fd:
            found.append(FoundSignature(SIGNATURE_PLACE, read_content(fd, entry)))
    beside = detached or signature_path(path)
    if detached or beside.is_file():
        found.append(FoundSignature(str(beside), beside.read_bytes()))
    return found


def check_signatures(
    signatures: Sequence[FoundSignature], manifest: Manifest, check: Check | None
) -> tuple[list[SignatureResult], list[Finding]]:
    """Compare SIGNATURES with MANIFEST, and CHECK who made them.

    CHECK raises a SignatureError for an envelope that the expected signer did not make; one of them has to pass it.
    """
    results = [_result(signature, manifest, check) for signature in signatures]
    is_accepted = any(result.is_accepted for result in results)
    findings = [_finding(result, refuse=not is_accepted) for result in results if result.reason]
    if check and not signatures:
        findings.append(
            fault("signature", f"there is none: no member {SIGNATURE_NAME}, and no file FILE{SIGNATURE_SUFFIX}")
        )
    return results, findings


def _result(signature: FoundSignature, manifest: Manifest, check: Check | None) -> SignatureResult:
    try:
        envelope = Envelope.unpack(signature.data)
        _require_manifest(envelope, manifest)
    except SignatureError as error:
        return SignatureResult(signature.place, reason=str(error), is_wrong=True)
    if check is None:
        return SignatureResult(signature.place, envelope.key_ids, reason=_NOT_CHECKED)
    try:
        check(envelope)
    except SignatureError as error:
        return SignatureResult(signature.place, envelope.key_ids, reason=str(error))
    return SignatureResult(signature.place, envelope.key_ids, is_accepted=True)


def _finding(result: SignatureResult, *, refuse: bool) -> Finding:
    is_fault = result.is_wrong or (refuse and result.reason != _NOT_CHECKED)
    return (fault if is_fault else note)(f"signature {result.place}", result.reason)


def _require_manifest(envelope: Envelope, manifest: Manifest) -> None:
    digest = envelope.statement.manifest_sha256
    if digest != manifest.sha256:
        raise SignatureError(
            f"it is of a manifest with the SHA-256 {digest} (expected {manifest.sha256}): the file was changed after it"
            " was signed, or this is the signature of another file"
        )


def key_check(key: SSlibKey) -> Check:
    """Return the check that KEY made an envelope."""
    return lambda envelope: check_envelope(envelope, key)


def store_signature(path: Path, envelope: bytes, *, embed: bool) -> Path | None:
    """Store ENVELOPE, a signature of the llamafile PATH, in the file FILE.sig or as the last member of the file.

    The file must have no signature as a member.

    Returns:
        The path of the file.

    Raises:
        ZipalignError: the llamafile cannot be changed.
        OSError: a file cannot be written.
    """
    if embed:
        add_files(path, [Member(SIGNATURE_NAME, envelope)])
        return None
    target = signature_path(path)
    if target.exists() and not target.is_file():
        raise OutputError(target, "this is not a regular file: remove it first")
    with replacing(target, 0o644) as file:
        file.write(envelope)
    return target


def drop_signature(path: Path) -> bool:
    """Remove the signature in the llamafile PATH, and return whether there was one.

    A signature behind everything else is cut off, which gives the bytes from before it was added. Another one is
    removed from the directory, and the manifest renewed.

    Raises:
        InputError: the file is no llamafile.
        ZipalignError: it is damaged, or cannot be changed.
        OSError: the file cannot be read or written.
    """
    archive = read_parts(path).archive
    entry = archive.entry(SIGNATURE_NAME) if archive else None
    if archive is None or entry is None:
        return False
    size = _size_before(path, archive)
    if size is None:
        remove_entries(path, [SIGNATURE_NAME])
        renew_manifest(path)
        return True
    with locked(path, create=False) as (fd, _):
        output_file = OutputFile(fd)
        output_file.truncate(size)
        output_file.sync()
    return True


def _size_before(path: Path, archive: Archive) -> int | None:
    """Return the size of the llamafile PATH before its signature was added, or None if that archive is not there."""
    manifest = archive.entry(MEMBER_NAME)
    others = [entry for entry in archive.entries if entry.name != SIGNATURE_NAME]
    if manifest is None or any(entry.data_end > manifest.data_end for entry in others):
        return None
    directory = pack_directory([entry.record for entry in others], manifest.data_end, archive.comment)
    with path.open("rb") as file:
        file.seek(manifest.data_end)
        is_there = file.read(len(directory)) == directory
    return manifest.data_end + len(directory) if is_there else None
