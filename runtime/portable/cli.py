"""The command of the portable runtime: `python -m runtime FILE …`, and `python3 my.llamafile …`.

Its output is that of the native program; an error message names unsupported options. It needs only the packages numpy
and gguf, and for --help not even those.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final

from runtime import VERSION
from runtime.args import parse_arguments
from runtime.errors import InvalidOptionError, RuntimePackageError
from runtime.portable.container import open_container
from runtime.portable.output import Output
from runtime.portable.prompt import Prompt, unescape
from runtime.portable.settings import Settings, merge_arguments, parse_settings
from zipalign.errors import ZipalignError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.portable.container import Container

__all__ = ["main"]

_USAGE: Final = """\
usage: python3 -m runtime FILE -p TEXT [OPTION...]
       python3 FILE -p TEXT [OPTION...]          a llamafile, with Python 3.13 or later

Continues a text with the model in FILE: a llamafile, ARCHIVE@MEMBER, or a GGUF file. It needs Python and numpy and no
program for this machine; a native program is many times faster, serves a web page, and has more options.

Model:
  -m, --model FILE      weights (GGUF): a file, or a member of FILE
  -c, --ctx-size N      context in tokens, 8k is 8192; 0: all the model has
  --cache-weights       keep dequantised weights in memory: faster, but 32 bits each
  -t, --threads N       number of threads

Text:
  -p, --prompt TEXT     the text to continue
  -f, --file FILE       the same, from a file; -bf, --binary-file keeps the newline at its end
  --random-prompt       a built-in prompt
  -e, --escape          process \\n, \\t and other escapes of C in prompts
  -n, --predict N       at most N tokens
  -r, --reverse-prompt TEXT
                        stop where the model writes TEXT; repeatable
  --no-display-prompt   print only the generated text, not the prompt
  --temp X              sampling temperature (default: 0.8); 0 always takes the likeliest token
  --top-k N             of the N likeliest tokens (default: 40)
  --top-p X             that together have this probability (default: 0.95)
  --min-p X             and each this much of the likeliest one's (default: 0.05)
  -s, --seed N          the same seed gives the same text, but another one than in the native program

  --version             print the version and exit
  -h, -help, --help, --usage
                        print this text and exit

Arguments in the archive member .args, one a line, come before those of the command line,
or around them where it has a line of three dots. In long options, _ is the same as -.
Other options of the native program are accepted without effect, or are errors if they would change the text.
"""

_UNTIL_FULL: Final = -2  # tokens, as the engine counts them
_MESSAGE_SIZE_MAX: Final = 1200  # characters: keys in damaged files may be long
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: the file and the options; None: those of this process.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return _run([os.fsencode(argument).decode(errors="surrogateescape") for argument in given])
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the output has exited: print no message, and flush nothing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (RuntimePackageError, ZipalignError, OSError, MemoryError, ModuleNotFoundError) as error:
        _print_error(_message(error))
        return 1


def _run(arguments: list[str]) -> int:
    name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    with contextlib.suppress(InvalidOptionError):  # the default arguments may complete them
        if _print_information(parse_settings(arguments)):
            return 0
    if name is None:
        raise InvalidOptionError("the file comes first: a llamafile or a GGUF file; --help lists the options", "")
    container = open_container(name)
    settings = parse_settings(merge_arguments(parse_arguments(container.args or b""), arguments))
    if not _print_information(settings):
        _complete(container, settings)
    return 0


def _print_information(settings: Settings) -> bool:
    """Print help or version on request, and return whether it was requested."""
    if settings.wants_help:
        sys.stdout.write(_USAGE)
    elif settings.wants_version:
        python = ".".join(map(str, sys.version_info[:3]))
        sys.stdout.write(f"llamafile {VERSION} (portable runtime, {sys.implementation.name} {python})\n")
    return settings.wants_help or settings.wants_version


def _complete(container: Container, settings: Settings) -> None:
    if settings.positional:
        word = settings.positional[0]
        raise InvalidOptionError(f"'{word}' belongs to no option; a prompt is given with -p, a model with -m", word)
    if settings.ignored_options:
        named = ", ".join(f"'{name}'" for name in dict.fromkeys(settings.ignored_options))
        _print_error(f"without effect in the portable runtime: {named}")
    completes = settings.completes if settings.completes is not None else settings.prompt is not None
    if not completes:
        raise InvalidOptionError(
            "the portable runtime only continues a text, -p TEXT; page and API need the native program", "-p"
        )
    if sys.stdout is None:
        raise OSError("cannot write the text to standard output: it is closed")
    prompt = (settings.prompt or Prompt()).read(container)
    _write(container, settings, unescape(prompt) if settings.processes_escapes else prompt)


def _write(container: Container, settings: Settings, prompt: bytes) -> None:
    if settings.threads > 0:
        os.environ.update(dict.fromkeys(_THREADS, str(settings.threads)))  # numpy reads them when it is imported
    from runtime.portable.completion import start_completion  # noqa: PLC0415  # imports numpy

    completion = start_completion(container.weights(settings.model), prompt, settings)
    output = Output(sys.stdout.buffer)
    try:
        if settings.displays_prompt:
            output.write(prompt)
        for piece in completion.pieces(settings.token_limit):
            output.write(piece)
    except (RuntimePackageError, MemoryError):
        output.finish()  # so that the message begins a line
        raise
    output.finish()
    if completion.context_is_full and settings.token_limit != _UNTIL_FULL:
        _print_error("the context is full; give a larger one with -c")


def _message(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory; use a smaller context, such as -c 2048, and no --cache-weights"
    if isinstance(error, ModuleNotFoundError):
        if error.name not in {"numpy", "gguf"}:
            raise error
        return f"there is no package {error.name} for this Python: {sys.executable} -m pip install numpy gguf"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error)


def _print_error(message: str) -> None:
    """Print MESSAGE, shortened and without control characters, which may come from files."""
    if sys.stderr is not None:
        if len(message) > _MESSAGE_SIZE_MAX:
            message = f"{message[: _MESSAGE_SIZE_MAX // 2]} … {message[-_MESSAGE_SIZE_MAX // 2 :]}"
        text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in message)
        sys.stderr.write(f"llamafile: {text}\n")
