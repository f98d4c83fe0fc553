"""Signing a llamafile: it is verified, and the digest of its manifest goes into a signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.errors import SignatureError
from apepack.provenance.description import read_manifest
from apepack.provenance.signature import SIGNATURE_PLACE, drop_signature, signature_path, store_signature
from apepack.provenance.statement import Envelope, Statement
from apepack.provenance.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apepack.provenance.digests import Progress

__all__ = ["Signed", "sign"]


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that was made.

    Attributes:
        path: its file; None if it is a member.
        manifest_sha256: the digest that it signs.
        key_ids: the keys that it names.
    """

    path: Path | None
    manifest_sha256: str
    key_ids: tuple[str, ...]


def sign(
    path: Path, signer: Callable[[Statement], bytes], *, embed: bool = False, progress: Progress | None = None
) -> Signed:
    """Sign the llamafile PATH, in the place of an older signature in the same place.

    Args:
        path: the file.
        signer: makes an envelope with a statement: sign_statement() with a key, or sign_keyless().
        embed: store the signature as the last member, not in a file beside it.
        progress: called with the number of bytes read since the last call.

    Raises:
        SignatureError: there is something in the file that does not hold, or the signature cannot be made.
        ZipalignError: the file cannot be changed.
        OSError: a file cannot be read or written.
    """
    report = verify(path, progress=progress)
    replaced = f"signature {SIGNATURE_PLACE if embed else signature_path(path)}"
    faults = [str(finding) for finding in report.findings if finding.is_fault and finding.subject != replaced]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise SignatureError(f"{path} was not signed: {faults[0].removeprefix('fault: ')}{more}")
    if embed:
        drop_signature(path)  # which renews the manifest if files were added behind the signature
    manifest = read_manifest(path)
    if manifest is None:
        raise SignatureError(f"{path} was not signed: its manifest is not there any more")
    envelope = signer(Statement(manifest.sha256))
    key_ids = Envelope.unpack(envelope).key_ids
    return Signed(store_signature(path, envelope, embed=embed), manifest.sha256, key_ids)
