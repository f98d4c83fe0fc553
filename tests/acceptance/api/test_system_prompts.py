"""States of system prompts on disk: a second start finds them, in files of its user alone."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest

from tests.acceptance.api.servers import ARE_CONFINED, confinement, free_port, serving
from tests.builders.architectures import GEMMA3, Model
from tests.builders.gguf import TinyModel, TinyProjector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.acceptance.api.servers import Server

    Serve = Callable[..., AbstractContextManager[Server]]

SYSTEM = "You are a parrot. " * 60  # more than a thousand tokens: one for each letter
OTHER = "You are a pirate. " * 60
SHORT = "You are a parrot."
QUESTION = "secret words of the user"
PLACES = 32
TEMPLATE_MAX = 64  # tokens that the template adds to a system prompt
WITH_TOOLS = """\
{% for tool in tools %}{{ tool | tojson }}{% endfor %}{% for message in messages %}{{ message.content }} {% endfor %}"""


class Gemma(Model):
    """A model with a sliding window that can read any text."""

    def _add_vocabulary(self, writer: gguf.GGUFWriter) -> None:
        TinyModel().add_vocabulary(writer)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the weights."""
        random = np.random.default_rng(self.seed)
        embeddings = random.standard_normal((TinyModel().vocabulary, self.embedding), dtype=np.float32)
        return {**Model.tensors(self), "token_embd.weight": embeddings}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def serve(program: Path, roomy_model: Path, tmp_path: Path, home: Path) -> Serve:
    """Start a server whose user has HOME, and end it as service managers do."""

    @contextmanager
    def start(*options: object, model: Path | None = roomy_model, **variables: str) -> Iterator[Server]:
        home.mkdir(exist_ok=True)
        named = ["-m", model] if model else []
        command = [program, *named, "--nobrowser", "-c", "4096", "--parallel", "1", *options]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), **variables}
        with serving(command, tmp_path / "log", environment) as server:
            yield server
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0

    return start


def folder_of(home: Path) -> Path:
    return home / ".cache" / "llamafile" / "prompts"


