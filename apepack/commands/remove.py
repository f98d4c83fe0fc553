"""apepack remove: members of a llamafile."""

from __future__ import annotations

from typing import Any

import click

from zipalign import console

__all__ = ["command"]


@click.command("remove", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--drop-signature", is_flag=True, help="Change FILE even if it is signed, and remove its signature.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("-n", "--dry-run", is_flag=True, help="Make all checks, change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("file", metavar="FILE", type=click.Path())
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def command(file: str, names: tuple[str, ...], **options: Any) -> None:
    """Remove each member NAME from the llamafile FILE.

    Its bytes stay in the file. The manifest is renewed.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.commands.each_file import print_findings  # noqa: PLC0415  # the same
    from apepack.upgrade.members import ChangePolicy, remove_members  # noqa: PLC0415  # the same
    from apepack.upgrade.report import change_json  # noqa: PLC0415  # the same

    policy = ChangePolicy(
        drop_signature=options["drop_signature"], strict=options["strict"], dry_run=options["dry_run"]
    )
    result = remove_members(Path(file), names, policy)
    if options["as_json"]:
        console.print_json("apepack", {"operation": "remove", "dry_run": options["dry_run"], **change_json(result)})
    else:
        print_findings(result.findings)
