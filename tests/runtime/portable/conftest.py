"""The native engine, which the portable runtime is compared with."""

from tests.promises.conftest import program

__all__ = ["program"]
