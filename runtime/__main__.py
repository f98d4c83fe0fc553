"""`python -m runtime` is `llamafile-build`."""

from runtime.cli import main

main()
