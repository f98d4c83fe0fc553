"""apepack publish: sends llamafiles to the Hugging Face Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zipalign import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from apepack.hub.publish import Publication, PublishPolicy

__all__ = ["command"]


@click.command("publish", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--revision", metavar="BRANCH", help="Commit to BRANCH, which is created if there is none.")
@click.option("--create-pr", is_flag=True, help="Make a pull request, not a commit in the branch.")
@click.option("--private/--no-private", default=None, help="If the repository is created: who may read it.")
@click.option("--commit-message", metavar="TEXT", help="The first line of the commit, instead of model and runtime.")
@click.option("--commit-description", metavar="TEXT", help="Its other lines, instead of digests and origin.")
@click.option("--token", metavar="TOKEN", help="A token with write access, instead of HF_TOKEN or the saved one.")
@click.option("--gguf/--no-gguf", default=True, help="Publish the weights as .gguf too (default), or not.")
@click.option("--card", metavar="FILE", type=click.Path(), help="Renew and publish FILE as README.md.")
@click.option("-n", "--dry-run", is_flag=True, help="Check everything and print what would be sent, but send nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("files", metavar="FILE... ORGANISATION/NAME", nargs=-1, required=True, type=click.Path())
def command(files: tuple[str, ...], **options: Any) -> None:
    """Publish llamafiles on the Hugging Face Hub, in one commit.

    Published are each FILE, the .exe and the signature beside it, its weights as .gguf, and README.md with a section
    for each FILE. The repository is created if there is none. Files that it has already are not sent again, and with
    xet neither are parts of files: of a new runtime with the same weights, only the runtime is sent.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.hub.publish import publish  # noqa: PLC0415  # the same

    *paths, repository = files
    if not paths:
        raise click.UsageError("Missing argument 'ORGANISATION/NAME' or 'FILE'.")
    if Path(repository).is_file():
        raise click.UsageError(f"The last argument names the repository, and {repository} is a file.")
    publication = publish(
        [Path(path) for path in paths],
        repository,
        _policy(options),
        token=options["token"],
        dry_run=options["dry_run"],
        bar=_bars(quiet=options["quiet"] or options["as_json"]),
        on_note=None if options["as_json"] else _print_note,
    )
    if options["as_json"]:
        from apepack.hub.report import publication_json  # noqa: PLC0415  # not needed for --help

        facts = {"operation": "publish", "dry_run": options["dry_run"], **publication_json(publication)}
        console.print_json("apepack", facts)
    else:
        for line in _lines(publication, dry_run=options["dry_run"]):
            click.echo(line)


def _policy(options: dict[str, Any]) -> PublishPolicy:
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.hub.publish import PublishPolicy  # noqa: PLC0415  # the same

    return PublishPolicy(
        options["revision"],
        options["create_pr"],
        options["private"],
        options["commit_message"],
        options["commit_description"],
        options["gguf"],
        Path(options["card"]) if options["card"] else None,
    )


def _bars(*, quiet: bool) -> Callable[[int, str], AbstractContextManager[Callable[[int], None]]]:
    return lambda size, label: console.progress(size, label, quiet=quiet)


def _print_note(sentence: str) -> None:
    click.echo(f"apepack: note: {sentence}", err=True)


def _lines(publication: Publication, *, dry_run: bool) -> Iterator[str]:
    from apepack.hub.report import publication_lines  # noqa: PLC0415  # not needed for --help

    if dry_run:
        yield from publication_lines(publication)
    elif publication.url:
        yield publication.url
