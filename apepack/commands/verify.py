"""apepack verify: compares llamafiles with their manifests and signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zipalign import console

if TYPE_CHECKING:
    from pathlib import Path

    from apepack.provenance.signature import Check
    from apepack.provenance.verification import Report

__all__ = ["command"]


@click.command("verify", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--key", metavar="PUBLIC", type=click.Path(), help="Demand a signature by this key, a PEM file.")
@click.option("--identity", metavar="NAME", help="Demand a signature that sigstore made for NAME, with --issuer.")
@click.option("--issuer", metavar="URL", help="With --identity: who vouches for NAME.")
@click.option("--signature", metavar="SIG", type=click.Path(), help="Read the signature from SIG, not from FILE.sig.")
@click.option("--allow-no-manifest", is_flag=True, help="Accept a FILE without a manifest if its archive is sound.")
@click.option("-q", "--quiet", is_flag=True, help="Print faults only, and show no progress.")
@click.option("-v", "--verbose", is_flag=True, help="Print each member, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
def command(files: tuple[str, ...], **options: Any) -> int:
    """Compare each llamafile FILE with its manifest.

    All digests are computed again, the archive is read both ways, and the headers of models are compared. It needs no
    network. The exit status is 0 only if everything holds.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.provenance.report import verification_json, verification_lines  # noqa: PLC0415  # the same

    if options["signature"] and len(files) > 1:
        raise click.UsageError("--signature is for one FILE.")
    check = _check(options)
    reports = []
    for name in files:
        report = _verify(Path(name), check, options)
        reports.append(report)
        if not options["as_json"] and not (options["quiet"] and report.ok):
            for line in verification_lines(report, members=options["verbose"]):
                click.echo(line)
    is_ok = all(report.ok for report in reports)
    if options["as_json"]:
        facts = {"operation": "verify", "ok": is_ok, "files": [verification_json(report) for report in reports]}
        console.print_json("apepack", facts)
    return 0 if is_ok else 1


def _check(options: dict[str, Any]) -> Check | None:
    """Return the check of who made a signature, if one is asked for."""
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    if bool(options["identity"]) != bool(options["issuer"]):
        raise click.UsageError("--identity and --issuer belong together.")
    if options["identity"] and options["key"]:
        raise click.UsageError("Demand a signature with --key or with --identity, not both.")
    if options["key"]:
        from apepack.provenance.keys import load_public_key  # noqa: PLC0415  # the same
        from apepack.provenance.signature import key_check  # noqa: PLC0415  # the same

        return key_check(load_public_key(Path(options["key"])))
    if options["identity"]:
        from apepack.provenance.keyless import identity_check  # noqa: PLC0415  # the same

        return identity_check(options["identity"], options["issuer"])
    return None


def _verify(path: Path, check: Check | None, options: dict[str, Any]) -> Report:
    """Return the report on PATH; a file that cannot be read is a fault, so that the others are verified."""
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.provenance.finding import fault  # noqa: PLC0415  # the same
    from apepack.provenance.verification import Report, verify  # noqa: PLC0415  # the same
    from zipalign.errors import ZipalignError  # noqa: PLC0415  # the same

    try:
        total = path.stat().st_size
        with console.progress(total, f"verifying {path}", quiet=options["quiet"] or options["as_json"]) as progress:
            return verify(
                path,
                allow_no_manifest=options["allow_no_manifest"],
                check=check,
                signature=Path(options["signature"]) if options["signature"] else None,
                progress=progress,
            )
    except OSError as error:
        named = error.filename or path
        return Report(path, findings=(fault("file", f"{named}: {error.strerror or error}"),))
    except ZipalignError as error:
        return Report(path, findings=(fault("file", str(error)),))
