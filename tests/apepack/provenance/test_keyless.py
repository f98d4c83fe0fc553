"""Signatures by sigstore, with a pretence of it: the real one needs its services, and an identity in CI."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from apepack.errors import MissingPackageError, SignatureError
from apepack.provenance.keyless import identity_check, sign_keyless
from apepack.provenance.signature import signature_path
from apepack.provenance.signing import sign
from apepack.provenance.statement import PAYLOAD_TYPE, Statement
from apepack.provenance.verification import verify
from tests.apepack.provenance.test_signature import sign_with_new_key
from tests.apepack.provenance.test_verification import faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ISSUER = "https://token.actions.githubusercontent.com"


class Pretence:
    """What this package uses of sigstore 4.5: a bundle says in clear who made it."""

    credential: str | None = "me@example.org"
    fails: Exception | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        context = SimpleNamespace(signer=self._signer)
        modules: dict[str, dict[str, Any]] = {
            "sigstore": {},
            "sigstore.dsse": {"Statement": lambda content: content},
            "sigstore.models": {
                "ClientTrustConfig": SimpleNamespace(production=lambda: None),
                "Bundle": SimpleNamespace(from_json=json.loads),
            },
            "sigstore.oidc": {"IdentityToken": str, "detect_credential": lambda: self.credential},
            "sigstore.sign": {"SigningContext": SimpleNamespace(from_trust_config=lambda _: context)},
            "sigstore.verify": {
                "Verifier": SimpleNamespace(production=lambda *, offline: SimpleNamespace(verify_dsse=self._verify)),
                "policy": SimpleNamespace(Identity=lambda *, identity, issuer: (identity, issuer)),
            },
        }
        for name, content in modules.items():
            module = ModuleType(name)
            module.__dict__.update(content)
            monkeypatch.setitem(sys.modules, name, module)

    @contextlib.contextmanager
    def _signer(self, token: str) -> Iterator[SimpleNamespace]:
        def sign_dsse(payload: bytes) -> SimpleNamespace:
            if self.fails:
                raise self.fails
            envelope = {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": ""}],
            }
            bundle = json.dumps({"by": [token, ISSUER], "dsseEnvelope": envelope})
            return SimpleNamespace(to_json=lambda: bundle)

        yield SimpleNamespace(sign_dsse=sign_dsse)

    def _verify(self, bundle: dict[str, Any], policy: tuple[str, str]) -> tuple[str, bytes]:
        if tuple(bundle["by"]) != policy:
            raise RuntimeError("Certificate's SANs do not match\nin detail")
        return PAYLOAD_TYPE, base64.b64decode(bundle["dsseEnvelope"]["payload"])


@pytest.fixture
def pretence(monkeypatch: pytest.MonkeyPatch) -> Pretence:
    found = Pretence()
    found.install(monkeypatch)
    return found


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "inside"])
def test_it_is_accepted_for_its_identity_only(pretence: Pretence, target: Path, *, embed: bool) -> None:
    signed = sign(target, sign_keyless, embed=embed)
    assert signed.path == (None if embed else signature_path(target))
    assert verify(target, check=identity_check("me@example.org", ISSUER)).findings == ()
    (fault,) = faults(verify(target, check=identity_check("you@example.org", ISSUER)))
    assert fault.endswith("sigstore does not accept it for you@example.org: Certificate's SANs do not match")


def test_keys_and_identities_are_not_confused(pretence: Pretence, target: Path) -> None:
    sign_with_new_key(target)
    (fault,) = faults(verify(target, check=identity_check("me@example.org", ISSUER)))
    assert "it was made with a key" in fault


def test_outside_of_ci_there_is_no_identity(pretence: Pretence) -> None:
    pretence.credential = None
    with pytest.raises(SignatureError, match="id-token: write"):
        sign_keyless(Statement("0" * 64))


def test_its_errors_are_sentences(pretence: Pretence) -> None:
    pretence.fails = RuntimeError("no route\n  in detail")
    with pytest.raises(SignatureError, match=r"^sigstore did not sign: no route$"):
        sign_keyless(Statement("0" * 64))


def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sigstore", "sigstore.dsse", "sigstore.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r"llamafile-toolchain\[sigstore\]"):
        sign_keyless(Statement("0" * 64))
    with pytest.raises(MissingPackageError, match=r"llamafile-toolchain\[sigstore\]"):
        identity_check("me@example.org", ISSUER)
