r"""The grammar of `.args`, the member that holds a llamafile's default arguments.

One argument a line. CR and LF end lines, empty lines are skipped, spaces belong to the argument. The two characters
`\n` inside a line are a newline. A byte order mark before the first line is skipped. A line of three dots stands for
the arguments of the command line; without one they come last. The shim reads the same grammar
(shim/base/arguments.cpp); args(5) describes it.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Final

from runtime.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MEMBER_NAME", "PLACEHOLDER", "format_arguments", "parse_arguments"]

MEMBER_NAME: Final = ".args"
PLACEHOLDER: Final = "..."


def parse_arguments(data: bytes) -> list[str]:
    """Return the arguments in the content of an `.args` member, including the placeholder.

    Raises:
        ArgumentsError: DATA is not UTF-8 text, or contains a NUL byte.
    """
    data = data.removeprefix(BOM_UTF8)
    for number, line in enumerate(re.split(rb"\r\n|\r|\n", data), 1):
        if b"\0" in line:
            raise ArgumentsError("a NUL byte", number)
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise ArgumentsError(f"byte {line[error.start]:#04x} is not UTF-8", number) from error
    return [line.replace("\\n", "\n") for line in re.split(r"[\r\n]", data.decode()) if line]


def format_arguments(arguments: Sequence[str]) -> bytes:
    """Return the `.args` member for ARGUMENTS, which come before those of the command line unless PLACEHOLDER is one.

    Raises:
        ArgumentsError: the grammar cannot express one of them.
    """
    for number, argument in enumerate(arguments, 1):
        if not argument:
            raise ArgumentsError("an empty argument cannot be written", number)
        if any(text in argument for text in ("\0", "\r", "\\n")) or not _is_text(argument):
            raise ArgumentsError(f"the argument {argument!r} cannot be written", number)
        if argument == PLACEHOLDER and PLACEHOLDER in arguments[: number - 1]:
            raise ArgumentsError(f"a second {PLACEHOLDER!r}", number)
    lines = [argument.replace("\n", "\\n") for argument in arguments]
    last = [] if PLACEHOLDER in arguments else [PLACEHOLDER]
    return "".join(f"{line}\n" for line in [*lines, *last]).encode()


def _is_text(argument: str) -> bool:
    """Return whether an argument of the command line, which may contain any bytes, is Unicode text."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True
