"""Entry point of `python -m apepack`."""

from apepack.cli import main

main()
