"""The apepack command: parses the command line, calls one function of the library, prints the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from apepack.commands.group import ARGUMENTS, ORDER, Group, Inputs, complete_first_word
from zipalign import console

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apepack.format.prologue import Magic
    from apepack.packing.lint import Finding
    from apepack.packing.payload import ModelInput, PackInputs
    from apepack.provenance.manifest import Source

__all__ = ["command", "main"]


def main() -> NoReturn:
    """Run the command and exit."""
    from apepack.errors import ApepackError  # noqa: PLC0415  # not needed for shell completion
    from runtime.errors import RuntimePackageError  # noqa: PLC0415  # the same
    from zipalign.errors import ZipalignError  # noqa: PLC0415  # the same

    console.main(command, (ApepackError, RuntimePackageError, ZipalignError))


@click.command("apepack", cls=Group, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-o", "--output", metavar="OUT", type=console.OutputPath(), help="Write to OUT.")
@click.option(
    "--model", "models", metavar="FILE", multiple=True, type=click.Path(), help="With MODEL: another model to serve."
)
@click.option(
    "--mmproj",
    "projectors",
    metavar="FILE",
    multiple=True,
    type=click.Path(),
    help="With MODEL: the projector of the model before it.",
)
@click.option("--args", "args_file", metavar="FILE", type=click.Path(), help="With MODEL: store FILE as .args.")
@click.option("--add", "extra", metavar="FILE", multiple=True, type=click.Path(), help="With MODEL: store FILE too.")
@click.option("--source", metavar="REPO@REVISION", help="With MODEL: where it came from, for the manifest.")
@click.option("--runtime", metavar="FILE", type=click.Path(), help="With MODEL: use the llamafile FILE as the runtime.")
@click.option("--no-companion", is_flag=True, help="With MODEL: create no .exe, even if OUT is too large for Windows.")
@click.option("--reserve", metavar="SIZE", type=console.Size(), help="With MODEL: leave SIZE bytes free, for upgrades.")
@click.option("--strict", is_flag=True, help="With MODEL: treat warnings as errors.")
@click.option("--no-windows", is_flag=True, help="Begin with jartsr, not MZ: runs in every shell, never on Windows.")
@click.option("--no-portable", is_flag=True, help="Leave out the portable runtime, which `python3 OUT` runs.")
@click.option("--no-gpu", is_flag=True, help="Leave out the part for GPUs: only the CPU computes.")
@click.option("--loader", metavar="PLATFORM", help="Write only the loader for PLATFORM (or host) to OUT.")
@click.option("--print-binfmt", is_flag=True, help="Print a binfmt.d file for APE programs.")
@click.option("-n", "--dry-run", is_flag=True, help="Check everything and print the plan, but write nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("-v", "--verbose", is_flag=True, help="Print a map of OUT on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@console.version_option
@click.argument(
    "inputs",
    metavar="MODEL.gguf [-- ARG...] | BUILD...",
    nargs=-1,
    cls=Inputs,
    type=click.Path(),
    shell_complete=complete_first_word,
)
@click.pass_context
def command(context: click.Context, /, inputs: tuple[str, ...], **options: Any) -> None:
    """Make one file of a model and the programs that run it.

    With MODEL.gguf: append the weights to a runtime. Each ARG becomes a default argument of the result. The runtime is
    --runtime, or the llamafile installed with this command, or linked from the programs of the Python package
    llamafile-runtime or of llamafile-build. For a split model, name the first file. Of several models, the result
    serves each by its name. A model on the Hugging Face Hub is
    hf://ORGANISATION/NAME[@REVISION]/FILE.gguf.

    With BUILD: link native programs, at most one for each platform, into one file that runs on all of them. The
    platform is read from the program itself.
    """
    arguments = context.meta.get(ARGUMENTS)
    if options["print_binfmt"] or options["loader"]:
        _refuse_other_options(inputs, arguments, options)
    if options["print_binfmt"]:
        _print_binfmt(as_json=options["as_json"])
    elif options["loader"]:
        _write_loader(options["loader"], options["output"], as_json=options["as_json"])
    elif not inputs:
        raise click.UsageError("Missing argument 'MODEL.gguf' or 'BUILD...'.")
    elif _is_model(inputs[0]):
        _pack(inputs, arguments, options)
    else:
        given = [*_given(_PACK_OPTIONS, options), *(["--"] if arguments is not None else [])]
        if given:
            raise click.UsageError(f"{given[0]} requires a MODEL.gguf, and {inputs[0]} is not one.")
        _link(inputs, options)


# Options for linking, with a model or without.
_FILE_OPTIONS = {"--no-windows": "no_windows", "--no-portable": "no_portable", "--no-gpu": "no_gpu"}
_PACK_OPTIONS = {
    "--model": "models",
    "--mmproj": "projectors",
    "--args": "args_file",
    "--add": "extra",
    "--source": "source",
    "--runtime": "runtime",
    "--no-companion": "no_companion",
    "--reserve": "reserve",
    "--strict": "strict",
}


def _refuse_other_options(inputs: tuple[str, ...], arguments: list[str] | None, options: dict[str, Any]) -> None:
    """Refuse options and arguments that have no effect with --loader or --print-binfmt."""
    alone = "--print-binfmt" if options["print_binfmt"] else "--loader"
    useless = {**_PACK_OPTIONS, **_FILE_OPTIONS, "--dry-run": "dry_run"}
    if alone == "--print-binfmt":
        useless |= {"--loader": "loader", "--output": "output"}
    given = [*_given(useless, options), *inputs, *(["--"] if arguments is not None else [])]
    if given:
        raise click.UsageError(f"{alone} cannot be combined with {given[0]}.")


def _given(names: dict[str, str], options: dict[str, Any]) -> list[str]:
    """Return those of NAMES that the command line has; 0 is a value."""
    return [name for name, key in names.items() if options[key] or (options[key] == 0 and options[key] is not False)]


def _is_model(name: str) -> bool:
    """Return whether the file NAME is a model, by its extension or its content."""
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.hub.reference import is_reference  # noqa: PLC0415  # the same
    from apepack.packing.model import is_gguf_file  # noqa: PLC0415  # the same
    from runtime.gguf.file_names import is_gguf_name  # noqa: PLC0415  # the same

    return is_gguf_name(name) or is_reference(name) or is_gguf_file(Path(name))


def _pack(inputs: tuple[str, ...], arguments: list[str] | None, options: dict[str, Any]) -> None:
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.packing.model import model_stem  # noqa: PLC0415  # the same
    from apepack.packing.pack import PackPolicy, pack  # noqa: PLC0415  # the same
    from apepack.packing.payload import payload_size  # noqa: PLC0415  # the same
    from apepack.packing.report import pack_json, pack_map  # noqa: PLC0415  # the same
    from runtime.installed import installed_llamafile  # noqa: PLC0415  # the same

    payload_inputs = _pack_inputs(inputs, arguments, options)
    output = Path(options["output"] or f"{model_stem(payload_inputs.model)}.llamafile")
    runtime = Path(options["runtime"]) if options["runtime"] else installed_llamafile()
    if options["no_windows"] and runtime:
        raise click.UsageError(f"--no-windows applies to linking only: {runtime} begins as it does.")
    silent = options["quiet"] or options["dry_run"] or options["as_json"]
    work = 2 * payload_size(payload_inputs)  # each byte is copied, and read back for its digest
    with console.progress(work, f"packing {output}", quiet=silent) as progress:
        packed = pack(
            payload_inputs,
            output,
            runtime=runtime,
            magic=_magic(options),
            portable=not options["no_portable"],
            gpu=not options["no_gpu"],
            policy=PackPolicy(
                strict=options["strict"], companion=not options["no_companion"], reserve=options["reserve"]
            ),
            dry_run=options["dry_run"],
            progress=progress,
            on_finding=None if options["as_json"] else _print_finding,
        )
    if options["as_json"]:
        _print_json("pack", pack_json(packed, output, runtime), options)
    else:
        _print_map(pack_map(packed, output, runtime), options)


def _pack_inputs(inputs: tuple[str, ...], arguments: list[str] | None, options: dict[str, Any]) -> PackInputs:
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.packing.model import shard_paths  # noqa: PLC0415  # the same
    from apepack.packing.payload import PackInputs  # noqa: PLC0415  # the same

    if options["args_file"] and arguments is not None:
        raise click.UsageError("Give default arguments with --args or after --, not both.")
    first, *more = _model_inputs(inputs[0], options)
    shards = shard_paths(first.model) or ()  # naming them all is allowed, because all are packed
    others = [name for name in inputs[1:] if Path(name) not in shards]
    if others:
        raise click.UsageError(
            f"One MODEL comes without an option: add {others[0]} with --model, with --mmproj if it is a projector, "
            "otherwise with --add."
        )
    if options["source"] and more:
        raise click.UsageError("--source is for one model; of several, those from the Hub get theirs by themselves.")
    return PackInputs(
        first.model,
        arguments or (),
        Path(options["args_file"]) if options["args_file"] else None,
        [Path(name) for name in options["extra"]],
        first.projector,
        _source(options["source"]) if options["source"] else first.source,
        first.projector_source,
        more,
    )


def _model_inputs(first: str, options: dict[str, Any]) -> list[ModelInput]:
    """Return the models FIRST and those of --model, each with the --mmproj behind it on the command line."""
    from apepack.packing.payload import ModelInput  # noqa: PLC0415  # not needed for --help

    projectors: dict[int, str] = {}
    names = iter(options["projectors"])
    at = 0
    for option in click.get_current_context().meta.get(ORDER, ()):
        if option == "models":
            at += 1
        elif at in projectors:
            raise click.UsageError(f"--mmproj is given twice for one model: {projectors[at]} and {next(names)}.")
        else:
            projectors[at] = next(names)
    models = []
    for number, name in enumerate((first, *options["models"])):
        model, source = _fetched(name, options)
        projector = projectors.get(number)
        path, projector_source = _fetched(projector, options) if projector else (None, None)
        models.append(ModelInput(model, path, source, projector_source))
    return models


def _fetched(name: str, options: dict[str, Any]) -> tuple[Path, Source | None]:
    """Return the path of the model NAME, after fetching it if it is on the Hub, and where it is from then."""
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.hub.reference import is_reference, parse_reference  # noqa: PLC0415  # the same

    if not is_reference(name):
        return Path(name), None
    from apepack.hub.download import fetch_model  # noqa: PLC0415  # the same

    quiet = options["quiet"] or options["as_json"]
    fetched = fetch_model(
        parse_reference(name),
        bar=lambda size, label: console.progress(size, label, quiet=quiet),
        on_note=None if options["as_json"] else _print_note,
    )
    return fetched.path, fetched.source


def _print_note(sentence: str) -> None:
    click.echo(f"apepack: note: {sentence}", err=True)


def _source(text: str) -> Source:
    from apepack.provenance.manifest import Source  # noqa: PLC0415  # not needed for --help

    repo, _, revision = text.rpartition("@")
    if not repo or not revision or any(character.isspace() for character in text):
        raise click.UsageError(f"--source is {text!r} (expected REPO@REVISION, such as org/name@0123abc).")
    return Source(repo, revision)


def _print_finding(finding: Finding) -> None:
    click.echo(f"apepack: {finding.severity}: {finding}", err=True)


def _magic(options: dict[str, Any]) -> Magic:
    from apepack.format.prologue import Magic  # noqa: PLC0415  # not needed for --help

    return Magic.NO_WINDOWS if options["no_windows"] else Magic.MZ


def _print_binfmt(*, as_json: bool) -> None:
    from apepack.format.binfmt import BINFMT_CONFIGURATION  # noqa: PLC0415  # not needed for --help

    if as_json:
        console.print_json("apepack", {"operation": "print-binfmt", "configuration": BINFMT_CONFIGURATION})
    else:
        click.echo(BINFMT_CONFIGURATION, nl=False)


def _write_loader(name: str, output: str | None, *, as_json: bool) -> None:
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from runtime.builder.loaders import loader_bytes  # noqa: PLC0415  # the same
    from runtime.platforms import platform_named  # noqa: PLC0415  # the same
    from zipalign.replacement import replacing  # noqa: PLC0415  # the same

    path = Path(output or "ape")
    platform = platform_named(name)
    data = loader_bytes(platform)
    with replacing(path, 0o755) as file:
        file.write(data)
    if as_json:
        facts = {"operation": "loader", "output": str(path), "size": len(data), "platform": platform.name}
        console.print_json("apepack", facts)


def _link(builds: tuple[str, ...], options: dict[str, Any]) -> None:
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.packing.report import link_json, link_map  # noqa: PLC0415  # the same
    from apepack.packing.runtime_part import link_runtime, plan_runtime  # noqa: PLC0415  # the same

    paths = [Path(build) for build in builds]
    output = Path(options["output"] or f"{paths[0].stem}.ape")
    parts = {"portable": not options["no_portable"], "gpu": not options["no_gpu"]}
    if options["dry_run"]:
        runtime = plan_runtime(paths, magic=_magic(options), **parts)
    else:
        runtime = link_runtime(paths, output, magic=_magic(options), **parts)
    if options["as_json"]:
        _print_json("link", link_json(output, runtime), options)
    else:
        _print_map(link_map(output, runtime), options)


def _print_json(operation: str, facts: dict[str, Any], options: dict[str, Any]) -> None:
    console.print_json("apepack", {"operation": operation, "dry_run": options["dry_run"], **facts})


def _print_map(lines: Iterator[str], options: dict[str, Any]) -> None:
    if options["dry_run"] or options["verbose"]:
        for line in lines:
            click.echo(line, err=not options["dry_run"])
