"""apepack upgrade: another runtime before the same weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from zipalign import console

if TYPE_CHECKING:
    from pathlib import Path

    from apepack.upgrade.new_runtime import Runtimes
    from apepack.upgrade.upgrade import UpgradeOptions, UpgradeResult

__all__ = ["command"]


@click.command("upgrade", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runtime", metavar="FILE", type=click.Path(), help="Use the runtime of the llamafile FILE.")
@click.option("-o", "--output", metavar="OUT", type=console.OutputPath(), help="Write OUT, do not change FILE.")
@click.option("--restore", is_flag=True, help="Give FILE its old runtime again.")
@click.option("--reserve", metavar="SIZE", type=console.Size(), help="If a new file is written: leave SIZE bytes free.")
@click.option("--no-backup", is_flag=True, help="Keep no undo record.")
@click.option("--no-companion", is_flag=True, help="Neither renew nor create an .exe for Windows.")
@click.option("--no-portable", is_flag=True, help="Leave out the portable runtime, which `python3 FILE` runs.")
@click.option("--no-gpu", is_flag=True, help="Leave out the part for GPUs: only the CPU computes.")
@click.option("--drop-signature", is_flag=True, help="Change FILE even if it is signed, and remove its signature.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("-n", "--dry-run", is_flag=True, help="Check everything and print the plan, but change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show neither the plan nor the progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
def command(files: tuple[str, ...], **options: Any) -> int:
    """Exchange the runtime of each llamafile FILE: a new engine, the same weights.

    The weights stay where they are if the new runtime fits before them, and the time does not depend on their size.
    Otherwise a new file is written, which shares them with the old one where the file system can. --restore leads back.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.commands.each_file import each_file  # noqa: PLC0415  # the same

    if options["output"] and len(files) > 1:
        raise click.UsageError("-o takes one FILE.")
    paths = [Path(file) for file in files]
    if options["restore"]:
        _refuse_others(options)
        results = each_file(paths, partial(_restore, options=options), as_json=options["as_json"])
        operation = "restore"
    else:
        from apepack.upgrade.new_runtime import providing  # noqa: PLC0415  # not needed for --help
        from runtime.installed import installed_llamafile  # noqa: PLC0415  # the same

        runtime = Path(options["runtime"]) if options["runtime"] else installed_llamafile()
        with providing(runtime, portable=not options["no_portable"], gpu=not options["no_gpu"]) as runtimes:
            results = each_file(
                paths, partial(_upgrade, runtimes=runtimes, options=options), as_json=options["as_json"]
            )
        operation = "upgrade"
    if options["as_json"]:
        console.print_json("apepack", {"operation": operation, "dry_run": options["dry_run"], "files": results})
    return 1 if any("error" in result for result in results) else 0


def _refuse_others(options: dict[str, Any]) -> None:
    """Refuse options that have no effect with --restore."""
    useless = ("runtime", "output", "no_backup", "no_companion", "no_portable", "no_gpu", "drop_signature", "strict")
    given = [name for name in useless if options[name]] + (["reserve"] if options["reserve"] is not None else [])
    if given:
        raise click.UsageError(f"--restore cannot be combined with --{given[0].replace('_', '-')}.")


def _upgrade(path: Path, *, runtimes: Runtimes, options: dict[str, Any]) -> dict[str, Any]:
    from apepack.commands.each_file import print_findings  # noqa: PLC0415  # not needed for --help
    from apepack.upgrade.report import upgrade_json, upgrade_lines  # noqa: PLC0415  # the same
    from apepack.upgrade.upgrade import upgrade  # noqa: PLC0415  # the same

    def announce(result: UpgradeResult) -> None:
        if options["as_json"]:
            return
        print_findings(result.findings)
        if options["quiet"] and not options["dry_run"]:
            return
        for line in upgrade_lines(result, is_full=options["dry_run"]):
            click.echo(line, err=not options["dry_run"])

    silent = options["quiet"] or options["dry_run"] or options["as_json"]
    with console.progress(path.stat().st_size, f"upgrading {path}", quiet=silent) as progress:
        result = upgrade(path, runtimes, _upgrade_options(options), progress=progress, on_plan=announce)
    return upgrade_json(result)


def _upgrade_options(options: dict[str, Any]) -> UpgradeOptions:
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.upgrade.upgrade import UpgradeOptions  # noqa: PLC0415  # the same

    return UpgradeOptions(
        output=Path(options["output"]) if options["output"] else None,
        reserve=options["reserve"],
        backup=not options["no_backup"],
        companion=not options["no_companion"],
        drop_signature=options["drop_signature"],
        strict=options["strict"],
        dry_run=options["dry_run"],
    )


def _restore(path: Path, *, options: dict[str, Any]) -> dict[str, Any]:
    from apepack.upgrade.restoration import restore  # noqa: PLC0415  # not needed for --help

    silent = options["quiet"] or options["dry_run"] or options["as_json"]
    with console.progress(path.stat().st_size, f"restoring {path}", quiet=silent) as progress:
        changed = restore(path, dry_run=options["dry_run"], progress=progress)
    return {"path": str(path), "changed": changed}
