"""apepack card: prints or renews the model card of llamafiles."""

from __future__ import annotations

import stat
from typing import Any

import click

from zipalign import console

__all__ = ["command"]


@click.command("card", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-o", "--output", metavar="README", type=console.OutputPath(), help="Renew README, or create it.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
def command(files: tuple[str, ...], **options: Any) -> None:
    """Print the model card for llamafiles: metadata for the Hugging Face Hub, and a section for each FILE.

    With README, only the sections in it are renewed, and missing metadata is added; what its author wrote stays.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.hub.card import CARD_NAME, card_metadata, load_card, renew_card  # noqa: PLC0415  # the same
    from apepack.hub.llamafile import read_llamafile  # noqa: PLC0415  # the same
    from zipalign.replacement import replacing  # noqa: PLC0415  # the same

    paths = [Path(name) for name in files]
    output = Path(options["output"]) if options["output"] else None
    old = load_card(output) if output and output.exists() else ""
    quiet = options["quiet"] or options["as_json"]
    with console.progress(sum(path.stat().st_size for path in paths), "reading", quiet=quiet) as progress:
        llamafiles = [read_llamafile(path, progress=progress) for path in paths]
    card = renew_card(old, llamafiles, output or Path(CARD_NAME))
    if output and card != old:
        mode = stat.S_IMODE(output.stat().st_mode) if output.exists() else 0o644
        with replacing(output, mode) as file:
            file.write(card.encode())
    if options["as_json"]:
        facts = {"output": options["output"], "metadata": card_metadata(llamafiles), "card": card}
        console.print_json("apepack", {"operation": "card", **facts})
    elif not output:
        click.echo(card, nl=False)
