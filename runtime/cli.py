"""The `llamafile-build` command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click

from runtime.builder.build import build, builds_in_cache, is_gpu_part_in_cache
from runtime.builder.compilation import jobs
from runtime.errors import RuntimePackageError, UnknownPlatformError
from runtime.platforms import PLATFORMS, Platform, platform_named
from zipalign import console

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.builder.build import Build

__all__ = ["command", "main"]

# Of one processor, for engine, shim and page of linux-amd64 (docs/decisions/building.md, "Cost").
_CPU_MINUTES = 26


class PlatformName(click.ParamType[tuple[Platform, ...]]):
    """A name of the platform table, `host`, or `all`."""

    name = "platform"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Platform, ...]:
        """Return the platforms named VALUE."""
        try:
            return PLATFORMS if value == "all" else (platform_named(value),)
        except UnknownPlatformError as error:
            self.fail(str(error), param, ctx)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@console.version_option
@click.option("--list", "listing", is_flag=True, help="Print the platform table with the state of builds, then exit.")
@click.option("--demo-model", is_flag=True, help="Download SmolLM2-135M-Instruct (98 MB), print its path, then exit.")
@click.option("--no-pages", is_flag=True, help="Build without the server's web page, and without Node.")
@click.option("--no-gpu", is_flag=True, help="Build without the part for GPUs, and without the shader compiler.")
@click.option("--cached-gpu", is_flag=True, help="Include the part for GPUs only if it is in the cache.")
@click.option("--wheel", metavar="DIR", type=click.Path(), help="Write the wheel llamafile-runtime with them into DIR.")
@click.option("--reproduce", metavar="FILE", type=click.Path(), help="Build the programs of FILE again, and compare.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of paths.")
@click.argument("platforms", nargs=-1, type=PlatformName(), metavar="[PLATFORM]...")
def command(  # noqa: PLR0913  # one keyword for each option
    *,
    platforms: tuple[tuple[Platform, ...], ...],
    listing: bool,
    demo_model: bool,
    no_pages: bool,
    no_gpu: bool,
    cached_gpu: bool,
    wheel: str | None,
    reproduce: str | None,
    quiet: bool,
    as_json: bool,
) -> int | None:
    """Compile the runtime for each PLATFORM and print its path, or that of the wheel that contains all of them.

    PLATFORM is a name in the table of --list, `host` (the default), or `all`. All checkouts on a machine share a cache
    of builds: ${XDG_CACHE_HOME:-~/.cache}/llamafile-toolchain.
    """
    if reproduce:
        if platforms or listing or demo_model or no_pages or cached_gpu or wheel:
            raise click.UsageError("--reproduce builds the programs of FILE: only --no-gpu, -q and --json go with it.")
        return _reproduce(reproduce, {"--no-gpu": no_gpu, "--quiet": quiet, "--json": as_json})
    if listing:
        _print_table()
        return None
    if demo_model:
        _print_demo_model()
        return None
    selected = [platform for group in platforms or ((platform_named("host"),),) for platform in group]
    quiet = quiet or as_json
    builds = []
    for platform in selected:
        with_gpu = not no_gpu and (not cached_gpu or is_gpu_part_in_cache(platform))
        builds.append(_build(platform, with_pages=not no_pages, with_gpu=with_gpu, quiet=quiet))
    written = _write_wheel(builds, wheel) if wheel else None
    if as_json:
        facts = [{"platform": item.platform.name, "path": str(item.path), "key": item.key} for item in builds]
        console.print_json("llamafile-build", {"builds": facts, "wheel": str(written) if written else None})
        return None
    for path in [written] if written else [item.path for item in builds]:
        click.echo(path)
    return None


def _reproduce(file: str, options: dict[str, bool]) -> int:
    """Run `apepack reproduce` and return its exit status: this package does not know the format of FILE."""
    import subprocess  # noqa: PLC0415  # needed only here

    given = [name for name, is_given in options.items() if is_given]
    return subprocess.run([sys.executable, "-m", "apepack", "reproduce", *given, "--", file], check=False).returncode


def _build(platform: Platform, *, with_pages: bool, with_gpu: bool, quiet: bool) -> Build:
    minutes = f"about {max(1, round(_CPU_MINUTES / jobs()))} min if the cache has no part of it"
    with (
        console.steps(f"compiling {platform.name}", quiet=quiet, hint=minutes) as progress,
        console.steps("building the web page", quiet=quiet) as pages_progress,
        console.steps("building the part for GPUs", quiet=quiet) as gpu_progress,
    ):
        return build(platform, progress, pages_progress, gpu_progress, with_pages=with_pages, with_gpu=with_gpu)


def _write_wheel(builds: list[Build], folder: str) -> Path:
    from pathlib import Path  # noqa: PLC0415  # not needed for --help

    from runtime.builder.wheel import write_wheel  # noqa: PLC0415  # the same

    return write_wheel(builds, Path(folder))


def _print_demo_model() -> None:
    from runtime.builder.artifacts import demo_model  # noqa: PLC0415  # hashing and archives, needed only here

    click.echo(demo_model())


def _print_table() -> None:
    built = {item.platform for item in builds_in_cache()}
    for platform in PLATFORMS:
        state = "built" if platform in built else "not built"
        columns = f"{platform.name:16}{platform.image_format:8}{platform.launch:10}{platform.evidence:22}"
        click.echo(columns + state)


def main() -> NoReturn:
    """Run the command as this process."""
    console.main(command, (RuntimePackageError,))


if __name__ == "__main__":
    sys.argv[0] = "llamafile-build"
    main()
