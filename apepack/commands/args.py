"""apepack args: the default arguments of a llamafile, printed or changed."""

from __future__ import annotations

from typing import Any

import click

from apepack.commands.group import ARGUMENTS, split_arguments
from zipalign import console

__all__ = ["command"]


class _WithArguments(click.Command):
    """A command whose words after `--` are not its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, split_arguments(ctx, args))


@click.command("args", cls=_WithArguments, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--args", "args_file", metavar="ARGS", type=click.Path(), help="Store the file ARGS as .args, unchanged.")
@click.option("--drop-signature", is_flag=True, help="Change FILE even if it is signed, and remove its signature.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("-n", "--dry-run", is_flag=True, help="Make all checks, change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Accepted as by the other commands.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("file", metavar="FILE [-- ARG...]", type=click.Path())
@click.pass_context
def command(context: click.Context, /, file: str, **options: Any) -> None:
    """Print the default arguments of the llamafile FILE, one in each line; or replace them by each ARG.

    Those that name the model and its projector stay, unless ARGs name others.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.upgrade.members import change_arguments, read_arguments  # noqa: PLC0415  # the same
    from runtime.args import format_arguments  # noqa: PLC0415  # the same

    given = context.meta.get(ARGUMENTS)
    path = Path(file)
    if options["args_file"] and given is not None:
        raise click.UsageError("Give default arguments with --args or after --, not both.")
    if options["args_file"]:
        given = Path(options["args_file"]).read_bytes()
    if given is None:
        arguments = read_arguments(path)
        if options["as_json"]:
            console.print_json("apepack", {"operation": "args", "path": file, "arguments": arguments})
        elif arguments:
            click.echo(format_arguments(arguments), nl=False)
        return

    from apepack.commands.each_file import print_findings  # noqa: PLC0415  # not needed for --help
    from apepack.upgrade.members import ChangePolicy  # noqa: PLC0415  # the same
    from apepack.upgrade.report import change_json  # noqa: PLC0415  # the same

    policy = ChangePolicy(
        drop_signature=options["drop_signature"], strict=options["strict"], dry_run=options["dry_run"]
    )
    result = change_arguments(path, given, policy)
    if options["as_json"]:
        facts = {"operation": "set-args", "dry_run": options["dry_run"], **change_json(result)}
        console.print_json("apepack", facts)
    else:
        print_findings(result.findings)
