"""The apepack command: parse, call one function of the library, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from zipalign import console

if TYPE_CHECKING:
    from pathlib import Path

    from apepack.link import Linked

__all__ = ["command", "main"]

_ARGUMENTS = "apepack.arguments"


def main() -> NoReturn:
    """Run the command and exit."""
    from apepack.errors import ApepackError  # noqa: PLC0415  # shell completion does without
    from runtime.errors import RuntimeBuildError  # noqa: PLC0415  # the same
    from zipalign.errors import ZipalignError  # noqa: PLC0415  # the same

    console.main(command, (ApepackError, RuntimeBuildError, ZipalignError))


class _WithArguments(click.Command):
    """A command line that ends in `-- ARG…`: defaults of the llamafile, no options and no files of ours."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what stands behind `--` from click."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[_ARGUMENTS] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command("apepack", cls=_WithArguments, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-o", "--output", metavar="OUT", type=click.Path(path_type=str), help="Write to OUT.")
@click.option("--args", "args_file", metavar="FILE", type=click.Path(), help="With MODEL: store FILE as .args.")
@click.option("--add", "extra", metavar="FILE", multiple=True, type=click.Path(), help="With MODEL: store FILE too.")
@click.option("--runtime", metavar="FILE", type=click.Path(), help="With MODEL: the llamafile to put in front.")
@click.option("--no-windows", is_flag=True, help="Begin with jartsr instead of MZ: for every shell, never for Windows.")
@click.option("--loader", metavar="PLATFORM", help="Write the loader for PLATFORM (or host) alone to OUT.")
@click.option("--print-binfmt", is_flag=True, help="Print a binfmt.d file for APE programs.")
@click.option("-n", "--dry-run", is_flag=True, help="Check everything and print the plan, write nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("-v", "--verbose", is_flag=True, help="Tell on stderr what is written where.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@console.version_option
@click.argument("inputs", metavar="MODEL.gguf [-- ARG...] | BUILD...", nargs=-1, type=click.Path())
@click.pass_context
def command(context: click.Context, /, inputs: tuple[str, ...], **options: Any) -> None:
    """Make one file of a model and the programs that run it.

    With MODEL.gguf: put the runtime in front of the weights. Each ARG becomes a default argument of the result. The
    runtime is linked from what llamafile-build made, or taken from --runtime.

    With BUILD: link native programs, at most one for each platform, into one file that runs on all of them. The
    platform is read from the program itself: a static executable for Linux on x86_64 or aarch64, or one for Windows.
    """
    arguments = context.meta.get(_ARGUMENTS)
    if options["print_binfmt"]:
        from apepack.binfmt import BINFMT_CONFIGURATION  # noqa: PLC0415  # --help does not need it

        click.echo(BINFMT_CONFIGURATION, nl=False)
    elif options["loader"] and options["dry_run"]:
        raise click.UsageError("--loader has no --dry-run.")
    elif options["loader"]:
        _write_loader(options["loader"], options["output"])
    elif not inputs:
        raise click.UsageError("Missing argument 'MODEL.gguf' or 'BUILD...'.")
    elif _names_model(inputs[0]):
        _pack(inputs, arguments, options)
    else:
        given = [name for name, value in _PACK_OPTIONS.items() if options[value]] + ["--"] * (arguments is not None)
        if given:
            raise click.UsageError(f"{given[0]} goes with a MODEL.gguf, and {inputs[0]} is none.")
        _link(inputs, options)


_PACK_OPTIONS = {"--args": "args_file", "--add": "extra", "--runtime": "runtime"}


def _names_model(name: str) -> bool:
    """Return whether NAME is a model by its content, or by its ending if it has no content to tell."""
    from pathlib import Path  # noqa: PLC0415  # --help does not need it

    from apepack.model import is_model  # noqa: PLC0415  # the same

    return name.lower().endswith(".gguf") or is_model(Path(name))


def _pack(inputs: tuple[str, ...], arguments: list[str] | None, options: dict[str, Any]) -> None:
    from pathlib import Path  # noqa: PLC0415  # --help does not need it

    from apepack.pack import Contents, pack, planned_size  # noqa: PLC0415  # the same
    from apepack.prologue import Magic  # noqa: PLC0415  # the same

    if len(inputs) > 1:
        raise click.UsageError(f"One MODEL at a time: add {inputs[1]} with --add.")
    if options["args_file"] and arguments is not None:
        raise click.UsageError("Default arguments come from --args or stand behind --, not both.")
    model = Path(inputs[0])
    contents = Contents(
        model,
        arguments or (),
        Path(options["args_file"]) if options["args_file"] else None,
        [Path(name) for name in options["extra"]],
    )
    output = Path(options["output"] or f"{model.stem}.llamafile")
    with console.progress(planned_size(contents), f"packing {output}", quiet=options["quiet"]) as progress:
        packed = pack(
            contents,
            output,
            runtime=Path(options["runtime"]) if options["runtime"] else None,
            magic=Magic.NO_WINDOWS if options["no_windows"] else Magic.MZ,
            dry_run=options["dry_run"],
            progress=progress,
        )
    operation = "plan" if options["dry_run"] else "pack"
    facts = {"output": str(packed.path), "size": packed.size, "architecture": packed.model.architecture}
    if options["as_json"]:
        console.print_json("apepack", {"operation": operation, **facts, "members": list(packed.members)})
    elif options["dry_run"]:
        click.echo(f"{packed.path} would hold {', '.join(packed.members)}: {packed.size} bytes behind the runtime")
    elif options["verbose"]:
        click.echo(f"{packed.path}: {packed.size} bytes, {', '.join(packed.members)}", err=True)


def _write_loader(name: str, output: str | None) -> None:
    from pathlib import Path  # noqa: PLC0415  # --help does not need it

    from runtime.loaders import loader_bytes  # noqa: PLC0415  # the same
    from runtime.platforms import platform_named  # noqa: PLC0415  # the same
    from zipalign.transaction import replacing  # noqa: PLC0415  # the same

    with replacing(Path(output or "ape"), 0o755) as file:
        file.write(loader_bytes(platform_named(name)))


def _link(builds: tuple[str, ...], options: dict[str, Any]) -> None:
    from pathlib import Path  # noqa: PLC0415  # --help does not need it

    from apepack.link import plan  # noqa: PLC0415  # the same
    from apepack.pack import link_runtime  # noqa: PLC0415  # the same
    from apepack.prologue import Magic  # noqa: PLC0415  # the same

    paths = [Path(build) for build in builds]
    magic = Magic.NO_WINDOWS if options["no_windows"] else Magic.MZ
    output = Path(options["output"] or f"{paths[0].stem}.ape")
    linked = plan(paths, magic=magic)
    if not options["dry_run"]:
        link_runtime(paths, output, magic=magic)
    if options["as_json"]:
        console.print_json("apepack", {"operation": "plan" if options["dry_run"] else "link", **_facts(output, linked)})
    elif options["dry_run"] or options["verbose"]:
        _print_map(output, linked, to_stderr=not options["dry_run"])


def _facts(output: Path, linked: Linked) -> dict[str, Any]:
    return {
        "output": str(output),
        "size": linked.size,
        "profile": "default" if linked.magic.value.startswith(b"MZ") else "no-windows",
        "images": [
            {
                "platform": image.platform.name,
                "path": str(image.path),
                "offset": image.span.offset,
                "size": image.span.size,
                "loader": {"offset": image.loader.offset, "size": image.loader.size} if image.loader.size else None,
            }
            for image in linked.images
        ],
    }


def _print_map(output: Path, linked: Linked, *, to_stderr: bool) -> None:
    parts = [
        span
        for image in linked.images
        for span in (
            (image.loader, f"{image.platform.name} loader"),
            (image.span, f"{image.platform.name} image of {image.path}"),
        )
    ]
    for span, name in sorted((part for part in parts if part[0].size), key=lambda part: part[0].offset):
        click.echo(f"{span.offset:#10x} {span.size:10} {name}", err=to_stderr)
    click.echo(f"{linked.size:#10x} {'':10} end of {output}", err=to_stderr)
