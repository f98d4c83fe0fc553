"""The zipalign command: parse, call one function of the library, print.

The functions import the library modules they need, so that --help and completion load none.
"""

# ruff: noqa: PLC0415 -- see above

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from zipalign import console

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zipalign.archive import Entry, FaultyEntry
    from zipalign.member import Input

__all__ = ["command", "main"]

_METHODS = {0: "stored", 8: "deflate", 9: "deflate64"}
_OTHER_METHODS = {12: "bzip2", 14: "lzma", 20: "zstd", 93: "zstd", 95: "xz", 98: "ppmd", 99: "aes"}  # only listed
_ANDROID_OPTIONS = ("-c", "-f", "-p", "-P", "-z")
_ANDROID_HINT = (
    "this is not the zipalign of Android's SDK: it adds files to an archive, as in `zipalign ZIP FILE...`, and checks"
    " one with `zipalign --check ZIP`"
)


class Options(NamedTuple):
    """The options that apply to an operation, without those that select it."""

    level: int
    alignment: int | None
    junk_paths: bool
    recursive: bool
    keep_times: bool
    no_fsync: bool
    verbose: bool
    quiet: bool
    dry_run: bool
    as_json: bool


def main() -> NoReturn:
    """Run the command and exit."""
    from zipalign.errors import ZipalignError

    # llamafile's zipalign accepts this spelling, too; click would read four short options.
    sys.argv[1:] = ["--help" if argument == "-help" else argument for argument in sys.argv[1:]]
    console.main(command, (ZipalignError,))


def _levels(function: Callable[..., Any]) -> Callable[..., Any]:
    for level in range(9, -1, -1):
        text = "Store, so that members can be mapped (default)." if level == 0 else f"Deflate at level {level}."
        function = click.option(f"-{level}", "level", flag_value=level, type=int, default=0, help=text)(function)
    return function


