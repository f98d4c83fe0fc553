"""The assimilate command: parse, call one function of the library for each file, print."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from zipalign import console

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assimilate.check import Program, Report
    from assimilate.plan import Options, Outcome
    from runtime.platforms import Platform

    Work = Callable[[Path], dict[str, Any]]

__all__ = ["command", "main"]


def main() -> NoReturn:
    """Run the command and exit."""
    console.main(command, _errors())


def _errors() -> tuple[type[Exception], ...]:
    from apepack.errors import ApepackError  # noqa: PLC0415  # shell completion does not need it
    from assimilate.errors import AssimilateError  # noqa: PLC0415  # the same
    from runtime.errors import RuntimePackageError  # noqa: PLC0415  # the same
    from zipalign.errors import ZipalignError  # noqa: PLC0415  # the same

    return (AssimilateError, ApepackError, RuntimePackageError, ZipalignError)


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's
    if wanted and not context.resilient_parsing:
        context.command.main(["--version"], prog_name=context.info_name)


@click.command("assimilate", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-e", "--elf", "image_format", flag_value="elf", help="Make an ELF program, for Linux or this BSD.")
@click.option("-m", "--macho", "image_format", flag_value="macho", help="Make a Mach-O program, for macOS.")
@click.option("--pe", "image_format", flag_value="pe", help="Check that FILE is a Windows program.")
@click.option("-x", "--x86-64", "machine", flag_value="amd64", help="For x86_64, on any computer.")
@click.option("-a", "--aarch64", "machine", flag_value="arm64", help="For aarch64, on any computer.")
@click.option("-t", "--target", metavar="PLATFORM", help="For PLATFORM, such as macos-arm64, or for host.")
@click.option(
    "-o", "--output", metavar="PATH", type=console.OutputPath(path_type=str), help="Write a copy, do not change FILE."
)
@click.option("-f", "--force", is_flag=True, help="Succeed if FILE is already native; overwrite a foreign backup.")
@click.option("-b", "--keep-osabi", is_flag=True, help="Keep EI_OSABI of the APE.")
@click.option("-c", "--no-backup", is_flag=True, help="Keep no backup of the overwritten bytes.")
@click.option("--restore", "operation", flag_value="restore", help="Convert FILE back to an APE.")
@click.option("--check", "operation", flag_value="check", help="List and check the programs in FILE.")
@click.option("--verify", is_flag=True, help="Compare the result with LIEF before writing it.")
@click.option("-n", "--dry-run", is_flag=True, help="Make all checks, change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-v", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Like --version.")
@console.version_option
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=str))
def command(files: tuple[str, ...], **given: Any) -> int:
    """Convert each FILE, an APE, to a native program, in place. Its archive stays valid; the weights keep their place.

    Without -e, -m, -x, -a or -t the program is one for this computer. --restore converts it back to an APE.
    """
    from pathlib import Path  # noqa: PLC0415  # --help does not need it

    if given["output"] and len(files) > 1:
        raise click.UsageError("-o takes one FILE.")
    if given["target"] and (given["machine"] or given["image_format"]):
        raise click.UsageError("-t cannot be combined with -e, -m, --pe, -x or -a.")
    operation = given["operation"] or "assimilate"
    work = _work(operation, given)
    results = [_attempt(work, Path(file), as_json=given["as_json"]) for file in files]
    if given["as_json"]:
        console.print_json("assimilate", {"operation": operation, "dry_run": given["dry_run"], "files": results})
    return 1 if any("error" in result or result.get("ok") is False for result in results) else 0


def _work(operation: str, given: dict[str, Any]) -> Work:
    """Return the function to call for each file; it returns its result for JSON."""
    if operation == "restore":
        return partial(_restore, given=given)
    target = _target(given)
    if operation == "check":
        return partial(_check, target=target, given=given)
    if target is None:
        from runtime.platforms import host_platform  # noqa: PLC0415  # --help does not need it

        target = host_platform()
    return partial(_assimilate, target=target, given=given)


def _target(given: dict[str, Any]) -> Platform | None:
    """Return the platform named by the command line, or None."""
    from assimilate.target import target_for  # noqa: PLC0415  # --help does not need it
    from runtime.platforms import ImageFormat, platform_named  # noqa: PLC0415  # the same

    if given["target"]:
        return platform_named(given["target"])
    if not given["image_format"] and not given["machine"]:
        return None
    return target_for(ImageFormat(given["image_format"]) if given["image_format"] else None, given["machine"])


def _attempt(work: Work, path: Path, *, as_json: bool) -> dict[str, Any]:
    """Do the work for one file; an error is reported, and the next file follows."""
    try:
        return work(path)
    except OSError as error:
        named = error.filename or path
        fields = console.error_fields(error, f"{named}: {error.strerror or error}") | {"path": str(named)}
    except _errors() as error:
        fields = console.error_fields(error, str(error))
        fields.setdefault("path", str(path))
    if not as_json:
        click.echo(f"assimilate: {fields['message']}", err=True)
    return {"path": str(path), "error": fields}


def _check(path: Path, *, target: Platform | None, given: dict[str, Any]) -> dict[str, Any]:
    from assimilate.check import check  # noqa: PLC0415  # --help does not need it

    report = check(path, target, verified=given["verify"])
    if not given["as_json"]:
        click.echo("\n".join(_lines(report)))
    return {
        "path": str(path),
        "kind": report.kind.value,
        "ok": report.ok,
        "keeps_head": report.keeps_head,
        "programs": [_program_fields(program) for program in report.programs],
        "members": report.members,
        "faults": list(report.faults),
    }


def _program_fields(program: Program) -> dict[str, Any]:
    from dataclasses import asdict  # noqa: PLC0415  # --help does not need it

    return {name: value for name, value in asdict(program).items() if value is not None}


def _lines(report: Report) -> list[str]:
    """Return the output of --check: the file, and indented below its programs and faults."""
    lines = [f"{report.path}: {report.kind.words.partition(' ')[2]}"]
    for program in report.programs:
        unpacked = f", {program.unpacked_size} bytes unpacked" if program.unpacked_size else ""
        signature = f", signature: {program.signature}" if program.signature else ""
        place = f"{program.size} bytes at {program.offset:#x}"
        lines.append(f"  {program.platform}: {program.form.value}, {place}{unpacked}{signature}")
        lines += [f"    fault: {program.fault}"] if program.fault else []
    lines += [f"  archive: {report.members} members"] if report.members is not None else []
    return [*lines, *(f"  fault: {fault}" for fault in report.faults)]


def _assimilate(path: Path, *, target: Platform, given: dict[str, Any]) -> dict[str, Any]:
    from assimilate.conversion import assimilate  # noqa: PLC0415  # --help does not need it

    result = _convert(lambda options: assimilate(path, target, options), path, given)
    return {"platform": target.name, **result}


def _restore(path: Path, *, given: dict[str, Any]) -> dict[str, Any]:
    from assimilate.conversion import restore  # noqa: PLC0415  # --help does not need it

    return _convert(lambda options: restore(path, options), path, given)


def _convert(convert: Callable[[Options], Outcome], path: Path, given: dict[str, Any]) -> dict[str, Any]:
    from pathlib import Path  # noqa: PLC0415  # --help does not need it

    from assimilate.plan import Options  # noqa: PLC0415  # the same

    output = Path(given["output"]) if given["output"] else None
    size = path.stat().st_size if output else 0
    quiet = given["quiet"] or given["as_json"] or output is None
    with console.progress(size, path.name, quiet=quiet) as progress:
        options = Options(
            output=output, force=given["force"], keep_osabi=given["keep_osabi"], backup=not given["no_backup"],
            verified=given["verify"], dry_run=given["dry_run"], progress=progress,
        )  # fmt: skip  # one option each
        outcome = convert(options)
    return {
        "path": str(outcome.path),
        "output": str(outcome.output),
        "changed": outcome.changed,
        "backup": str(outcome.backup) if outcome.backup else None,
    }
