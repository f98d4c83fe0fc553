"""apepack reproduce: builds the programs of a llamafile again, and compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zipalign import console

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.platforms import Platform

__all__ = ["command"]


@click.command("reproduce", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--no-gpu", is_flag=True, help="Build programs without the part for GPUs, as FILE's were.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("file", metavar="FILE", type=click.Path())
def command(file: str, *, no_gpu: bool, quiet: bool, as_json: bool) -> int:
    """Build the programs of the llamafile FILE again, and compare them.

    The sources have to be those that the manifest names. A line for each platform says whether its program is the same.
    The exit status is 0 only if all are.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.provenance.reproduction import Verdict, reproduce  # noqa: PLC0415  # the same
    from runtime.builder.build import build  # noqa: PLC0415  # the same

    def build_program(platform: Platform) -> Path:
        label = f"compiling {platform.name}"
        with console.steps(label, quiet=quiet or as_json) as progress:
            return build(platform, progress, with_pages=False, with_gpu=not no_gpu).path

    results = []
    for result in reproduce(Path(file), build_program):
        results.append(result)
        if not as_json:
            click.echo(result)
    if as_json:
        facts = [{"platform": item.platform, "verdict": item.verdict, "reason": item.reason} for item in results]
        console.print_json("apepack", {"operation": "reproduce", "path": file, "programs": facts})
    return 0 if all(result.verdict is Verdict.SAME for result in results) else 1
