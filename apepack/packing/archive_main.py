"""What `python3 my.llamafile` runs: apepack stores this file as `__main__.py`, and below `portable/` all that it needs.

Nothing imports this module. Any Python may come to run it, so it says in a sentence why it cannot go on, and is written
so that old ones can read that.
"""

import os
import sys

_FOLDER = "portable"


def _problem() -> str:
    """Return why this Python cannot run the model, or nothing."""
    if os.name != "posix":
        return "Python runs a llamafile on Unix systems only; start the file by itself"
    if sys.version_info < (3, 11):  # noqa: UP036  # who starts it has what he has
        return f"this needs Python 3.11 or later, and here is {sys.version_info[0]}.{sys.version_info[1]}"
    return ""


def _run() -> int:
    """Run the model in the archive that this file came from."""
    sys.path[0] = os.path.join(sys.path[0], _FOLDER)  # noqa: PTH118  # a place in an archive is no path
    from runtime.portable.cli import main  # noqa: PLC0415  # found only now

    return main(sys.argv)


_PROBLEM = _problem()
sys.exit(f"llamafile: {_PROBLEM}" if _PROBLEM else _run())
