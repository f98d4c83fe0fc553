"""Building the native runtime, reading native images and GGUF files, and a portable runtime in Python."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"  # of the whole project: pyproject.toml reads it here
