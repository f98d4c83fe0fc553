"""The native program, which the portable runtime and the table of options are compared with."""

from tests.pipeline.conftest import program

__all__ = ["program"]
