"""Run as `python -m zipalign`."""

from __future__ import annotations

from zipalign.cli import main

if __name__ == "__main__":
    main()
