"""Signatures without a key of one's own, by sigstore: its authority certifies the identity that a job has in CI.

sigstore is in the extra of this name. Signing needs its services on the network; a check needs only the certificates
that its package contains, or that were fetched before.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from apepack.errors import MissingPackageError, SignatureError
from apepack.provenance.statement import Envelope, Statement

if TYPE_CHECKING:
    from apepack.provenance.signature import Check

__all__ = ["identity_check", "sign_keyless"]


def sign_keyless(statement: Statement) -> bytes:
    """Return the sigstore bundle of STATEMENT, signed with the identity of this job in CI.

    Raises:
        SignatureError: this job has no identity, or the services of sigstore refuse or do not answer.
        MissingPackageError: sigstore is not installed.
    """
    try:
        from sigstore.dsse import Statement as SigstoreStatement  # noqa: PLC0415  # an extra
        from sigstore.models import ClientTrustConfig  # noqa: PLC0415  # the same
        from sigstore.oidc import IdentityToken, detect_credential  # noqa: PLC0415  # the same
        from sigstore.sign import SigningContext  # noqa: PLC0415  # the same
    except ImportError as error:
        raise MissingPackageError("sigstore", "sigstore") from error
    try:
        credential = detect_credential()
    except Exception as error:  # sigstore's, and its HTTP library's: they have no common root
        raise SignatureError(f"the identity of this job is not available: {_sentence(error)}") from error
    if credential is None:
        raise SignatureError(
            "this is no job with an identity: --keyless is for CI, on GitHub with the permission id-token: write"
        )
    try:
        context = SigningContext.from_trust_config(ClientTrustConfig.production())
        with context.signer(IdentityToken(credential)) as signer:
            bundle = signer.sign_dsse(SigstoreStatement(statement.pack()))
    except Exception as error:  # as above
        raise SignatureError(f"sigstore did not sign: {_sentence(error)}") from error
    return str(bundle.to_json()).encode()


def identity_check(identity: str, issuer: str) -> Check:
    """Return the check that sigstore certified that IDENTITY, vouched for by ISSUER, made an envelope.

    Raises:
        MissingPackageError: sigstore is not installed.
    """
    try:
        from sigstore.models import Bundle  # noqa: PLC0415  # an extra
        from sigstore.verify import Verifier, policy  # noqa: PLC0415  # the same
    except ImportError as error:
        raise MissingPackageError("sigstore", "sigstore") from error

    def check(envelope: Envelope) -> None:
        if not envelope.is_bundle:
            raise SignatureError("it was made with a key: give the public one with --key")
        try:
            bundle = Bundle.from_json(json.dumps(envelope.content))
            verifier = Verifier.production(offline=True)
            _, payload = verifier.verify_dsse(bundle, policy.Identity(identity=identity, issuer=issuer))
        except Exception as error:  # as above
            raise SignatureError(f"sigstore does not accept it for {identity}: {_sentence(error)}") from error
        if Statement.unpack(payload) != envelope.statement:
            raise SignatureError("sigstore found another statement in it")

    return check


def _sentence(error: Exception) -> str:
    """Return the first line of the message of ERROR."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
