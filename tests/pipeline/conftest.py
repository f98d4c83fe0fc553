"""The product itself, built once for all tests here: a runtime without weights, and a file with a real model in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from apepack.packing.pack import PackInputs, link_runtime, pack
from apepack.packing.payload import ModelInput
from runtime.builder.artifacts import demo_model
from runtime.builder.build import build
from runtime.builder.cache import cache_root
from runtime.platforms import host_platform, platform_named
from tests.builders.gguf import TinyModel
from tests.builders.home import new_name
from tests.builders.hosts import wine64
from tests.builders.vulkan import MODEL, require_software_device
from tests.pipeline.routers import NAMES
from tests.workers import shared_file
from tools.gpu_check.llamafile import Llamafile
from tools.gpu_inputs import are_lost

QEMU = "qemu-aarch64-static"


def built(name: str) -> Path:
    """The runtime for the platform NAME, with its part for GPUs unless CI could not fetch what that needs."""
    return build(platform_named(name), with_gpu=not are_lost()).path


@pytest.fixture(scope="session")
def program() -> Path:
    """The runtime for this machine, not yet in an APE."""
    return built(host_platform().name)


@pytest.fixture(scope="session")
def amd64() -> Path:
    """The program for Linux on amd64."""
    return built("linux-amd64")


@pytest.fixture(scope="session")
def arm64() -> Path:
    """The program for Linux on arm64."""
    return built("linux-arm64")


@pytest.fixture(scope="session")
def windows() -> Path:
    """The program for Windows on amd64."""
    return built("windows-amd64")


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llamafile without weights, for this machine and those that it can emulate."""
    names = (
        [host_platform().name]
        + ["linux-arm64"] * (shutil.which(QEMU) is not None)
        + ["windows-amd64"] * (wine64() is not None)
    )
    programs = [built(name) for name in names]
    return shared_file(
        tmp_path_factory, "runtime/llamafile", lambda output: link_runtime(list(dict.fromkeys(programs)), output)
    )


@pytest.fixture(scope="session")
def smollm2(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M in one file."""
    return shared_file(
        tmp_path_factory,
        "smollm2/smollm2.llamafile",
        lambda output: pack(PackInputs(demo_model()), output, runtime=runtime),
    )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that loads in milliseconds and talks nonsense."""
    return TinyModel().write(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models of 0.8 MB, which load in milliseconds: two of them and their contexts need less than 2 MiB."""
    folder = tmp_path_factory.mktemp("models")
    return [
        TinyModel(embedding=64, layers=4, feed_forward=128, seed=at).write(folder / f"{name}.gguf")
        for at, name in enumerate(NAMES)
    ]


@pytest.fixture(scope="session")
def several(runtime: Path, models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three models in one file."""
    first, *more = models
    inputs = PackInputs(first, ["--metrics"], more=[ModelInput(model) for model in more])
    return shared_file(
        tmp_path_factory, "several/several.llamafile", lambda output: pack(inputs, output, runtime=runtime)
    )


@pytest.fixture
def llamafile(runtime: Path, tmp_path: Path) -> Path:
    """A copy of the runtime, to be changed."""
    return Path(shutil.copy(runtime, tmp_path / "x.llamafile"))


@pytest.fixture(scope="session")
def shader_cache() -> Path:
    """What the driver compiles for one test is there for all others, which takes it a minute."""
    require_software_device()
    folder = cache_root() / "test-shaders"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def product(runtime: Path, tmp_path: Path, shader_cache: Path) -> Llamafile:
    """The product without weights, with a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    path = tmp_path / "x.llamafile"
    path.symlink_to(runtime)
    return Llamafile(path, {"HOME": str(home), "XDG_CACHE_HOME": str(shader_cache)})


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random model with 16-bit weights."""
    path = tmp_path_factory.mktemp("random") / "random-F16.gguf"
    MODEL.write(path)
    return path


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """A minimal environment: a path, and an empty home."""
    home = tmp_path / "home"
    home.mkdir()
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "LOGNAME": new_name()}


def run(program: Path, *arguments: str, shell: str = "/bin/sh", **options: object) -> subprocess.CompletedProcess[str]:
    """Run PROGRAM, an APE, in a shell, and return what became of it."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]  # options are subprocess.run's own
        [shell, str(program), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
        **options,
    )
