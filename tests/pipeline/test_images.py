"""Container images of real llamafiles: read, unpacked and run by the programs that others have for that."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import openai
import pytest

from apepack.oci.image import make_image
from apepack.oci.plan import ImageOptions
from apepack.packing.pack import PackInputs, pack
from runtime.builder.artifacts import demo_model
from tests.acceptance.api.servers import serving
from tests.apepack.oci.images import read_layout
from tests.builders.containers import CONTAINER_USER, Bundle, process_named, unpacked
from tests.conftest import tool
from tests.pipeline.conftest import QEMU
from tests.workers import shared_file

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

TAG = "smollm2:1"


@pytest.fixture(scope="module")
def image(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of SmolLM2, a folder."""
    return shared_file(
        tmp_path_factory, "image/smollm2", lambda output: make_image(smollm2, output, ImageOptions(tag=TAG))
    )


@pytest.fixture
def container(image: Path) -> Iterator[Bundle]:
    with unpacked(image, "1", "amd64") as bundle:
        yield bundle


def test_skopeo_reads_and_copies_it(image: Path, tmp_path: Path) -> None:
    index = read_layout(image).index["manifests"][0]

    raw = subprocess.run([tool("skopeo"), "inspect", "--raw", f"oci:{image}:1"], check=True, capture_output=True).stdout
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == index["digest"]
    for architecture in ("amd64", "arm64"):
        command = ["skopeo", f"--override-arch={architecture}", "inspect", f"oci:{image}:1"]
        facts = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        assert (facts["Architecture"], facts["Os"]) == (architecture, "linux")
        assert facts["Labels"]["org.opencontainers.image.licenses"] == "apache-2.0"
    copy = ["skopeo", "copy", "--quiet", "--insecure-policy", "--all", "--preserve-digests"]
    subprocess.run([*copy, f"oci:{image}:1", f"oci:{tmp_path / 'copy'}:1"], check=True)
    assert set(read_layout(tmp_path / "copy").blobs) == set(read_layout(image).blobs)


def test_it_answers_as_a_user_without_rights_in_a_root_that_is_read_only(container: Bundle, tmp_path: Path) -> None:
    command = container.command(environment={"LLAMA_ARG_ALIAS": "not sealed"})
    with (
        serving(command, tmp_path / "log") as server,
        openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="sk-no-key-required") as client,
    ):
        completion = client.chat.completions.create(
            model="x",
            messages=[{"role": "user", "content": "Name the capital of France."}],
            max_tokens=24,
            temperature=0,
        )
        models = [model.id for model in client.models.list()]
        page = server.ask("/")
        number = process_named("llamafile", server.process.pid)
        status = Path(f"/proc/{number}/status").read_text().splitlines()
        maps = Path(f"/proc/{number}/maps").read_text().splitlines()
        root = Path(f"/proc/{number}/root")
        mounts = Path(f"/proc/{number}/mounts").read_text().splitlines()

        assert "Paris" in (completion.choices[0].message.content or "")
        assert models == [demo_model().name]
        assert (page[0], "<html" in page[1]) == (200, True)
        assert any(line.startswith("CapEff:\t0000000000000000") for line in status)
        assert [line.split()[1] for line in status if line.startswith("NoNewPrivs")] == ["1"]
        assert [mount.split()[3].split(",")[0] for mount in mounts if mount.split()[1] == "/"] == ["ro"]
        assert (root / "models" / demo_model().name).stat().st_size == demo_model().stat().st_size
        mapped = [line.split() for line in maps if line.endswith(f"/models/{demo_model().name}")]
        assert mapped
        assert all(fields[1].startswith("r-") and "w" not in fields[1] for fields in mapped)


def test_sigterm_ends_it(container: Bundle, tmp_path: Path) -> None:
    with serving(container.command(), tmp_path / "log") as server:
        number = process_named("llamafile", server.process.pid)
        (user,) = {
            line.split()[1]
            for line in Path(f"/proc/{number}/uid_map").read_text().splitlines()
            if line.split()[0] == str(CONTAINER_USER)
        }
        assert user.isdecimal()
        subprocess.run(["kill", f"-{signal.SIGTERM}", str(number)], check=True)
        assert server.process.wait(timeout=30) == 0


def test_arguments_replace_nothing_but_the_command(container: Bundle) -> None:
    command = container.command("--cli", "-p", "The capital of France is", "-n", "4", "--temp", "0")

    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)

    assert "Paris" in done.stdout


def test_the_other_architecture(runtime: Path, tiny_model: Path, tmp_path: Path) -> None:
    emulator = Path(tool(QEMU))
    pack(PackInputs(tiny_model), tmp_path / "tiny.llamafile", runtime=runtime)
    make_image(tmp_path / "tiny.llamafile", tmp_path / "tiny", ImageOptions())

    with unpacked(tmp_path / "tiny", "latest", "arm64") as container:
        assert (container.root / "usr/bin/llamafile").read_bytes()[18:20] == b"\xb7\0"  # e_machine: aarch64
        with serving(container.command(emulator=emulator), tmp_path / "log") as server:
            assert server.chat()[0] == 200
            assert server.ask("/")[0] == 200
            assert json.loads(server.ask("/v1/models")[1])["data"][0]["id"] == "tiny.gguf"
