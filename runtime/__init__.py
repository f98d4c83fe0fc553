"""Runtime builds: make them, find them, know what they are; and a runtime that needs none."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"  # the same as in pyproject.toml; a test compares them
