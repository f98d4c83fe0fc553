"""GPUs through Vulkan, on Mesa's software device: every way to start a llamafile, and what else it computes."""

from __future__ import annotations

import base64
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from runtime.platforms import host_platform
from tests.builders.gguf import TinyModel, TinyProjector
from tests.builders.image import Picture
from tests.builders.vulkan import GPU, MODEL, PROMPT
from tests.conftest import tool
from tools.gpu_check.checks import cosine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.gpu_check.llamafile import Llamafile, Server

pytestmark = pytest.mark.skipif(
    host_platform().name != "linux-amd64", reason="needs linux-amd64, which has the program"
)

COSINE_MIN: Final = 0.9999
GENERATION: Final = ("-n", "8", "--temp", "0", "--ignore-eos", "-p", PROMPT)
IN_USE: Final = "computing with Vulkan0: llvmpipe"
TINY: Final = TinyModel(embedding=64, feed_forward=128, layers=6)


@contextmanager
def tiny_server(product: Llamafile, *options: object) -> Iterator[Server]:
    """Run a server that computes on the device if OPTIONS say so."""
    with product.serving("-c", "256", *options) as server:
        assert (IN_USE in server.log.read_text(errors="replace")) == ("vulkan" in options)
        yield server


@pytest.fixture
def packed(product: Llamafile, model: Path) -> Llamafile:
    """The product with the model in its archive."""
    path = product.path.with_name("packed.llamafile")
    shutil.copyfile(product.path, path)
    subprocess.run([tool("zipalign"), "-j0", path, model], check=True, stdout=subprocess.DEVNULL)
    return replace(product, path=path)


def test_weights_in_the_archive(product: Llamafile, packed: Llamafile, model: Path) -> None:
    outside = product.run("-m", model, *GPU, *GENERATION)
    inside = packed.run("-m", f"/zip/{model.name}", *GPU, *GENERATION)
    assert (inside.returncode, inside.stdout) == (0, outside.stdout), inside.stderr


def test_a_native_program(packed: Llamafile, model: Path) -> None:
    """Without the loader; the second program finds the archive in it."""
    arguments = ("-m", f"/zip/{model.name}", *GPU, *GENERATION)
    expected = packed.run(*arguments)
    subprocess.run([tool("assimilate"), "-q", packed.path], check=True)
    packed.path.chmod(0o755)
    native = subprocess.run(
        [packed.path, *arguments], capture_output=True, text=True, check=False, env={"PATH": "", **packed.variables}
    )
    assert (native.returncode, native.stdout) == (0, expected.stdout), native.stderr
    assert expected.stdout.startswith(PROMPT)


def test_a_model_in_several_files(product: Llamafile, tmp_path: Path) -> None:
    first, *others = TINY.write_shards(tmp_path / "cut.gguf", tensors=20)
    assert others

    def log_probabilities(*options: str) -> list[float]:
        with tiny_server(product, "-m", first, *options) as server:
            return server.log_probabilities(PROMPT, TINY.vocabulary)

    assert cosine(log_probabilities("-ngl", "0"), log_probabilities(*GPU)) >= COSINE_MIN


def test_embeddings(product: Llamafile, model: Path) -> None:
    def embedding(*options: str) -> list[float]:
        with product.serving("-m", model, "--embeddings", "--pooling", "mean", *options) as server:
            vector: list[float] = server.post("/v1/embeddings", input=PROMPT, model="")["data"][0]["embedding"]
            return vector

    vector = embedding(*GPU)
    assert len(vector) == MODEL.embedding
    assert cosine(embedding("-ngl", "0"), vector) >= COSINE_MIN


def test_images(product: Llamafile, tmp_path: Path) -> None:
    """The projector is on the device as well.

    Without flash attention, because lavapipe of Mesa 22.3 (Debian 12) reads descriptors that a shader has but does not
    use, of buffers that are gone: SIGSEGV, which that of Mesa 25 does not have.
    """
    model = TINY.write(tmp_path / "tiny.gguf")
    projector = TinyProjector(text_embedding=TINY.embedding).write(tmp_path / "mmproj.gguf")

    def seen(picture: Picture, *options: str) -> list[float]:
        image = base64.b64encode(picture.png()).decode()
        with tiny_server(product, "-m", model, "--mmproj", projector, "-fa", "off", *options) as server:
            text = f"a{server.get('/props')['media_marker']}b"
            return server.log_probabilities({"prompt_string": text, "multimodal_data": [image]}, TINY.vocabulary)

    one, other = Picture(), Picture(((255, 0), (30, 200)))
    assert cosine(seen(one, "-ngl", "0"), seen(one, *GPU)) >= COSINE_MIN
    assert seen(one, *GPU) != seen(other, *GPU)
