"""The product, as the tests of the pipeline have it, and its program for this machine alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders.gguf import TinyModel
from tests.pipeline.conftest import amd64, arm64, bare, llamafile, program, runtime, smollm2, tiny_model, windows

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "amd64",
    "arm64",
    "bare",
    "llamafile",
    "program",
    "roomy_model",
    "runtime",
    "smollm2",
    "tiny_model",
    "windows",
]


@pytest.fixture(scope="session")
def roomy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with room for a conversation of a few sentences."""
    return TinyModel(context=4096).write(tmp_path_factory.mktemp("roomy") / "roomy.gguf")
