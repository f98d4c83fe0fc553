"""apepack sign: signs the manifest of a llamafile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from zipalign import console

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apepack.provenance.statement import Statement

__all__ = ["command"]

_PASSPHRASE_VARIABLE: Final = "APEPACK_PASSPHRASE"  # noqa: S105  # the name of a variable


@click.command("sign", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--key", metavar="PRIVATE", type=click.Path(), help="Sign with this key, a PEM file.")
@click.option("--keyless", is_flag=True, help="Sign by sigstore, with the identity of this job in CI.")
@click.option("--embed", is_flag=True, help="Store the signature in FILE, not in FILE.sig.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("file", metavar="FILE", type=click.Path())
def command(file: str, **options: Any) -> None:
    """Sign the llamafile FILE: its manifest, and with it the whole file.

    FILE is verified first. A key is an Ed25519 key, or an ECDSA key with the curve P-256. The passphrase of an
    encrypted one is read from the variable APEPACK_PASSPHRASE, or from the terminal.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.provenance.signing import sign  # noqa: PLC0415  # the same

    if bool(options["key"]) == options["keyless"]:
        raise click.UsageError("Sign with --key or with --keyless.")
    path = Path(file)
    signer = _signer(options)
    silent = options["quiet"] or options["as_json"]
    with console.progress(path.stat().st_size, f"verifying {path}", quiet=silent) as progress:
        signed = sign(path, signer, embed=options["embed"], progress=progress)
    if options["as_json"]:
        facts = {
            "path": file,
            "signature": str(signed.path) if signed.path else None,
            "manifest_sha256": signed.manifest_sha256,
            "key_ids": list(signed.key_ids),
        }
        console.print_json("apepack", {"operation": "sign", **facts})


def _signer(options: dict[str, Any]) -> Callable[[Statement], bytes]:
    from functools import partial  # noqa: PLC0415  # not needed for --help
    from pathlib import Path  # noqa: PLC0415  # the same

    if options["keyless"]:
        from apepack.provenance.keyless import sign_keyless  # noqa: PLC0415  # the same

        return sign_keyless
    from apepack.provenance.keys import sign_statement  # noqa: PLC0415  # the same

    return partial(sign_statement, signer=_private_key(Path(options["key"])))


def _private_key(path: Path) -> Any:
    """Return the signer with the key in the file PATH, whose passphrase may have to be asked for."""
    import os  # noqa: PLC0415  # not needed for --help
    import sys  # noqa: PLC0415  # the same

    from apepack.errors import EncryptedKeyError  # noqa: PLC0415  # the same
    from apepack.provenance.keys import load_private_key  # noqa: PLC0415  # the same

    given = os.environ.get(_PASSPHRASE_VARIABLE)
    try:
        return load_private_key(path, given)
    except EncryptedKeyError as error:
        if given is not None or not sys.stdin.isatty():
            hint = "" if given is not None else f": set {_PASSPHRASE_VARIABLE}, or run this on a terminal"
            raise EncryptedKeyError(path, f"{error.reason}{hint}") from error
    return load_private_key(path, click.prompt(f"Passphrase of {path}", hide_input=True, err=True))
