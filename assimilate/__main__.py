"""Run as `python -m assimilate`."""

from assimilate.cli import main

main()
