"""The native engine, which the portable runtime is compared with."""

from tests.pipeline.conftest import program

__all__ = ["program"]
