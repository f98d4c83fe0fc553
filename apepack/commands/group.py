"""apepack as a command with sub-commands: a first word that names none is an input of apepack itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

__all__ = ["ARGUMENTS", "COMMANDS", "ORDER", "Group", "Inputs", "complete_first_word", "split_arguments"]

# The module of each is loaded when it is used, or for help. A file of one of these names is written `./NAME`.
COMMANDS: Final[tuple[str, ...]] = (
    "args",
    "add",
    "remove",
    "upgrade",
    "verify",
    "sbom",
    "sign",
    "reproduce",
    "card",
    "publish",
    "oci",
)
# In the context's `meta`: the words after `--`, if there are any.
ARGUMENTS: Final = "apepack.arguments"
# There, too: the names of the options for models and projectors, in the order of the command line.
ORDER: Final = "apepack.order"
_ORDERED: Final = ("models", "projectors")


def split_arguments(ctx: click.Context, args: list[str]) -> list[str]:
    """Return ARGS before `--`, and store those behind it, the default arguments of a llamafile."""
    if "--" not in args:
        return args
    at = args.index("--")
    ctx.meta[ARGUMENTS] = args[at + 1 :]
    return args[:at]


def complete_first_word(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer files for an input of apepack itself, and before the first one also the names of sub-commands."""
    names = [name for name in COMMANDS if not ctx.params.get("inputs") and name.startswith(incomplete)]
    return [CompletionItem(incomplete, type="file"), *map(CompletionItem, names)]


class Inputs(click.Argument):
    """The inputs of apepack itself, which are no part of the usage of a sub-command."""

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the name for the inputs, unless CTX is that of a sub-command, which takes their place."""
        return [] if ctx.parent else super().get_usage_pieces(ctx)


class Group(click.Group):
    """A group that is a command itself, with arguments of its own, unless the first word names a sub-command."""

    allow_interspersed_args = True  # options may stand behind MODEL.gguf: those of sub-commands are parsed by these

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return those of the command itself: the list of sub-commands follows the options."""
        return click.Command.collect_usage_pieces(self, ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of the sub-commands, in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # the same
        """Return the sub-command of that name, if there is one."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"apepack.commands.{cmd_name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leave the command line of a sub-command alone, and parse any other."""
        if args and args[0] in COMMANDS:
            ctx.args = args
            return args
        own = split_arguments(ctx, args)
        _, _, order = self.make_parser(ctx).parse_args(list(own))
        ctx.meta[ORDER] = [parameter.name for parameter in order if parameter.name in _ORDERED]
        return click.Command.parse_args(self, ctx, own)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command, or the command itself."""
        if not ctx.args:
            return click.Command.invoke(self, ctx)
        name, command, rest = self.resolve_command(ctx, ctx.args)
        if command is None:
            raise click.UsageError(f"no such command: {name}", ctx)
        with command.make_context(name, rest, parent=ctx) as sub_context:
            return command.invoke(sub_context)
