"""The console layer of all commands: exit statuses, errors as sentences or JSON, progress.

Exit statuses: 0 success; 1 failure, or a fault found by a check; 2 wrong command line; 130 interrupted;
143 terminated. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

__all__ = ["OutputPath", "Size", "error_fields", "main", "print_json", "progress", "steps", "version_option"]

_DISTRIBUTION = "llamafile-toolchain"
_PROGRESS_DELAY = 1.0  # seconds before a bar is shown
_STEPS_BAR = "{desc}: |{bar}| {n_fmt}/{total_fmt}, about {remaining} left"

_ERROR_FIELDS = ("path", "offset", "entry", "field")  # of an error, for JSON


def main(command: click.Command, errors: tuple[type[Exception], ...]) -> NoReturn:
    """Run a click command as a whole program and exit.

    The command's return value becomes the exit status if it is a number. No error that a user can cause ends in a
    traceback: `errors` and errors of the system become one sentence on stderr, or one JSON object on stdout with
    --json.

    Args:
        command: the command.
        errors: the root errors of the packages it calls.
    """
    program = os.path.basename(sys.argv[0])  # noqa: PTH119 -- importing pathlib takes a quarter of the time of --help
    if program == "__main__.py":
        program = command.name or program
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has SIGHUP ignored
            signal.signal(number, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the locale cannot encode are escaped
    try:
        status = _run(command, program, errors)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has exited: print no message, and flush nothing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _run(command: click.Command, program: str, errors: tuple[type[Exception], ...]) -> int:
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json = "--json" in options
    try:
        result = command.main(arguments, prog_name=program, standalone_mode=False)
    except BrokenPipeError:
        raise
    except (click.ClickException, click.Abort, KeyboardInterrupt, OSError) as e:
        return _fail(program, e, *_explain(e, errors), as_json=as_json)
    except errors as e:
        return _fail(program, e, 1, str(e), as_json=as_json)
    return result if isinstance(result, int) else 0


def _explain(error: BaseException, errors: tuple[type[Exception], ...]) -> tuple[int, str]:
    """Return the exit status and the sentence for an error."""
    if isinstance(error, click.ClickException):
        return error.exit_code, error.format_message()
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return 130, "interrupted"
    if isinstance(error, OSError) and not isinstance(error, errors):
        return 1, _os_message(error)
    return 1, str(error)


def _fail(program: str, error: BaseException, status: int, message: str, *, as_json: bool) -> int:
    if isinstance(error, click.UsageError) and not as_json:
        error.show()
    elif as_json:
        print_json(program, {"error": error_fields(error, message)})
    else:
        print(f"{program}: {message}", file=sys.stderr)  # noqa: T201 -- this is the console
    return status


def error_fields(error: BaseException, message: str) -> dict[str, int | str]:
    """Return the JSON object of an error: its kind, `message`, and the data that it carries."""
    values = {name: getattr(error, name, None) for name in _ERROR_FIELDS}
    if isinstance(error, OSError) and error.filename is not None:
        values["path"] = error.filename
    given = {
        name: value if isinstance(value, int) else str(value) for name, value in values.items() if value is not None
    }
    return {"kind": _kind(error), "message": message, **given}


def _kind(error: BaseException) -> str:
    """Return the error's class as spelled in JSON: `ZipFormatError` is `zip-format`."""
    name = type(error).__name__.removesuffix("Error")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def _os_message(error: OSError) -> str:
    names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    reason = error.strerror or str(error)
    return f"{names}: {reason}" if names else reason


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    """Turn a signal into an exception, so that a transaction is rolled back."""
    sys.exit(128 + number)


def print_json(tool: str, payload: Mapping[str, Any]) -> None:
    """Print a result as one JSON object on stdout; version 1 of each schema may gain keys, but loses none."""
    import json  # noqa: PLC0415 -- needed only with --json

    print(json.dumps({"version": 1, "tool": tool, **payload}))  # noqa: T201 -- this is the console


class OutputPath(click.Path):
    """The path of a file that is written at several offsets, and therefore not `-`, standard output."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or fail for `-`."""
        if value == "-":
            self.fail(
                "a pipe, such as standard output, cannot be written at several offsets: write a file, and send that"
                " (./- is a file of this name)",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


class Size(click.ParamType[int]):
    """A number of bytes, as digits and perhaps K, M or G: 1024, 16M."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or fail."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]+)([KMG]?)", value)
        if found is None:
            self.fail(f"{value!r} is no size: give a number of bytes, or one with K, M or G behind it", param, ctx)
        return int(found[1]) << 10 * "KMG".find(found[2]) + 10 if found[2] else int(found[1])


def version_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --version to a command; it prints the distribution, because others have commands of the same names."""
    return click.option(
        "--version",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_print_version,
        help="Print the version and exit.",
    )(function)


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 -- click's signature
    if not wanted or context.resilient_parsing:
        return
    from importlib import metadata  # noqa: PLC0415 -- a slow import

    try:
        version = metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    click.echo(f"{context.info_name} ({_DISTRIBUTION}) {version}")
    context.exit()


@contextlib.contextmanager
def progress(total: int, label: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr while the block runs, if that is a terminal and it takes longer than a second.

    Yields:
        The function to call with the number of bytes processed since the last call.
    """
    if quiet or os.environ.get("TQDM_DISABLE") or not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm  # noqa: PLC0415 -- not needed without a terminal

    with tqdm(
        total=total, desc=label, unit="B", unit_scale=True, unit_divisor=1024, leave=False, delay=_PROGRESS_DELAY
    ) as bar:

        def advance(size: int) -> None:
            bar.update(size)

        yield advance


@contextlib.contextmanager
def steps(label: str, *, quiet: bool, hint: str = "") -> Iterator[Callable[[int, int], None]]:
    """Show the progress of a job of counted steps on stderr: a bar on a terminal, otherwise a line for each tenth.

    HINT is shown after the label when no step is done yet: how long the job takes, for example.

    Yields:
        The function to call with the number of finished steps and of all steps; with none finished, the job begins.
    """
    if quiet or os.environ.get("TQDM_DISABLE"):
        yield lambda _done, _total: None
        return
    if not sys.stderr.isatty():
        yield _line_for_each_tenth(label, hint)
        return
    from tqdm import tqdm  # noqa: PLC0415 -- not needed without a terminal

    with tqdm(desc=label, leave=False, delay=_PROGRESS_DELAY, bar_format=_STEPS_BAR) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.set_description_str(label if done or not hint else f"{label} ({hint})", refresh=False)
            bar.update(done - bar.n)

        yield show


def _line_for_each_tenth(label: str, hint: str) -> Callable[[int, int], None]:
    tenths_shown = 0
    first_step = 0.0

    def show(done: int, total: int) -> None:
        nonlocal tenths_shown, first_step
        tenths = done * 10 // total
        line = ""
        if done == 0 and hint:
            line = f"{label} ({hint})"
        elif tenths > tenths_shown:
            tenths_shown = tenths
            line = f"{label}: {done} of {total}"
            if first_step:
                line += _time_left((time.monotonic() - first_step) * (total - done) / done)
        if done and not first_step:
            first_step = time.monotonic()
        if line:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 -- this is the console

    return show


def _time_left(seconds: float) -> str:
    """Return how a line of progress ends: an estimate in minutes, or in tens of seconds, or nothing if it is short."""
    if seconds >= 90:
        return f", about {seconds / 60:.0f} min left"
    return f", about {round(seconds, -1):.0f} s left" if seconds >= 10 else ""
