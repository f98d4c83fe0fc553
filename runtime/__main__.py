"""`python -m runtime FILE …` runs a model with Python and numpy; `llamafile-build` is `python -m runtime.cli`."""

import os
import sys

if os.name != "posix":  # files are mapped and read in ways that only these have
    sys.exit("llamafile: the portable runtime needs a Unix system; on Windows, a llamafile is a program by itself")

from runtime.portable.cli import main

sys.exit(main())
