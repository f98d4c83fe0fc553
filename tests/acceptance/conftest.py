"""The product, as the tests of the pipeline have it, and its program for this machine alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.builder.build import build
from runtime.platforms import host_platform, platform_named
from tests.builders.gguf import TinyModel
from tests.pipeline.conftest import bare, llamafile, runtime, smollm2, tiny_model

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["amd64", "arm64", "bare", "llamafile", "program", "roomy_model", "runtime", "smollm2", "tiny_model"]


@pytest.fixture(scope="session")
def program() -> Path:
    """The runtime for this machine, not yet in an APE."""
    return build(host_platform()).path


@pytest.fixture(scope="session")
def amd64() -> Path:
    """The program for Linux on amd64."""
    return build(platform_named("linux-amd64")).path


@pytest.fixture(scope="session")
def arm64() -> Path:
    """The program for Linux on arm64."""
    return build(platform_named("linux-arm64")).path


@pytest.fixture(scope="session")
def roomy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with room for a conversation of a few sentences."""
    return TinyModel(context=4096).write(tmp_path_factory.mktemp("roomy") / "roomy.gguf")
