"""apepack add: files for a llamafile."""

from __future__ import annotations

from typing import Any

import click

from zipalign import console

__all__ = ["command"]


@click.command("add", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--drop-signature", is_flag=True, help="Change FILE even if it is signed, and remove its signature.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("-n", "--dry-run", is_flag=True, help="Make all checks, change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("file", metavar="FILE", type=click.Path())
@click.argument("added", metavar="[ADDED]...", nargs=-1, type=click.Path())
def command(file: str, added: tuple[str, ...], **options: Any) -> None:
    """Store each ADDED file in the llamafile FILE, under the last part of its name.

    A member of that name is replaced. The manifest is renewed; without ADDED, that is all that is done, as after
    changes by zipalign.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.commands.each_file import print_findings  # noqa: PLC0415  # the same
    from apepack.upgrade.members import ChangePolicy, add_members  # noqa: PLC0415  # the same
    from apepack.upgrade.report import change_json  # noqa: PLC0415  # the same

    policy = ChangePolicy(
        drop_signature=options["drop_signature"], strict=options["strict"], dry_run=options["dry_run"]
    )
    paths = [Path(name) for name in added]
    # ADDED is copied, and read for its digest. The manifest has the digests of what is unchanged.
    total = 2 * sum(path.stat().st_size for path in paths) or Path(file).stat().st_size
    silent = options["quiet"] or options["dry_run"] or options["as_json"]
    with console.progress(total, f"adding to {file}", quiet=silent) as progress:
        result = add_members(Path(file), paths, policy, progress=progress)
    if options["as_json"]:
        console.print_json("apepack", {"operation": "add", "dry_run": options["dry_run"], **change_json(result)})
    else:
        print_findings(result.findings)
