"""The assimilate command: parse, call one function of the library for each file, print."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from zipalign import console

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assimilate.conversion import Outcome
    from runtime.platforms import Platform

    Work = Callable[[Path], dict[str, Any]]

__all__ = ["command", "main"]


def main() -> NoReturn:
    """Run the command and exit."""
    console.main(command, _errors())


def _errors() -> tuple[type[Exception], ...]:
    from assimilate.errors import AssimilateError  # noqa: PLC0415  # shell completion does without
    from runtime.errors import RuntimeBuildError  # noqa: PLC0415  # the same
    from zipalign.errors import ZipalignError  # noqa: PLC0415  # the same

    return (AssimilateError, RuntimeBuildError, ZipalignError)


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's
    if wanted and not context.resilient_parsing:
        context.command.main(["--version"], prog_name=context.info_name)


@click.command("assimilate", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-e", "--elf", is_flag=True, expose_value=False, help="Make an ELF program (default).")
@click.option("--pe", "machine", flag_value="windows-amd64", help="Make sure that FILE is a program of Windows.")
@click.option("-x", "--x86-64", "machine", flag_value="linux-amd64", help="For x86_64, whatever this computer is.")
@click.option("-a", "--aarch64", "machine", flag_value="linux-arm64", help="For aarch64, whatever this computer is.")
@click.option("-t", "--target", metavar="PLATFORM", help="For PLATFORM, such as linux-amd64, or for host.")
@click.option("-o", "--output", metavar="PATH", type=click.Path(path_type=str), help="Write a copy, leave FILE alone.")
@click.option("-f", "--force", is_flag=True, help="Succeed if FILE is already native; overwrite a foreign backup.")
@click.option("-b", "--keep-osabi", is_flag=True, help="Leave EI_OSABI as it stands in the APE.")
@click.option("-c", "--no-backup", is_flag=True, help="Keep nothing of what is overwritten.")
@click.option("--restore", "operation", flag_value="restore", help="Make FILE the APE it was before.")
@click.option("--check", "operation", flag_value="check", help="Say what FILE is and whether it can be converted.")
@click.option("-n", "--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-v", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Like --version.")
@console.version_option
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=str))
def command(files: tuple[str, ...], **options: Any) -> int:
    """Make each FILE, an APE, a native program of Linux, in place; its archive stays what and where it is.

    Without -x, -a or -t it becomes one for this computer. --restore makes it an APE again.
    """
    from pathlib import Path  # noqa: PLC0415  # --help does not need it

    if options["output"] and len(files) > 1:
        raise click.UsageError("-o takes one FILE.")
    if options["machine"] and options["target"]:
        raise click.UsageError("-t cannot be combined with -x, -a or --pe.")
    operation = options["operation"] or "assimilate"
    work = _work(operation, options)
    results = [_attempt(work, Path(file), as_json=options["as_json"]) for file in files]
    if options["as_json"]:
        console.print_json("assimilate", {"operation": operation, "dry_run": options["dry_run"], "files": results})
    return 1 if any("error" in result for result in results) else 0


def _work(operation: str, options: dict[str, Any]) -> Work:
    """Return what is to be done with each file; it describes what it did for JSON."""
    from assimilate.target import target_named  # noqa: PLC0415  # --help does not need it

    if operation == "restore":
        return partial(_restore, options=options)
    target = target_named(options["target"] or options["machine"] or "host")
    return partial(_check if operation == "check" else _assimilate, target=target, options=options)


def _attempt(work: Work, path: Path, *, as_json: bool) -> dict[str, Any]:
    """Do the work for one file; that it fails is no reason to leave the others out."""
    try:
        return work(path)
    except OSError as error:
        message = f"{error.filename or path}: {error.strerror or error}"
    except _errors() as error:
        message = str(error)
    if not as_json:
        click.echo(f"assimilate: {message}", err=True)
    return {"path": str(path), "error": {"message": message}}


def _check(path: Path, *, target: Platform, options: dict[str, Any]) -> dict[str, Any]:
    from assimilate.conversion import inspect  # noqa: PLC0415  # --help does not need it

    subject = inspect(path, target)
    if not options["as_json"]:
        kind = {"ape": "APE", "elf": "ELF program"}[subject.kind]
        click.echo(f"{path}: {kind} for {', '.join(subject.platforms) or 'another machine'}")
    return {"path": str(path), "kind": subject.kind, "platforms": subject.platforms, "keeps_head": subject.keeps_head}


def _assimilate(path: Path, *, target: Platform, options: dict[str, Any]) -> dict[str, Any]:
    from assimilate.conversion import assimilate  # noqa: PLC0415  # --help does not need it

    convert = partial(assimilate, target=target, keep_osabi=options["keep_osabi"], backup=not options["no_backup"])
    return {"platform": target.name, **_convert(convert, path, options)}


def _restore(path: Path, *, options: dict[str, Any]) -> dict[str, Any]:
    from assimilate.conversion import restore  # noqa: PLC0415  # --help does not need it

    return _convert(restore, path, options)


def _convert(convert: Callable[..., Outcome], path: Path, options: dict[str, Any]) -> dict[str, Any]:
    from pathlib import Path  # noqa: PLC0415  # --help does not need it

    output = Path(options["output"]) if options["output"] else None
    size = path.stat().st_size if output else 0
    quiet = options["quiet"] or options["as_json"] or output is None
    with console.progress(size, path.name, quiet=quiet) as progress:
        outcome = convert(path, output=output, force=options["force"], dry_run=options["dry_run"], progress=progress)
    return {
        "path": str(outcome.path),
        "output": str(outcome.output),
        "changed": outcome.changed,
        "backup": str(outcome.backup) if outcome.backup else None,
    }
