from __future__ import annotations

import base64
import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from apepack.errors import EncryptedKeyError, KeyFileError, MissingPackageError, SignatureError
from apepack.provenance.description import read_manifest, renew_manifest
from apepack.provenance.keys import load_private_key, load_public_key, sign_statement
from apepack.provenance.signature import drop_signature, key_check, signature_path
from apepack.provenance.signing import Signed, sign
from apepack.provenance.statement import PAYLOAD_TYPE, Envelope, Statement
from apepack.provenance.verification import verify
from tests.apepack.provenance.test_verification import faults
from zipalign import Member, add_files, read_archive, remove_entries

if TYPE_CHECKING:
    from pathlib import Path

KEYS: dict[str, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def write_keys(folder: Path, kind: str = "ed25519", passphrase: bytes = b"") -> tuple[Path, Path]:
    """Write a new private key and its public key, as openssl does."""
    key = KEYS[kind]()
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    private, public = folder / f"{kind}.pem", folder / f"{kind}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def sign_with_new_key(path: Path, kind: str = "ed25519", *, embed: bool = False) -> Path:
    """Sign a llamafile, and return the public key."""
    private, public = write_keys(path.parent, kind)
    sign_with(path, private, embed=embed)
    return public


def sign_with(path: Path, private: Path, *, embed: bool = False) -> Signed:
    return sign(path, partial(sign_statement, signer=load_private_key(private)), embed=embed)


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "inside"])
@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_a_signature_is_accepted_by_its_key_only(kind: str, target: Path, *, embed: bool) -> None:
    before = target.read_bytes()
    public = sign_with_new_key(target, kind, embed=embed)
    assert signature_path(target).is_file() is not embed
    assert target.read_bytes().startswith(before)
    report = verify(target, check=key_check(load_public_key(public)))
    assert (faults(report), [signature.is_accepted for signature in report.signatures]) == ([], [True])
    _, other = write_keys(target.parent, kind)
    (fault,) = faults(verify(target, check=key_check(load_public_key(other))))
    assert "another key made it" in fault


