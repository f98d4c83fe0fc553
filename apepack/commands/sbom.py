"""apepack sbom: the bill of materials of a llamafile."""

from __future__ import annotations

import click

from zipalign import console

__all__ = ["command"]


@click.command("sbom", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-o", "--output", metavar="OUT", type=click.Path(), help="Write to OUT, not to standard output.")
@click.option("--member", is_flag=True, help="Store it in FILE, as the member sbom.cdx.json.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object that contains it.")
@click.argument("file", metavar="FILE", type=click.Path())
def command(file: str, output: str | None, *, member: bool, as_json: bool) -> None:
    """Print the bill of materials of the llamafile FILE, in CycloneDX 1.7.

    It lists programs, models, libraries and other members, with the digests in the manifest: apepack verify compares
    those with the file.
    """
    import json  # noqa: PLC0415  # not needed for --help
    from pathlib import Path  # noqa: PLC0415  # the same

    from apepack.provenance.sbom import bill_of_materials, store_bill_of_materials  # noqa: PLC0415  # the same
    from zipalign.replacement import replacing  # noqa: PLC0415  # the same

    if output and member:
        raise click.UsageError("Store it with --member or with -o, not both.")
    path = Path(file)
    content = store_bill_of_materials(path) if member else bill_of_materials(path)
    if output and output != "-":
        with replacing(Path(output), 0o644) as target:
            target.write(content)
    if as_json:
        facts = {"path": file, "output": output, "member": member, "sbom": json.loads(content)}
        console.print_json("apepack", {"operation": "sbom", **facts})
    elif output == "-" or not (output or member):
        click.echo(content.decode(), nl=False)
