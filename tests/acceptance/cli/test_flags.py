"""C1-C8, A10, B7 and the options of older llamafiles: what the program does with each of them."""

from __future__ import annotations

import json
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.api.servers import Server, serving
from tests.acceptance.packaging.packing import added, busy_port, packed, words
from tests.pipeline.conftest import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Serve = Callable[..., AbstractContextManager[Server]]

A = 260  # the token of TinyModel that is the letter a


@pytest.fixture
def tiny(llamafile: Path, tiny_model: Path) -> Path:
    return packed(llamafile, tiny_model)


@pytest.fixture
def serve(tiny: Path, bare: dict[str, str], tmp_path: Path) -> Serve:
    """Serve the tiny model with more options."""

    def start(*arguments: str, **options: Any) -> AbstractContextManager[Server]:
        command = ["/bin/sh", tiny, "--server", "--nobrowser", *arguments]
        return serving(command, tmp_path / "log", bare, **options)

    return start


@dataclass(frozen=True)
class Spelling:
    """Old and new arguments that mean the same."""

    old: tuple[str, ...]
    new: tuple[str, ...]


SPELLINGS = (
    Spelling(("--n_predict", "4"), ("-n", "4")),
    Spelling(("-fa", "-n", "4"), ("-fa", "on", "-n", "4")),
    Spelling(("--flash_attn", "-n", "4"), ("-fa", "on", "-n", "4")),
    Spelling(("--numa", "-n", "4"), ("--numa", "distribute", "-n", "4")),
    Spelling(("--memory-f32", "-n", "8"), ("-ctk", "f32", "-ctv", "f32", "-n", "8")),
    Spelling(("--mlock", "-n", "4"), ("-lm", "mmap+mlock", "-n", "4")),
    Spelling(("--no-mmap", "-n", "4"), ("-lm", "none", "-n", "4")),
    Spelling(("-n", "4", "--batch_size", "16", "--ctx_size", "128"), ("-n", "4", "-b", "16", "-c", "128")),
    Spelling(("-n", "4", "--temp", "1", "--temp", "0"), ("-n", "4", "--temp", "0")),
    Spelling(("-n", "4", "--gpu", "DISABLED"), ("-n", "4")),
    Spelling(("-n", "4", "-ngl", "0"), ("-n", "4")),
    Spelling(("-n", "4", "--nobrowser", "--unsealed"), ("-n", "4")),
)


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: " ".join(spelling.old))
def test_an_old_spelling_is_the_new_one(tiny: Path, bare: dict[str, str], spelling: Spelling) -> None:
    assert added(tiny, bare, *spelling.old) == added(tiny, bare, *spelling.new)


def test_c6_color_alone_is_on(tiny: Path, bare: dict[str, str]) -> None:
    """And takes no other option for its value."""
    old, new = (run(tiny, "--color", *state, "-n", "4", "-p", "hello", env=bare) for state in ([], ["on"]))
    assert (old.returncode, old.stderr) == (0, "")
    assert old.stdout == new.stdout


def test_c8_the_silent_prompt_is_not_displayed(tiny: Path, bare: dict[str, str]) -> None:
    text = added(tiny, bare, "-n", "8")
    for flag in ("--silent-prompt", "--no-display-prompt"):
        result = run(tiny, flag, "-n", "8", "-p", "hello", env=bare)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == text


# All that have no effect, with a value if they have one.
GONE = {
    "--recompile": None,
    "--nocompile": None,
    "--tinyblas": None,
    "--mul-mat-q": None,
    "-mmq": None,
    "--no-mul-mat-q": None,
    "-nommq": None,
    "--low-vram": None,
    "--precise": None,
    "--fast": None,
    "--iq": None,
    "--trap": None,
    "--trace": None,
    "--logdir": "logs",
    "-ld": "logs",
    "--log-test": None,
    "--log-enable": None,
    "--log-new": None,
    "--log-append": None,
    "--log-format": "text",
    "--cfg-negative-prompt": "no",
    "--cfg-negative-prompt-file": "no.txt",
    "--cfg-scale": "1",
    "--tfs": "1",
    "--penalize-nl": None,
    "--no-penalize-nl": None,
    "--instruct": None,
    "-ins": None,
    "--chatml": None,
    "-cml": None,
    "--lora-base": "base.gguf",
    "--logits-all": None,
    "--dump-kv-cache": None,
    "-dkvc": None,
    "--ascii": None,
    "--nologo": None,
    "--chatbot-mode": None,
    "--completion-mode": None,
    "--workers": "4",
    "-w": "4",
    "--keepalive": "5",
    "-k": "5",
    "--trust": "10.0.0.0/8",
    "--token-rate": "1",
    "--token-burst": "100",
    "--token-cidr": "24",
    "--ip-header": "X-Forwarded-For",
    "-H": "X-Header: value",
    "--db": "chats.sqlite",
    "--db-startup-sql": "PRAGMA",
    "-ngl": "9999",
    "--gpu-layers": "35",
    "--n-gpu-layers": "35",
    "-ngld": "9",
    "-ts": "1,1",
    "-sm": "row",
    "-mg": "1",
    "-np": "2",
    "--slots": "2",
    "--host": "::",
    "--api-key": "secret",
    "--draft": "4",
}


