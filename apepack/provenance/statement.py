"""What a signature signs: an in-toto statement with the digest of a manifest, in a DSSE envelope.

Specifications: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and
https://github.com/secure-systems-lab/dsse. Envelopes are read here without a check of their signatures, which needs a
library: keys.py.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Final, Self

from apepack.errors import SignatureError
from apepack.provenance.json_object import SIZE_MAX
from apepack.provenance.manifest import MEMBER_NAME

__all__ = ["PAYLOAD_TYPE", "PREDICATE_TYPE", "Envelope", "Statement"]

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
PREDICATE_TYPE: Final = "https://llamafile-toolchain/manifest/v1"
_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True, slots=True)
class Statement:
    """The statement that a llamafile has the manifest with this digest."""

    manifest_sha256: str

    def pack(self) -> bytes:
        """Return the statement as JSON."""
        return json.dumps(self.as_dict(), sort_keys=True).encode()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of the statement."""
        return {
            "_type": _STATEMENT_TYPE,
            "subject": [{"name": MEMBER_NAME, "digest": {"sha256": self.manifest_sha256}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {},
        }

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read a statement.

        Raises:
            SignatureError: it is another statement, or none.
        """
        try:
            content = json.loads(data)
            digest = content["subject"][0]["digest"]["sha256"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise SignatureError("it contains no in-toto statement about a digest") from error
        statement = cls(str(digest))
        if content != statement.as_dict():
            raise SignatureError("it states something else than the digest of a llamafile's manifest")
        return statement


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE envelope, or the sigstore bundle that contains one, with signatures that are not checked.

    Attributes:
        content: the JSON object.
        statement: what it states.
        key_ids: the keys that its signatures name.
        is_bundle: whether it is a sigstore bundle.
    """

    content: dict[str, Any]
    statement: Statement
    key_ids: tuple[str, ...]
    is_bundle: bool = False

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read an envelope.

        Raises:
            SignatureError: it is damaged, or states something else than the digest of a manifest.
        """
        if len(data) > SIZE_MAX:
            raise SignatureError(f"it has {len(data)} bytes (expected {SIZE_MAX} at most)")
        try:
            content = json.loads(data)
            is_bundle = "dsseEnvelope" in content
            envelope = content["dsseEnvelope"] if is_bundle else content
            payload = base64.b64decode(envelope["payload"], validate=True)
            payload_type = envelope["payloadType"]
            key_ids = tuple(str(signature.get("keyid", "")) for signature in envelope["signatures"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise SignatureError("it is no DSSE envelope") from error
        if payload_type != PAYLOAD_TYPE:
            raise SignatureError(f"its payload is {payload_type!r} (expected {PAYLOAD_TYPE!r})")
        return cls(content, Statement.unpack(payload), key_ids, is_bundle)
