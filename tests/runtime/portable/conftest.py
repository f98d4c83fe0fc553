"""The native engine, which the portable runtime is compared with."""

from tests.acceptance.conftest import program

__all__ = ["program"]
