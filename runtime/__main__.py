"""`python -m runtime FILE …` runs a model with Python and numpy; `llamafile-build` is `python -m runtime.cli`."""

import os
import sys

if os.name != "posix":  # memory maps and reads are those of Unix
    sys.exit("llamafile: the portable runtime needs a Unix system; on Windows, start the llamafile itself")

from runtime.portable.cli import main

sys.exit(main())