@pytest.mark.parametrize(("flag", "value"), GONE.items(), ids=GONE)
def test_what_has_no_effect_is_said_once(tiny: Path, bare: dict[str, str], flag: str, value: str | None) -> None:
    given = [flag] if value is None else [flag, value]
    result = run(tiny, *given, *given, "-l", f"{A}+100", "-n", "4", "-p", "hello", env=bare)
    assert (result.returncode, result.stdout) == (0, "helloaaaa\n")
    assert re.fullmatch(rf"llamafile: '{flag}' has no effect: .+\n", result.stderr)


def test_the_list_above_is_complete(llamafile: Path, bare: dict[str, str]) -> None:
    text = run(llamafile, "--help", env=bare).stdout.partition("accepted without effect:\n")[2]
    names = {name for line in text.splitlines() for name in line[2:36].strip().split(", ")}
    assert names - set(GONE) == set()


def test_c3_backslashes_are_literal(tiny: Path, bare: dict[str, str]) -> None:
    result = run(tiny, "-n", "1", "-p", r"a\nb\t", env=bare)
    assert result.stdout.startswith(r"a\nb\t")


def test_c2_escapes_are_expanded_on_demand(tiny: Path, bare: dict[str, str]) -> None:
    result = run(tiny, "-n", "1", "-e", "-p", r"a\nb\t", env=bare)
    assert result.stdout.startswith("a\nb\t")
    result = run(tiny, "-n", "9", "-e", "-l", "13+100", "-r", r"\n", "-p", "a", env=bare)  # token 13 is a newline
    assert result.stdout == "a\n"


def test_c5_all_reverse_prompts_count(tiny: Path, bare: dict[str, str]) -> None:
    for first, second in (("aa", "zz"), ("zz", "aa")):
        result = run(tiny, "-n", "9", "-l", f"{A}+100", "-r", first, "-r", second, "-p", "b", env=bare)
        assert result.stdout == "baa\n"