class _Command(click.Command):
    """The command; the options of Android's zipalign get a hint."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as e:
            if e.option_name in _ANDROID_OPTIONS:
                raise click.UsageError(_ANDROID_HINT, ctx) from e
            raise


@click.command("zipalign", cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@_levels
@click.option("-a", "alignment", type=int, metavar="INT", help="Align all data to INT bytes (65536, small data: 64).")
@click.option("-j", "junk_paths", is_flag=True, help="Name members by the last part of their paths.")
@click.option("-r", "recursive", is_flag=True, help="Add the files in folders, too.")
@click.option("-N", "keep_times", is_flag=True, help="Keep the times of files instead of a constant.")
@click.option("--import", "imported", metavar="ZIP", type=click.Path(), help="Add the members of another archive.")
@click.option("--remove", "removed", metavar="NAME", multiple=True, help="Remove a member; may be repeated.")
@click.option("--list", "listing", is_flag=True, help="List the members.")
@click.option("--check", is_flag=True, help="Check structure, alignment and data; exit 1 on a fault.")
@click.option("--recover", is_flag=True, help="Cut off the bytes behind the archive.")
@click.option("--no-fsync", is_flag=True, help="Do not wait for the disk.")
@click.option("-n", "--dry-run", is_flag=True, help="Make all checks, change nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Print each member on stderr.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@console.version_option
@click.argument("archive", metavar="ZIP", type=console.OutputPath())
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path())
def command(archive: str, files: tuple[str, ...], **given: Any) -> int:
    """Add FILEs to ZIP, stored and aligned so that they can be mapped in place.

    ZIP may be any file, such as a llamafile. Its bytes are never overwritten, and it survives a kill or a power loss at
    any moment.
    """
    chosen = {name: given.pop(name) for name in ("removed", "listing", "check", "recover")}
    imported = given.pop("imported")
    operations = [name for name, value in chosen.items() if value]
    if len(operations) > 1 or (operations and (files or imported)):
        raise click.UsageError("--check, --list, --remove and --recover stand alone, without FILEs or --import")
    if files and archive.isascii() and archive.isdecimal() and not os.path.exists(archive):  # noqa: PTH110 -- see console
        raise click.UsageError(_ANDROID_HINT)
    options = Options(**given)
    if not (operations or files or imported) and _nothing_to_do(archive, options):
        return 0
    from pathlib import Path

    path = Path(archive)
    if chosen["removed"]:
        return _remove(path, chosen["removed"], options)
    if chosen["listing"]:
        return _list(path, options)
    if chosen["check"]:
        return _check(path, options)
    if chosen["recover"]:
        return _recover(path, options)
    return _add(path, files, Path(imported) if imported else None, options)


def _nothing_to_do(archive: str, options: Options) -> bool:
    """Return whether a run without FILEs would change nothing; this check imports little of the library."""
    from zipalign.eocd import has_zip64_eocd

    return options.alignment is None and not options.as_json and has_zip64_eocd(archive)


def _add(archive: Path, files: tuple[str, ...], imported: Path | None, options: Options) -> int:
    from zipalign.update import add_inputs, preview

    items = _inputs(archive, files, imported, options)
    replaced: list[str] = []
    if options.dry_run or options.as_json:
        replaced = sorted(preview(archive, items, level=options.level, alignment=options.alignment))
    if options.dry_run:
        return _report_plan(archive, items, replaced, options)
    total = sum(item.content.size for item in items)
    with console.progress(total, archive.name, quiet=options.quiet or options.as_json) as progress:
        add_inputs(
            archive,
            items,
            level=options.level,
            alignment=options.alignment,
            durable=not options.no_fsync,
            progress=progress,
        )
    if options.as_json:
        from zipalign.reader import survey_archive

        names = {item.name.decode() for item in items}
        members = [_member_fields(entry) for entry in survey_archive(archive).entries if entry.name in names]
        _print_json("add", archive, options, replaced=replaced, members=members)
    return 0


def _inputs(archive: Path, files: tuple[str, ...], imported: Path | None, options: Options) -> list[Input]:
    from pathlib import Path

    from zipalign.folder import files_below
    from zipalign.member import Member
    from zipalign.names import name_for
    from zipalign.update import check_inputs

    members = []
    if options.recursive:
        status = archive.stat() if archive.exists() else None
        files = tuple(path for file in files for path in files_below(file, status))
    for file in files:
        member = Member(name_for(file, junk_directories=options.junk_paths), Path(file))
        members.append(member)
        if options.verbose:
            click.echo(f"{file} -> {member.name}", err=True)
    imported_members: list[Input] = []
    if imported is not None:
        from zipalign.import_archive import imported_inputs

        imported_members = imported_inputs(imported, archive, keep_times=options.keep_times)
    return check_inputs(archive, members, imported_members, keep_times=options.keep_times)


def _report_plan(archive: Path, items: list[Input], replaced: list[str], options: Options) -> int:
    if options.as_json:
        members = [{"name": item.name.decode(), "size": item.content.size} for item in items]
        _print_json("add", archive, options, replaced=replaced, members=members)
        return 0
    for item in items:
        name = item.name.decode()
        click.echo(f"would {'replace' if name in replaced else 'add'} {name} ({item.content.size} bytes)")
    return 0


def _remove(archive: Path, names: tuple[str, ...], options: Options) -> int:
    from zipalign.update import remove_entries

    remove_entries(archive, names, durable=not options.no_fsync, dry_run=options.dry_run)
    if options.as_json:
        _print_json("remove", archive, options, removed=list(names))
        return 0
    if options.dry_run or options.verbose:
        for name in names:
            click.echo(f"{'would remove' if options.dry_run else 'removed'} {name}", err=not options.dry_run)
    return 0


def _list(archive: Path, options: Options) -> int:
    from zipalign.reader import survey_archive

    found = survey_archive(archive)
    if options.as_json:
        faulty = [_faulty_fields(member) for member in found.faulty_entries]
        members = [_member_fields(entry) for entry in found.entries]
        _print_json("list", archive, options, members=members, faulty=faulty)
        return 0
    for member in found.members:
        click.echo(_list_line(member))
    return 0


def _list_line(member: Entry | FaultyEntry) -> str:
    from zipalign.archive import FaultyEntry
    from zipalign.dostime import from_dos
    from zipalign.names import printable

    number = member.record.method
    method = (_METHODS | _OTHER_METHODS).get(number, f"method {number}")
    stamp = from_dos(member.record.time, member.record.date)
    name = printable(member.name)
    if isinstance(member, FaultyEntry):
        return f"{member.size:>13} {method:<9} {'-':>13} {stamp}  {name}  (fault: {member.fault.reason})"
    return f"{member.size:>13} {method:<9} {member.data_offset:#013x} {stamp}  {name}"


def _check(archive: Path, options: Options) -> int:
    from zipalign.check import check_archive

    total = archive.stat().st_size
    with console.progress(total, archive.name, quiet=options.quiet or options.as_json) as progress:
        report = check_archive(archive, alignment=options.alignment, progress=progress)
    if options.as_json:
        findings = [finding.as_dict() for finding in report.findings]
        _print_json("check", archive, options, ok=report.ok, findings=findings)
        return 0 if report.ok else 1
    for finding in report.findings:
        if finding.severity == "fault" or options.verbose:
            click.echo(f"{archive}: {finding}")
    return 0 if report.ok else 1


def _recover(archive: Path, options: Options) -> int:
    from zipalign.transaction import recover

    trailing = recover(archive, dry_run=options.dry_run)
    if options.as_json:
        fields = {"old_size": trailing.size, "new_size": trailing.old_size} if trailing else {}
        _print_json("recover", archive, options, found=trailing is not None, **fields)
    elif trailing is not None:
        size = trailing.size - trailing.old_size
        origin = "that an interrupted run left" if trailing.is_marked else "that do not belong to the archive"
        click.echo(f"{archive}: {'would cut' if options.dry_run else 'cut'} off {size} bytes {origin}")
    elif options.verbose:
        click.echo(f"{archive}: nothing to recover", err=True)
    return 0


def _member_fields(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "method": _METHODS[entry.method],
        "size": entry.size,
        "compressed_size": entry.compressed_size,
        "crc32": f"{entry.crc:08x}",
        "header_offset": entry.header_offset,
        "data_offset": entry.data_offset,
    }


def _faulty_fields(member: FaultyEntry) -> dict[str, Any]:
    fault = member.fault
    place = {} if fault.offset is None else {"offset": fault.offset}
    return {"name": member.name, "size": member.size, "kind": fault.field, "message": fault.reason, **place}


def _print_json(operation: str, archive: Path, options: Options, **fields: Any) -> None:
    head = {"operation": operation, "archive": os.fspath(archive), "dry_run": options.dry_run}
    console.print_json("zipalign", {**head, **fields})
