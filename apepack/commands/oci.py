"""apepack oci: a container image from a llamafile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from zipalign import console

if TYPE_CHECKING:
    from apepack.oci.image import Image

__all__ = ["command"]

_PLATFORMS: Final = ("linux/amd64", "linux/arm64")


@click.command("oci", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-o", "--output", metavar="OUT", required=True, type=console.OutputPath(), help="The folder to create, or a .tar."
)
@click.option("-t", "--tag", metavar="NAME[:TAG]", help="The name of the image, instead of that of FILE.")
@click.option(
    "--platform", "platforms", multiple=True, type=click.Choice(_PLATFORMS), help="Only for this one. Repeatable."
)
@click.option(
    "--modelpack", metavar="OUT", type=console.OutputPath(), help="Also make a ModelPack artifact of the weights alone."
)
@click.option("--no-gpu", is_flag=True, help="Leave out the part for GPUs: only the CPU computes.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("-n", "--dry-run", is_flag=True, help="Check everything and print the plan, but write nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show neither the result nor the progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.argument("file", metavar="FILE", type=click.Path())
def command(file: str, output: str, **options: Any) -> None:
    """Make a container image of the llamafile FILE, in the OCI image layout.

    It is for amd64 and arm64, and contains nothing but the program and the model: the weights are the lowest layers,
    one for each file, and stay the same when the engine is exchanged, so that registries and machines keep them.
    skopeo, oras, podman and docker take it from there.
    """
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from apepack.commands.each_file import print_findings  # noqa: PLC0415  # the same
    from apepack.oci.image import make_image  # noqa: PLC0415  # the same
    from apepack.oci.plan import ImageOptions  # noqa: PLC0415  # the same
    from apepack.oci.report import image_json, image_lines  # noqa: PLC0415  # the same

    path = Path(file)
    modelpack = Path(options["modelpack"]) if options["modelpack"] else None
    dry_run, as_json = options["dry_run"], options["as_json"]

    def announce(image: Image) -> None:
        if not as_json:
            print_findings(image.findings)

    choices = ImageOptions(
        tag=options["tag"],
        platforms=options["platforms"],
        gpu=not options["no_gpu"],
        strict=options["strict"],
        dry_run=dry_run,
    )
    silent = options["quiet"] or dry_run or as_json
    with console.progress(path.stat().st_size, f"writing {output}", quiet=silent) as progress:
        image = make_image(path, Path(output), choices, modelpack=modelpack, progress=progress, on_plan=announce)
    if as_json:
        console.print_json("apepack", {"operation": "oci", "dry_run": dry_run, "path": file, **image_json(image)})
    elif dry_run or not options["quiet"]:
        for line in image_lines(image):
            click.echo(line)