def test_it_is_a_dsse_envelope_of_an_in_toto_statement(target: Path) -> None:
    private, _ = write_keys(target.parent)
    signed = sign_with(target, private)
    manifest = read_manifest(target)
    assert manifest is not None
    content = json.loads(signature_path(target).read_bytes())
    assert (content["payloadType"], len(content["signatures"])) == (PAYLOAD_TYPE, 1)
    statement = json.loads(base64.b64decode(content["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "manifest.json", "digest": {"sha256": manifest.sha256}}]
    assert signed == Signed(signature_path(target), manifest.sha256, (content["signatures"][0]["keyid"],))


def test_without_a_key_nothing_is_demanded(target: Path) -> None:
    sign_with_new_key(target)
    report = verify(target)
    assert report.ok
    assert [str(finding) for finding in report.findings] == [
        f"note: signature {signature_path(target)}: it was not checked: --key names the public key of its maker"
    ]


def test_a_key_demands_a_signature(target: Path) -> None:
    _, public = write_keys(target.parent)
    (fault,) = faults(verify(target, check=key_check(load_public_key(public))))
    assert fault.startswith("signature: there is none")


def test_a_key_demands_a_manifest(target: Path) -> None:
    public = sign_with_new_key(target)
    remove_entries(target, ["manifest.json"])
    assert not verify(target, allow_no_manifest=True, check=key_check(load_public_key(public))).ok


def test_one_of_two_signers_is_enough(target: Path) -> None:
    public = sign_with_new_key(target, "p256", embed=True)
    sign_with_new_key(target, "ed25519")
    report = verify(target, check=key_check(load_public_key(public)))
    assert report.ok
    assert [signature.is_accepted for signature in report.signatures] == [True, False]
    assert "another key made it" in report.findings[0].message


def test_signing_again_replaces_the_member(target: Path) -> None:
    sign_with_new_key(target, "p256", embed=True)
    size = target.stat().st_size
    public = sign_with_new_key(target, "ed25519", embed=True)
    assert target.stat().st_size < size + 64
    report = verify(target, check=key_check(load_public_key(public)))
    assert (report.findings, len(report.signatures)) == ((), 1)


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "inside"])
def test_a_changed_file_says_why_its_signature_does_not_match(target: Path, *, embed: bool) -> None:
    public = sign_with_new_key(target, embed=embed)
    check = key_check(load_public_key(public))
    add_files(target, [Member("note.txt", b"mine")])
    assert faults(verify(target, check=check))[0].startswith("member note.txt: it is not in the manifest")
    renew_manifest(target)
    (fault,) = faults(verify(target, check=check))
    assert "the file was changed after it was signed" in fault
    if not embed:
        return
    sign_with_new_key(target, embed=True)
    assert verify(target).ok


def test_a_dropped_signature_leaves_the_bytes_from_before(target: Path) -> None:
    before = target.read_bytes()
    assert not drop_signature(target)
    sign_with_new_key(target, embed=True)
    assert drop_signature(target)
    assert target.read_bytes() == before


def test_a_signature_before_other_members_is_dropped_too(target: Path) -> None:
    sign_with_new_key(target, embed=True)
    add_files(target, [Member("note.txt", b"mine")])
    assert drop_signature(target)
    assert read_archive(target).entry("signature.json") is None
    assert verify(target).findings == ()


def test_what_does_not_hold_is_not_signed(target: Path) -> None:
    add_files(target, [Member("note.txt", b"mine")])
    private, _ = write_keys(target.parent)
    with pytest.raises(SignatureError, match=r"was not signed: member note\.txt"):
        sign_with(target, private)
    assert not signature_path(target).exists()


def test_encrypted_keys(tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path, passphrase=b"secret")
    load_private_key(private, "secret")
    with pytest.raises(EncryptedKeyError, match="no passphrase is given"):
        load_private_key(private)
    with pytest.raises(EncryptedKeyError, match="not that of the key"):
        load_private_key(private, "wrong")
    plain, _ = write_keys(tmp_path, "p256")
    load_private_key(plain, "secret")  # the variable may be set for another key


@pytest.mark.parametrize("kind", ["p384", "rsa"])
def test_other_kinds_of_keys(kind: str, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, kind)
    for load, path in ((load_private_key, private), (load_public_key, public)):
        with pytest.raises(KeyFileError, match="expected an Ed25519 key") as caught:
            load(path)
        assert caught.value.path == path


def test_files_that_are_no_keys(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    (tmp_path / "text").write_text("text")
    for load, path, word in (
        (load_private_key, public, "no private key"),
        (load_public_key, private, "it is a private key"),
        (load_private_key, tmp_path / "text", "no private key"),
        (load_public_key, tmp_path / "text", "no public key"),
    ):
        with pytest.raises(KeyFileError, match=word):
            load(path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda content: b"text", "no DSSE envelope"),
        (lambda content: b"[]", "no DSSE envelope"),
        (lambda content: json.dumps(content | {"payload": "?"}).encode(), "no DSSE envelope"),
        (lambda content: json.dumps(content | {"payloadType": "text/plain"}).encode(), "its payload is 'text/plain'"),
        (lambda content: json.dumps(content | {"payload": ""}).encode(), "no in-toto statement"),
        (
            lambda content: json.dumps(
                content
                | {"payload": base64.b64encode(Statement("0" * 64).pack().replace(b"manifest/v1", b"x")).decode()}
            ).encode(),
            "states something else",
        ),
        (
            lambda content: json.dumps(
                content | {"payload": base64.b64encode(Statement("0" * 64).pack()).decode()}
            ).encode(),
            "it is of a manifest with the SHA-256 000",
        ),
        (lambda content: json.dumps(content | {"signatures": []}).encode(), "another key made it"),
        (
            lambda content: json.dumps(
                content | {"signatures": [content["signatures"][0] | {"sig": base64.b64encode(bytes(64)).decode()}]}
            ).encode(),
            "which did not make it",
        ),
        (lambda content: json.dumps({"dsseEnvelope": content}).encode(), "by sigstore"),
    ],
    ids=["text", "list", "base64", "type", "empty", "predicate", "digest", "unsigned", "forged", "bundle"],
)
def test_damaged_signatures(change: Any, word: str, target: Path) -> None:
    public = sign_with_new_key(target)
    beside = signature_path(target)
    beside.write_bytes(change(json.loads(beside.read_bytes())))
    (fault,) = faults(verify(target, check=key_check(load_public_key(public))))
    assert word in fault


def test_a_missing_library_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = write_keys(tmp_path)
    monkeypatch.setitem(sys.modules, "securesystemslib", None)
    monkeypatch.setitem(sys.modules, "securesystemslib.signer", None)
    for load, path in ((load_private_key, private), (load_public_key, public)):
        with pytest.raises(MissingPackageError, match=r"llamafile-toolchain\[sign\]"):
            load(path)


def test_envelopes_are_read_without_libraries() -> None:
    envelope = Envelope.unpack(
        json.dumps(
            {
                "payload": base64.b64encode(Statement("1" * 64).pack()).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": "k", "sig": ""}],
            }
        ).encode()
    )
    assert (envelope.statement.manifest_sha256, envelope.key_ids, envelope.is_bundle) == ("1" * 64, ("k",), False)