def states(home: Path) -> list[Path]:
    return [path for path in sorted(folder_of(home).glob("*.prompt")) if path.stat().st_size > 0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def cached(server: Server, system: str = SYSTEM, question: str = QUESTION, **fields: Any) -> int:
    """How many tokens of a conversation the server did not compute."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return usage(server, messages, **fields)[0]


def usage(server: Server, messages: list[dict[str, Any]], **fields: Any) -> tuple[int, str]:
    """The tokens that were known, and the text of the answer."""
    body = {"messages": messages, "max_tokens": 8, "temperature": 0, **fields}
    status, text = server.ask("/v1/chat/completions", body)
    assert status == 200, text
    answer = json.loads(text)
    message = answer["choices"][0]["message"]
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"], message["content"]


def test_a_second_start_knows_the_system_prompt(serve: Serve, home: Path) -> None:
    conversation = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    with serve() as server:
        known, first = usage(server, conversation)
        assert known == 0
    with serve() as server:
        known, second = usage(server, conversation)
        assert known >= len(SYSTEM)
        assert cached(server, OTHER) < 256
    assert second == first
    assert len(states(home)) == 2


def test_another_question_is_answered_as_without_it(serve: Serve) -> None:
    question = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "and another question"}]
    with serve("--cache-disk", 0) as server:
        expected = usage(server, question)
    with serve() as server:
        cached(server)
    with serve() as server:
        found = usage(server, question)
    assert (expected[0], found[1]) == (0, expected[1])
    assert found[0] >= len(SYSTEM)


def test_the_log_says_where_they_are(serve: Serve, home: Path) -> None:
    with serve() as server:
        cached(server, SHORT)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        assert [line for line in server.said if "system prompt" in line] == []
    with serve() as server:
        cached(server)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        (line,) = [line for line in server.said if "system prompt" in line]
    assert str(folder_of(home)) in line
    assert "--cache-disk 0 turns that off" in line


def test_what_the_user_wrote_is_not_kept(serve: Serve, home: Path) -> None:
    """Neither its tokens, nor more of them than the system's."""
    with serve() as server:
        cached(server)
        counted = json.loads(server.ask("/tokenize", {"content": SYSTEM})[1])["tokens"]
        question = json.loads(server.ask("/tokenize", {"content": QUESTION})[1])["tokens"]
    (state,) = states(home)
    content = state.read_bytes()
    assert int.from_bytes(content[24:32], "little") < len(counted) + TEMPLATE_MAX
    assert b"".join(token.to_bytes(4, "little") for token in counted[8:]) in content
    assert b"".join(token.to_bytes(4, "little") for token in question[4:]) not in content


def test_files_are_private(serve: Serve, home: Path) -> None:
    with serve() as server:
        cached(server)
        assert confinement(server.threads()) == ARE_CONFINED
    assert len(list(folder_of(home).iterdir())) == PLACES
    assert {path.stat().st_mode & 0o777 for path in folder_of(home).iterdir()} == {0o600}
    assert {folder.stat().st_mode & 0o777 for folder in (folder_of(home), folder_of(home).parent)} == {0o700}


@pytest.mark.parametrize("options", [("--cache-disk", "0"), ("--no-cache-prompt",)], ids=" ".join)
def test_it_can_be_turned_off(serve: Serve, home: Path, options: tuple[str, ...]) -> None:
    for _ in range(2):
        with serve(*options) as server:
            assert cached(server) == 0
    assert not folder_of(home).exists()


def test_a_request_can_ask_for_no_cache(serve: Serve, home: Path) -> None:
    with serve() as server:
        cached(server, cache_prompt=False)
    assert states(home) == []


def test_they_have_a_limited_size(serve: Serve, home: Path, tmp_path: Path) -> None:
    """The one that was not used for the longest time goes."""
    model = TinyModel(embedding=128, heads=2, layers=3, context=4096).write(tmp_path / "wide.gguf")
    prompts = ["You are a parrot. " * 50, "You are a pirate. " * 50, "You are a person. " * 50]
    for system in prompts[:2]:
        with serve("--cache-disk", "4", model=model) as server:
            assert cached(server, system) < 256
    assert 2 << 20 < sum(path.stat().st_size for path in states(home)) < 4 << 20
    with serve("--cache-disk", "4", model=model) as server:
        assert cached(server, prompts[0]) >= len(prompts[0])
    with serve("--cache-disk", "4", model=model) as server:
        assert cached(server, prompts[2]) < 256
    assert sum(path.stat().st_size for path in folder_of(home).iterdir()) < 4 << 20
    with serve("--cache-disk", "4", model=model) as server:
        assert cached(server, prompts[0]) >= len(prompts[0])
    with serve("--cache-disk", "4", model=model) as server:
        assert cached(server, prompts[1]) < 256


def test_one_that_is_larger_than_the_limit_is_not_kept(serve: Serve, home: Path, tmp_path: Path) -> None:
    model = TinyModel(embedding=128, heads=2, layers=3, context=4096).write(tmp_path / "wide.gguf")
    with serve("--cache-disk", "1", model=model) as server:
        cached(server)
    assert states(home) == []


def damage(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the state": lambda path: damage(path, path.stat().st_size // 2),
    "the last bit": lambda path: damage(path, -1),
    "a size in the header": lambda path: damage(path, 32),
    "a size beyond all bounds": lambda path: damage(path, 31),
    "a token": lambda path: damage(path, 48 + 4 * 1000),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "cut within the header": lambda path: os.truncate(path, 20),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "foreign": lambda path: path.write_bytes(b"something else" * 1000),
}


@pytest.mark.parametrize("harm", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one_is_not_used(serve: Serve, home: Path, harm: Callable[[Path], object]) -> None:
    """And gives way to a good one."""
    with serve() as server:
        cached(server)
    (state,) = states(home)
    harm(state)
    with serve() as server:
        assert cached(server) == 0
    with serve() as server:
        assert cached(server) >= len(SYSTEM)


def be_a_link(folder: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    folder.symlink_to(target)


def be_open_to_others(folder: Path, target: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


def be_a_file(folder: Path, target: Path) -> None:
    folder.write_text("x")


FOLDERS = {"a link": be_a_link, "open to others": be_open_to_others, "a file": be_a_file}


@pytest.mark.parametrize("prepare", FOLDERS.values(), ids=FOLDERS)
def test_an_unsafe_folder_is_not_used(
    serve: Serve, home: Path, tmp_path: Path, prepare: Callable[[Path, Path], None]
) -> None:
    """The server says nothing, unless it is asked to say what it does."""
    target = tmp_path / "target"
    folder_of(home).parent.mkdir(parents=True)
    prepare(folder_of(home), target)
    with serve() as server:
        assert cached(server) == 0
        assert server.remarks == []
    assert not target.exists() or list(target.iterdir()) == []
    with serve("--verbose") as server:
        server.log.seek(0)
        assert "the states of system prompts are not kept on disk: " in server.log.read().decode(errors="replace")


def test_a_link_in_the_folder_is_not_followed(serve: Serve, home: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    folder_of(home).mkdir(parents=True, mode=0o700)
    for number in range(PLACES):
        (folder_of(home) / f"{number:02}.prompt").symlink_to(victim)
    with serve() as server:
        cached(server)
    assert victim.read_bytes() == b""


@pytest.mark.parametrize("variables", [{"HOME": ""}, {"HOME": "/dev/null"}, {"HOME": "/proc/1"}], ids=str)
def test_a_user_without_a_folder_for_caches_has_a_server(serve: Serve, variables: dict[str, str]) -> None:
    with serve(**variables) as server:
        assert cached(server) == 0
        assert server.remarks == []


def test_they_are_where_the_user_has_caches(serve: Serve, home: Path, tmp_path: Path) -> None:
    with serve(XDG_CACHE_HOME=str(tmp_path / "caches")) as server:
        cached(server)
    assert not folder_of(home).exists()
    assert len(list((tmp_path / "caches" / "llamafile" / "prompts").iterdir())) == PLACES


def test_they_are_those_of_one_model(serve: Serve, tmp_path: Path) -> None:
    """Even if another one has its name, its size and its time."""
    model = tmp_path / "model.gguf"
    for seed in (5, 6):
        TinyModel(context=4096, seed=seed).write(model)
        os.utime(model, (1, 1))
        with serve(model=model) as server:
            assert cached(server) == 0
    with serve(model=model) as server:
        assert cached(server) >= len(SYSTEM)


OTHER_SETTINGS = [
    ("--cache-type-k", "f32"),
    ("--cache-type-v", "f32"),
    ("--rope-freq-base", "20000"),
    ("--flash-attn", "off"),
]


@pytest.mark.parametrize("options", OTHER_SETTINGS, ids=" ".join)
def test_they_are_those_of_one_setting(serve: Serve, options: tuple[str, ...]) -> None:
    with serve() as server:
        cached(server)
    with serve(*options) as server:
        assert cached(server) == 0
    with serve("--cache-ram", "0", "--ubatch-size", "64", "-c", "2048") as server:  # makes no difference
        assert cached(server) >= len(SYSTEM)


def test_a_system_prompt_that_begins_alike_is_computed_from_there(serve: Serve) -> None:
    with serve() as server:
        cached(server)
    with serve() as server:
        assert len(SYSTEM) - 40 < cached(server, SYSTEM[:-20] + "and a pirate.") < len(SYSTEM) + 40


def test_a_sliding_window_is_as_without_it(serve: Serve, tmp_path: Path) -> None:
    """A state of its memory cannot be cut."""
    fields = {field.name: getattr(GEMMA3, field.name) for field in dataclasses.fields(GEMMA3)}
    model = Gemma(**fields).write(tmp_path / "gemma.gguf")
    system = SYSTEM[:700]
    question = [{"role": "system", "content": system}, {"role": "user", "content": QUESTION}]
    options = ("-c", "1024")
    with serve(*options, "--cache-disk", 0, model=model) as server:
        expected = usage(server, question)[1]
    for least in (0, 256):
        with serve(*options, model=model) as server:
            known, text = usage(server, question)
            assert known >= least
            assert text == expected
    with serve(*options, model=model) as server:
        assert cached(server, system[:-20]) == 0


def write_recurrent(path: Path) -> Path:
    """A model whose memory is one state, which cannot be cut."""
    width, inner, state, rank, convolution = 32, 64, 16, 2, 4
    random = np.random.default_rng(7)
    shapes = {
        "ssm_in.weight": (2 * inner, width),
        "ssm_conv1d.weight": (inner, convolution),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (rank + 2 * state, inner),
        "ssm_dt.weight": (inner, rank),
        "ssm_dt.bias": (inner,),
        "ssm_d": (inner,),
        "ssm_out.weight": (width, inner),
    }
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(2)
    writer.add_ssm_conv_kernel(convolution)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    TinyModel().add_vocabulary(writer)
    for layer in range(2):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", np.ones(width, np.float32))
        writer.add_tensor(f"blk.{layer}.ssm_a", -np.ones((inner, state), np.float32))
        for name, shape in shapes.items():
            writer.add_tensor(f"blk.{layer}.{name}", random.standard_normal(shape, dtype=np.float32) * 0.3)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    writer.add_tensor("token_embd.weight", random.standard_normal((TinyModel().vocabulary, width), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_recurrent_model_is_as_without_it(serve: Serve, tmp_path: Path) -> None:
    """Also for a second question behind the same system prompt."""
    model = write_recurrent(tmp_path / "mamba.gguf")
    questions = [
        [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}] for text in (QUESTION, "hello")
    ]
    with serve("--cache-disk", 0, model=model) as server:
        expected = [usage(server, question)[1] for question in questions]
    for least in (0, len(SYSTEM)):
        with serve(model=model) as server:
            found = [usage(server, question) for question in questions]
            assert [text for _, text in found] == expected
            assert found[0][0] >= least
            assert found[1][0] >= len(SYSTEM)
    with serve(model=model) as server:
        assert cached(server, SYSTEM[:-20]) == 0


def test_a_model_that_sees_images_has_them_too(serve: Serve, tmp_path: Path) -> None:
    projector = TinyProjector().write(tmp_path / "mmproj.gguf")
    for least in (0, len(SYSTEM)):
        with serve("--mmproj", projector) as server:
            assert cached(server) >= least


def test_a_model_that_drafts_has_states_too(serve: Serve, roomy_model: Path) -> None:
    for least in (0, len(SYSTEM)):
        with serve("-md", roomy_model) as server:
            assert cached(server) >= least


def test_tools_belong_to_the_system_prompt(serve: Serve) -> None:
    """They come from the application too."""
    tool = {"name": "say", "description": "Say it. " * 100, "parameters": {"type": "object", "properties": {}}}
    question = [{"role": "user", "content": QUESTION}]
    for least in (0, 256):
        with serve("--chat-template", WITH_TOOLS) as server:
            known, _ = usage(server, question, tools=[{"type": "function", "function": tool}])
            assert known >= least


def test_two_servers_share_them(serve: Serve, program: Path, roomy_model: Path, home: Path, tmp_path: Path) -> None:
    """A state that one of them has written helps the other, which runs already."""
    command = [program, "-m", roomy_model, "--nobrowser", "-c", "4096", "--parallel", "1"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home)}
    with serve() as first, serving(command, tmp_path / "other", environment, free_port()) as second:
        cached(first)
        first.process.send_signal(signal.SIGTERM)
        first.process.wait(60)
        assert cached(second) >= len(SYSTEM)
        cached(second, OTHER)


def test_a_file_that_another_process_writes_is_left_alone(serve: Serve, home: Path) -> None:
    with serve() as server:
        cached(server)
    (state,) = states(home)
    content = state.read_bytes()
    with state.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        with serve() as server:
            assert cached(server) == 0
        assert state.read_bytes() == content


def test_the_models_of_one_server_have_them_too(serve: Serve, home: Path, tmp_path: Path) -> None:
    """Each its own; the processes of the models open no file."""
    models = tmp_path / "models"
    models.mkdir()
    for number, name in enumerate(("one", "two")):
        TinyModel(context=4096, seed=number).write(models / f"{name}.gguf")
    with serve("--models-dir", models, model=None) as server:
        assert cached(server, model="one") == 0
        wait_until(lambda: len(states(home)) == 1)
    with serve("--models-dir", models, model=None) as server:
        assert cached(server, model="two") == 0
        assert cached(server, model="one") >= len(SYSTEM)
    with serve("--models-dir", models, "--cache-disk", 0, model=None) as server:
        assert cached(server, model="one") == 0