def test_a_random_prompt_begins_a_text(tiny: Path, bare: dict[str, str]) -> None:
    result = run(tiny, "--random-prompt", "-n", "2", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Once upon a time")


def test_k_is_1024_tokens(tiny: Path, bare: dict[str, str]) -> None:
    for size, tokens in (("1k", 1024), ("1K", 1024), ("512", 512)):
        result = run(tiny, "-c", size, "-p", "a" * 2000, env=bare)
        assert result.returncode == 1
        assert re.search(rf"\b{tokens}\b", result.stderr)


def test_log_disable_does_not_disable_the_text(tiny: Path, bare: dict[str, str]) -> None:
    assert added(tiny, bare, "-n", "4", "--log-disable") == added(tiny, bare, "-n", "4")


def test_a_scale_may_be_a_word_of_its_own(tiny: Path, bare: dict[str, str]) -> None:
    for arguments in (["absent.gguf", "0.5"], ["absent.gguf:0.5"], ["absent.gguf:0.5", "-n", "2"]):
        result = run(tiny, "--lora-scaled", *arguments, "-p", "hello", env=bare)
        assert result.returncode == 1
        assert "absent.gguf" in result.stderr
        assert "belongs to no option" not in result.stderr


@pytest.mark.parametrize("brand", ["nvidia", "NVIDIA", "cublas", "amd", "rocm", "rocblas", "hip", "apple", "metal"])
def test_e8_a_gpu_that_is_not_there_is_an_error(tiny: Path, bare: dict[str, str], brand: str) -> None:
    sentence = words(run(tiny, "--gpu", brand, "-p", "hello", env=bare))
    assert f"--gpu {brand}" in sentence


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--gpu", "matrox"], ("auto, nvidia, amd, apple, intel, vulkan or disable", "'matrox'")),
        (["--no-such-option"], ("'--no-such-option'", "--help")),
        (["--no_such_option"], ("'--no-such-option'",)),
        (["-zzz"], ("'-zzz'",)),
        (["hello"], ("'hello'", "-p")),
        (["-n"], ("'-n' needs a value",)),
        (["--control-vector-layer-range", "1"], ("'--control-vector-layer-range' needs a value",)),
        (["--listen", "8080"], ("HOST:PORT", "'8080'")),
        (["-spf", "absent.txt"], ("absent.txt",)),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_sentence(
    tiny: Path, bare: dict[str, str], arguments: list[str], expected: tuple[str, ...]
) -> None:
    sentence = words(run(tiny, "--server", *arguments, env=bare))
    for word in expected:
        assert word in sentence


@pytest.mark.parametrize("flag", ["-l", "--listen"])
def test_listen_is_host_and_port(tiny: Path, bare: dict[str, str], flag: str) -> None:
    with busy_port() as port:
        assert f"127.0.0.1:{port}" in words(run(tiny, flag, f"127.0.0.1:{port}", env=bare))


def test_a_letter_without_a_colon_is_a_bias(tiny: Path, bare: dict[str, str]) -> None:
    assert added(tiny, bare, "-n", "4", "-l", f"{A}+100") == "aaaa\n"


def test_the_command_lines_options_have_no_effect_on_a_server(serve: Serve) -> None:
    given = ["-p", "hello", "--no-display-prompt", "--prompt-cache", "cache", "--image", "x.png", "--color"]
    with serve(*given) as server:
        said = [line for line in server.said if "has no effect" in line]
    assert [re.findall(r"'(.*?)'", line)[0] for line in said] == [flag for flag in given if flag.startswith("-")]
    assert all("server mode" in line for line in said)


def test_a10_layers_for_a_gpu_that_is_not_there(serve: Serve) -> None:
    with serve("-ngl", "9999") as server:
        assert server.ask("/completion", {"prompt": "hello", "n_predict": 2})[0] == 200
        assert [line for line in server.said if "GPU" in line] != []
        server.log.seek(0)
        assert b"warning: " not in server.log.read()


def test_old_names_of_the_servers_options(serve: Serve, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("You are a pirate.\n")
    options = ["--url-prefix", "/x", "--slots", "2", "-spf", str(prompt), "-cb", "--draft", "4", "--parallel", "3"]
    with serve(*options, prefix="/x") as server:
        properties = json.loads(server.ask("/props")[1])
        assert properties["total_slots"] == 3
        assert "You are a pirate." in json.dumps(properties)
        assert server.ask("/slots")[0] == 200


def test_a_system_prompt_of_the_first_llamafiles_is_json(serve: Serve, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.json"
    prompt.write_text(json.dumps({"prompt": "You are a pirate.", "anti_prompt": "User:", "assistant_name": "Mate:"}))
    with serve("--system-prompt-file", str(prompt), "--slots-endpoint-disable") as server:
        properties = json.loads(server.ask("/props")[1])
        assert '"You are a pirate."' in json.dumps(properties)
        assert server.ask("/slots")[0] != 200


def test_www_root_is_path(serve: Serve, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "hello.txt").write_text("a page")
    with serve("--www-root", str(pages)) as server:
        assert server.ask("/hello.txt") == (200, "a page")


def test_b7_embeddings_and_texts_from_one_server(serve: Serve) -> None:
    for options in ([], ["--embedding"], ["--embeddings"]):
        with serve(*options) as server:
            status, text = server.ask("/embedding", {"content": "hello"})
            assert status == 200
            assert len(json.loads(text)[0]["embedding"][0]) == 32
            status, text = server.ask("/v1/embeddings", {"model": "x", "input": ["hello", "world"]})
            assert status == 200
            assert [len(row["embedding"]) for row in json.loads(text)["data"]] == [32, 32]
            assert server.chat()[0] == 200


def memory(server: Server, name: str) -> int:
    return int(server.threads()[0][name].split()[0])


def test_mlock_locks_and_no_mmap_does_not_map(serve: Serve, tiny: Path) -> None:
    def is_mapped(server: Server) -> bool:
        maps = Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8").splitlines()
        return any(" r--s " in line and str(tiny) in line for line in maps)

    with serve() as server:
        assert is_mapped(server)
        assert memory(server, "VmLck") == 0
    with serve("--no-mmap") as server:
        assert not is_mapped(server)
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] < 1 << 20:
        pytest.skip("this user may not lock memory")
    with serve("--mlock") as server:
        assert is_mapped(server)
        assert memory(server, "VmLck") > 0
    with serve("--mlock", "--no-mmap") as server:
        assert not is_mapped(server)
        assert memory(server, "VmLck") > 0
