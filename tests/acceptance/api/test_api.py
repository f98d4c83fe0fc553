"""Rows B1 to B7 of the promises: the HTTP API."""

from __future__ import annotations

import json
import math
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from tests.acceptance.api.servers import serving
from tests.builders.network import SECOND_ADDRESS, in_private_network
from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.api.servers import Server

# Starts "$1" -m "$2" with the other arguments, and goes on when it answers.
START = """
program=$1 model=$2 log=$3; shift 3
"$program" -m "$model" --nobrowser "$@" 2>"$log" &
until grep -q 'listening on' "$log"; do kill -0 $! || { cat "$log"; exit 1; }; sleep 0.05; done
"""
# As llamafile's README has it.
CURL_EXAMPLE = r"""
curl http://localhost:8080/v1/chat/completions \
-H "Content-Type: application/json" \
-H "Authorization: Bearer no-key" \
-d '{
  "model": "LLaMA_CPP",
  "messages": [
      {
          "role": "system",
          "content": "You are LLAMAfile, an AI assistant. Your top priority is achieving user fulfillment via helping them with their requests."
      },
      {
          "role": "user",
          "content": "Write a limerick about python exceptions"
      }
    ]
}' | python3 -c '
import json
import sys
json.dump(json.load(sys.stdin), sys.stdout, indent=2)
print()
'
"""  # noqa: E501  # verbatim
OPENAI_EXAMPLE = """
#!/usr/bin/env python3
from openai import OpenAI
client = OpenAI(
    base_url="http://localhost:8080/v1", # "http://<Your api-server IP>:port"
    api_key = "sk-no-key-required"
)
completion = client.chat.completions.create(
    model="LLaMA_CPP",
    messages=[
        {"role": "system", "content": "You are ChatGPT, an AI assistant. Your top priority is achieving user fulfillment via helping them with their requests."},
        {"role": "user", "content": "Write a limerick about python exceptions"}
    ]
)
print(completion.choices[0].message)
"""  # noqa: E501  # verbatim
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def server(program: Path, roomy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    # What a random model says without a seed may end before it begins.
    with serving([program, "-m", roomy_model, "--nobrowser", "--seed", "1"], log) as started:
        yield started


def answer(server: Server, path: str, body: object) -> Any:
    status, text = server.ask(path, body)
    assert status == 200, text
    return json.loads(text)


def test_b1_listens_on_port_8080_of_this_machine_only(program: Path, roomy_model: Path, tmp_path: Path) -> None:
    listening = "while read -r _ local _ state _; do [ $state = 0A ] && echo $local; done </proc/net/tcp"
    post = 'curl -s http://127.0.0.1:8080/v1/chat/completions -d \'{"max_tokens":1,"messages":[]}\' -o /dev/null'
    script = START + listening + "\n" + post + " -w '%{http_code}'"
    tool("curl")
    result = in_private_network(script, program, roomy_model, tmp_path / "log")
    assert result.stdout.splitlines() == ["0100007F:1F90", "200"], result.stderr
    said = [line for line in (tmp_path / "log").read_text().splitlines() if "listening" in line]
    assert said == ["llamafile: listening on http://127.0.0.1:8080"]


def test_b1_the_next_ten_ports_are_tried(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Twelve servers: the first has 8080, the last finds nothing; one that wants a port gets that or none."""
    script = f"""
    start() {{ {START} }}
    for log in 0 1 2 3 4 5 6 7 8 9 10; do start "$1" "$2" "$3$log"; done
    "$1" -m "$2" --nobrowser
    echo $?
    "$1" -m "$2" --port 8085
    echo $?
    cat "$3"*
    """
    result = in_private_network(script, program, tiny_model, tmp_path / "log")
    *statuses, _ = result.stdout.split("\n", 2)
    assert statuses == ["1", "1"], result.stdout
    # Not by whole lines: the engine, which logs in a thread of its own, may be in the middle of one.
    urls = re.findall(r"llamafile: listening on http://127\.0\.0\.1:(\d+)\b", result.stdout)
    assert sorted(map(int, urls)) == list(range(8080, 8091))
    assert re.search(r"llamafile: port 8080 is in use; this server takes 8090\b", result.stdout)
    assert re.findall(r"llamafile: (cannot .*)", result.stderr) == [
        "cannot listen on 127.0.0.1: the ports from 8080 to 8090 are in use; choose another one with --port",
        "cannot listen on 127.0.0.1:8085: the port is in use; choose another one with --port",
    ]


def test_b1_a_port_that_is_taken_at_the_last_moment(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """It was free when the server looked, and is not when the engine listens: the next one is."""
    strace = f'{tool("strace")} -f -o "$log.strace" -e inject=bind:error=EADDRINUSE:when=2..4 "$program"'
    script = START.replace('"$program"', strace) + "curl -s http://127.0.0.1:8081/health"
    result = in_private_network(script, program, tiny_model, tmp_path / "log")
    assert json.loads(result.stdout) == {"status": "ok"}, (tmp_path / "log").read_text()


def test_b1_all_interfaces_are_named(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """With --host 0.0.0.0: what a browser could open, here first, instead of an address that none could."""
    script = START + f'curl -s http://{SECOND_ADDRESS}:8080/health; cat "$log" >&2'
    result = in_private_network(script, program, tiny_model, tmp_path / "log", "--host", "0.0.0.0")  # noqa: S104
    assert json.loads(result.stdout) == {"status": "ok"}
    said = [line for line in result.stderr.splitlines() if "listening" in line]
    assert said == [f"llamafile: listening on http://{host}:8080" for host in ("127.0.0.1", SECOND_ADDRESS)]


def test_b2_the_curl_example(program: Path, roomy_model: Path, tmp_path: Path) -> None:
    tool("curl")
    result = in_private_network(START + CURL_EXAMPLE, program, roomy_model, tmp_path / "log", "--seed", "1")
    response = json.loads(result.stdout)
    assert response["choices"][0]["message"]["content"]
    assert response["model"] == "LLaMA_CPP"


def test_b3_the_shape_of_a_response(server: Server) -> None:
    response = answer(server, "/v1/chat/completions", {"model": "LLaMA_CPP", "messages": HELLO, "max_tokens": 4})
    choice = response["choices"][0]
    assert (choice["finish_reason"], choice["index"], choice["message"]["role"]) == ("length", 0, "assistant")
    assert isinstance(choice["message"]["content"], str)
    assert isinstance(response["created"], int)
    assert response["id"].startswith("chatcmpl-")
    assert response["object"] == "chat.completion"
    usage = response["usage"]
    assert usage["completion_tokens"] == 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


REQUESTS: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {"messages": HELLO, "max_tokens": 2},
    "/v1/completions": {"prompt": "hello", "max_tokens": 2},
    "/completion": {"prompt": "hello", "n_predict": 2},
    "/v1/responses": {"input": "hello", "max_output_tokens": 2},
    "/v1/messages": {"messages": HELLO, "max_tokens": 2},
    "/v1/embeddings": {"input": "hello"},
}


@pytest.mark.parametrize("path", REQUESTS)
def test_b4_the_answer_has_the_model_name_of_the_request(server: Server, path: str) -> None:
    assert answer(server, path, {**REQUESTS[path], "model": "LLaMA_CPP"})["model"] == "LLaMA_CPP"
    assert answer(server, path, REQUESTS[path])["model"] == "roomy.gguf"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/completion"])
def test_b4_so_do_the_pieces_of_a_stream(server: Server, path: str) -> None:
    body = {**REQUESTS[path], "model": "LLaMA_CPP", "stream": True, "ignore_eos": True}
    status, text = server.ask(path, body)
    pieces = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert status == 200
    assert len(pieces) > 1
    assert {piece["model"] for piece in pieces if "model" in piece} == {"LLaMA_CPP"}


def test_b4_an_alias_is_the_name(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    with serving([program, "-m", tiny_model, "--nobrowser", "--alias", "nonsense"], tmp_path / "log") as server:
        response = answer(server, "/v1/chat/completions", {"model": "LLaMA_CPP", "messages": HELLO, "max_tokens": 1})
        assert response["model"] == "nonsense"
        assert json.loads(server.ask("/v1/models")[1])["data"][0]["id"] == "nonsense"


def test_b5_the_openai_example(program: Path, roomy_model: Path, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(OPENAI_EXAMPLE)
    script = START + f'"{sys.executable}" "{tmp_path}/example.py"'
    result = in_private_network(script, program, roomy_model, tmp_path / "log")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("ChatCompletionMessage(content=")


def test_b5_the_openai_client_streams(server: Server) -> None:
    import openai  # a second and a half, which collecting does without

    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="any") as client:
        stream = client.chat.completions.create(
            model="LLaMA_CPP", messages=[{"role": "user", "content": "hello"}], max_tokens=8, stream=True
        )
        pieces = list(stream)
        assert pieces[-1].choices[0].finish_reason == "length"
        assert client.models.list().data[0].id == "roomy.gguf"
        embeddings = client.embeddings.create(model="any", input=["hello", "world"])
    assert [len(embedding.embedding) for embedding in embeddings.data] == [32, 32]


def test_b6_fields_of_llama_cpp(server: Server) -> None:
    fields = {"mirostat": 2, "mirostat_tau": 5.0, "mirostat_eta": 0.1, "n_predict": 8}
    completion = answer(server, "/completion", {"prompt": "hello", **fields, "grammar": 'root ::= "yes" | "no"'})
    assert completion["content"] in {"yes", "no"}
    settings = completion["generation_settings"]
    assert (settings["mirostat"], settings["mirostat_tau"]) == (2, 5.0)
    chat = {"messages": HELLO, "mirostat": 2, "grammar": 'root ::= "left" | "right"'}
    assert answer(server, "/v1/chat/completions", chat)["choices"][0]["message"]["content"] in {"left", "right"}


def test_b6_a_json_schema_holds(server: Server) -> None:
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    completion = answer(server, "/completion", {"prompt": "hello", "n_predict": 256, "json_schema": schema})
    assert isinstance(json.loads(completion["content"])["sure"], bool)


def test_b7_tokens_there_and_back(server: Server) -> None:
    tokens = answer(server, "/tokenize", {"content": "hello world"})["tokens"]
    assert tokens
    assert answer(server, "/detokenize", {"tokens": tokens})["content"].strip() == "hello world"


def test_b7_embeddings_beside_chat(server: Server) -> None:
    """One server does both, without being asked to."""
    (pooled,) = answer(server, "/v1/embeddings", {"input": "hello"})["data"]
    assert math.isclose(math.hypot(*pooled["embedding"]), 1, abs_tol=1e-3)
    assert answer(server, "/embedding", {"content": "hello"})[0]["embedding"][0] == pytest.approx(pooled["embedding"])
    assert server.chat()[0] == 200


def test_b7_properties_of_the_server(server: Server) -> None:
    told = {path: json.loads(server.ask(path)[1]) for path in ("/health", "/props", "/slots", "/v1/models")}
    assert told["/health"] == {"status": "ok"}
    assert told["/props"]["total_slots"] == len(told["/slots"]) == 4
    assert told["/v1/models"]["object"] == "list"


def test_b7_the_template_that_a_chat_gets(server: Server) -> None:
    assert "hello" in answer(server, "/apply-template", {"messages": HELLO})["prompt"]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [("/infill", {"input_prefix": "a", "input_suffix": "b"}, "Infill is not supported by this model")],
)
def test_b7_unsupported_requests_are_refused(server: Server, path: str, body: object, words: str) -> None:
    status, text = server.ask(path, body)
    assert status == 501
    assert words in json.loads(text)["error"]["message"]


def test_b7_metrics_if_asked_for(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    with serving([program, "-m", tiny_model, "--nobrowser", "--metrics"], tmp_path / "log") as server:
        assert server.chat()[0] == 200
        status, text = server.ask("/metrics")
    assert status == 200
    assert re.search(r"^llamacpp:tokens_predicted_total 4$", text, re.MULTILINE)


def test_b7_several_streams_at_once(server: Server) -> None:
    """Each with the text that it would have got alone."""
    bodies = [{"prompt": text, "n_predict": 200, "temperature": 0, "stream": True} for text in ("a", "b", "c", "d")]

    def ask(body: object) -> str:
        status, text = server.ask("/completion", body)
        assert status == 200
        return "".join(json.loads(line[6:])["content"] for line in text.splitlines() if line.startswith("data: {"))

    alone = [ask(body) for body in bodies]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, bodies)) == alone


def test_b7_an_api_key_if_there_is_one(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    with serving([program, "-m", tiny_model, "--nobrowser", "--api-key", "secret"], tmp_path / "log") as server:
        assert server.chat()[0] == 401
        with urlopen(f"http://127.0.0.1:{server.port}/health", timeout=10) as health:
            assert health.status == 200


@pytest.mark.parametrize("limit", [{}, {"n_predict": -1}, {"n_predict": 1000}, {"max_tokens": -1}], ids=str)
def test_a_text_ends_where_the_context_is_full(
    program: Path, tiny_model: Path, tmp_path: Path, limit: dict[str, int]
) -> None:
    """As on the command line."""
    command = [program, "-m", tiny_model, "-c", "256", "-np", "1", "--nobrowser"]
    with serving(command, tmp_path / "log") as server:
        status, text = server.ask("/completion", {"prompt": "hello", "ignore_eos": True, **limit})
    answer = json.loads(text)
    assert (status, answer["truncated"], answer["stop_type"]) == (200, True, "limit")
    assert answer["tokens_evaluated"] + answer["tokens_predicted"] == 256
