"""Keys in PEM files, and DSSE signatures with them: Ed25519, and ECDSA with the curve P-256.

securesystemslib makes and checks the signatures; it is in the extra `sign`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from apepack.errors import EncryptedKeyError, KeyFileError, MissingPackageError, SignatureError
from apepack.provenance.statement import PAYLOAD_TYPE

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from securesystemslib.signer import CryptoSigner, SSlibKey

    from apepack.provenance.statement import Envelope, Statement

__all__ = ["check_envelope", "load_private_key", "load_public_key", "sign_statement"]

_SCHEMES: Final = ("ed25519", "ecdsa-sha2-nistp256")
_EXPECTED: Final = "an Ed25519 key, or an ECDSA key with the curve P-256"


def load_private_key(path: Path, passphrase: str | None = None) -> CryptoSigner:
    """Return the signer with the private key in the PEM file PATH.

    Raises:
        EncryptedKeyError: it is encrypted, and PASSPHRASE is none or another one.
        KeyFileError: it is no private key, or of another kind.
        MissingPackageError: securesystemslib is not installed.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415  # an extra
        from securesystemslib.signer import CryptoSigner  # noqa: PLC0415  # the same
    except ImportError as error:
        raise MissingPackageError("securesystemslib", "sign") from error
    try:
        key = load_pem_private_key(data, passphrase.encode() if passphrase is not None else None)
    except TypeError as error:  # encrypted without a passphrase, or the other way round
        if passphrase is None:
            raise EncryptedKeyError(path, "it is encrypted, and no passphrase is given") from error
        return load_private_key(path)
    except ValueError as error:
        if b"ENCRYPTED" in data:
            raise EncryptedKeyError(path, "the passphrase is not that of the key") from error
        raise KeyFileError(path, f"it is no private key in a PEM file (expected {_EXPECTED})") from error
    _require_scheme(path, key.public_key())
    return CryptoSigner(key)


def load_public_key(path: Path) -> SSlibKey:
    """Return the public key in the PEM file PATH.

    Raises:
        KeyFileError: it is no public key, or of another kind.
        MissingPackageError: securesystemslib is not installed.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    try:
        import securesystemslib  # noqa: F401, PLC0415  # an extra, without which cryptography may be there
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415  # the same
    except ImportError as error:
        raise MissingPackageError("securesystemslib", "sign") from error
    if b"PRIVATE KEY" in data:
        raise KeyFileError(path, "it is a private key: a signature is checked with the public one")
    try:
        key = load_pem_public_key(data)
    except ValueError as error:
        raise KeyFileError(path, f"it is no public key in a PEM file (expected {_EXPECTED})") from error
    return _require_scheme(path, key)


def _require_scheme(path: Path, key: PublicKeyTypes) -> SSlibKey:
    from securesystemslib.signer import SSlibKey  # noqa: PLC0415  # an extra

    try:
        public_key = SSlibKey.from_crypto(key)
    except ValueError as error:
        raise KeyFileError(path, f"it is a key of another kind (expected {_EXPECTED})") from error
    if public_key.scheme not in _SCHEMES:
        raise KeyFileError(path, f"it is a key for {public_key.scheme} (expected {_EXPECTED})")
    return public_key


def sign_statement(statement: Statement, signer: CryptoSigner) -> bytes:
    """Return the envelope of STATEMENT with a signature by SIGNER, as JSON."""
    from securesystemslib.dsse import Envelope as DsseEnvelope  # noqa: PLC0415  # an extra

    envelope = DsseEnvelope(statement.pack(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return (json.dumps(envelope.to_dict(), indent=1, sort_keys=True) + "\n").encode()


def check_envelope(envelope: Envelope, key: SSlibKey) -> None:
    """Check that KEY made a signature of ENVELOPE.

    Raises:
        SignatureError: it did not.
    """
    from securesystemslib.dsse import Envelope as DsseEnvelope  # noqa: PLC0415  # an extra
    from securesystemslib.exceptions import FormatError, VerificationError  # noqa: PLC0415  # the same

    if envelope.is_bundle:
        raise SignatureError("it was made by sigstore without a key: give --identity and --issuer")
    try:
        DsseEnvelope.from_dict(json.loads(json.dumps(envelope.content))).verify([key], 1)
    except (VerificationError, FormatError, ValueError, KeyError, TypeError) as error:
        if key.keyid in envelope.key_ids:
            raise SignatureError(f"it names the key {key.keyid[:16]}, which did not make it") from error
        named = ", ".join(key_id[:16] for key_id in envelope.key_ids)
        raise SignatureError(f"another key made it: {named} (expected {key.keyid[:16]})") from error
