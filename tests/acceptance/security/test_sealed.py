"""D8: a packed file answers the same wherever it runs, and fetches nothing."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtime.builder.engine import engine_source
from tests.acceptance.api.servers import free_port, serving
from tests.acceptance.packaging.packing import added, packed, words
from tests.pipeline.conftest import run

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIM = Path(__file__).parents[3] / "runtime" / "shim"

# Where the engine's own programs are, of which ours is made.
COMPILED = ("common", "src", "ggml/src", "ggml/src/ggml-cpu", "tools/cli", "tools/mtmd", "tools/server")

# Variables that the engine reads and a sealed file need not ignore: where a user's files are and what his terminal can
# do; what its tests set; and what is compiled only for machines and tools that we do not build for.
HARMLESS = {
    "APPDATA",
    "HOME",
    "KMP_BLOCKTIME",
    "LLAMACPP_TEST_MODELFILE",
    "LOCALAPPDATA",
    "NO_COLOR",
    "OMP_WAIT_POLICY",
    "PROGRAMDATA",
    "TERM",
    "USERPROFILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
}


@pytest.fixture
def tiny(llamafile: Path, tiny_model: Path) -> Path:
    return packed(llamafile, tiny_model, "-m", "tiny.gguf", "--temp", "0", "-l", "260+100")


def with_configuration(environment: dict[str, str]) -> dict[str, str]:
    """ENVIRONMENT of a user who has configured the engine to stop after two tokens."""
    folder = Path(environment["HOME"]) / ".config" / "llama.cpp"
    folder.mkdir(parents=True)
    (folder / "config.ini").write_text("[*]\nn-predict = 2\n")
    return environment


def test_d8_variables_count_only_unsealed(tiny: Path, bare: dict[str, str]) -> None:
    environment = bare | {"LLAMA_ARG_N_PREDICT": "2", "LLAMA_ARG_TOP_K": "no number"}
    assert added(tiny, environment, "-n", "4") == "aaaa\n"
    assert added(tiny, bare | {"LLAMA_ARG_N_PREDICT": "2"}, "--unsealed") == "aa\n"


def test_d8_configuration_files_count_only_unsealed(tiny: Path, bare: dict[str, str]) -> None:
    configured = with_configuration(bare)
    assert added(tiny, configured, "-r", "aaaa") == "aaaa\n"
    result = run(tiny, "--unsealed", "-r", "aaaa", "-p", "hello", env=configured)
    assert result.stdout == "helloaa\n"


def test_a_runtime_alone_is_not_sealed(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    environment = bare | {"LLAMA_ARG_N_PREDICT": "2"}
    assert added(llamafile, environment, "-m", str(tiny_model), "-l", "260+100") == "aa\n"


def test_d8_a_platforms_variables_do_not_move_the_server(tiny: Path, bare: dict[str, str], tmp_path: Path) -> None:
    other = free_port()
    environment = bare | {"AIP_MODE": "PREDICTION", "AIP_HTTP_PORT": str(other), "LLAMA_API_KEY": "secret"}
    with serving(["/bin/sh", tiny, "--server", "--nobrowser"], tmp_path / "log", environment) as server:
        assert server.chat()[0] == 200
        assert server.ask("/predict", {})[0] == 404


def test_d8_all_that_the_engine_reads_is_ignored() -> None:
    """Every name in its source is harmless, or begins like those that are removed."""
    text = (SHIM / "options" / "sealed.cpp").read_text(encoding="utf-8")
    found = re.search(r"PREFIXES\[\] = \{(.*?)\}", text, re.DOTALL)
    assert found is not None
    prefixes = tuple(re.findall(r'"(\w+)"', found[1]))
    names: set[str] = set()
    for folder in COMPILED:
        for path in (engine_source() / folder).glob("*.[ch]*"):
            source = path.read_text(encoding="utf-8", errors="replace")
            names |= set(re.findall(r'(?:getenv|get_env|path_from_env)\(L?"(\w+)"', source))
            names |= set(re.findall(r'(?:set_env\(|\{)"((?:LLAMA|HF|HUGGINGFACE|MODEL|AIP)_\w+)"', source))
            names |= set(re.findall(r'getenv\("(\w+)"', source))
    assert {"LLAMA_ARG_MODEL", "HF_TOKEN", "AIP_MODE", "MODEL_ENDPOINT", "LLAMA_CACHE"} <= names
    assert {name for name in names - HARMLESS if not name.startswith(prefixes)} == set()


@contextmanager
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server of models, and what it has been asked for."""
    asked: list[str] = []

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "option", ["-mu", "--model-url", "-mmu", "--mmproj-url", "-hf", "-hfr", "--hf-repo", "-hfd", "-dr", "--docker-repo"]
)
def test_d8_a_sealed_file_fetches_no_model(tiny: Path, bare: dict[str, str], option: str) -> None:
    with elsewhere() as (url, asked):
        value = f"{url}/x.gguf" if option.endswith(("u", "url")) else "owner/name"
        result = run(tiny, "--server", option, value, env=bare | {"MODEL_ENDPOINT": url})
    assert f"'{option}'" in words(result)
    assert "--unsealed" in words(result)
    assert asked == []


def test_d8_nor_does_it_serve_other_models(tiny: Path, bare: dict[str, str], tmp_path: Path) -> None:
    assert "--unsealed" in words(run(tiny, "--models-dir", str(tmp_path), env=bare))


def test_unsealed_it_may(tiny: Path, bare: dict[str, str]) -> None:
    with elsewhere() as (url, asked):
        run(tiny, "--unsealed", "-mu", f"{url}/x.gguf", "-p", "hello", env=bare)
    assert "/x.gguf" in asked


def test_d8_the_same_seed_gives_the_same_text(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    program = packed(llamafile, tiny_model, "-m", "tiny.gguf", "--temp", "2", "-n", "32")
    texts = {added(program, bare, "--seed", "1") for _ in range(3)}
    assert len(texts) == 1
    assert added(program, bare, "--seed", "2") not in texts


def test_d8_the_seed_counts_in_the_api_too(tiny: Path, bare: dict[str, str], tmp_path: Path) -> None:
    question = {"prompt": "hello", "n_predict": 16, "temperature": 2, "logit_bias": [], "cache_prompt": False}
    texts = set()
    for _ in range(2):
        with serving(["/bin/sh", tiny, "--server", "--nobrowser"], tmp_path / "log", bare) as server:
            for _ in range(2):
                texts.add(re.findall(r'"content":"(.*?)","', server.ask("/completion", question | {"seed": 7})[1])[0])
    assert len(texts) == 1


def test_a_launchers_variable_still_counts(tiny: Path, runtime: Path, bare: dict[str, str]) -> None:
    assert added(runtime, bare | {"LLAMAFILE_CONTAINER": str(tiny)}, "-n", "2") == "aa\n"
