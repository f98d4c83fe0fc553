"""The `__main__.py` of a llamafile, which `python3 my.llamafile` runs.

apepack copies this file into the archive, and the modules that it imports into the archive's folder `portable/`. No
module imports it. Python 3.6 can parse it, so that old versions report their number instead of a syntax error.
"""

import os
import sys

_FOLDER = "portable"


def _problem() -> str:
    """Return why this Python cannot run the model, or an empty text."""
    if os.name != "posix":
        return "Python runs a llamafile on Unix systems only; start the file by itself"
    if sys.version_info < (3, 11):  # noqa: UP036  # users start it with any version
        return f"this needs Python 3.11 or later, and here is {sys.version_info[0]}.{sys.version_info[1]}"
    return ""


def _run() -> int:
    """Run the model in the archive that contains this file."""
    sys.path[0] = os.path.join(sys.path[0], _FOLDER)  # noqa: PTH118  # a path inside of an archive
    from runtime.portable.cli import main  # noqa: PLC0415  # needs the line above

    return main(sys.argv)


_PROBLEM = _problem()
sys.exit(f"llamafile: {_PROBLEM}" if _PROBLEM else _run())
