"""Row K9 of the promises: a browser sends requests for any page, and the server knows which of them to refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from tests.acceptance.api.completions import Completer, packed_program
from tests.acceptance.api.requests import send
from tests.acceptance.api.servers import serving
from tests.builders.network import SECOND_ADDRESS, in_private_network
from tests.conftest import tool
from zipalign import Member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from http.client import HTTPMessage
    from pathlib import Path

    from tests.acceptance.api.servers import Server

CHAT: Final = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1})
PREFLIGHT: Final = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
    "Access-Control-Request-Private-Network": "true",
}


def ask(server: Server, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, HTTPMessage, str]:
    """The answer to a request with exactly these headers."""
    return send(server, method, path, CHAT.encode() if method == "POST" else b"", headers)


@pytest.fixture(scope="module")
def server(program: Path, roomy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving([program, "-m", roomy_model, "--nobrowser"], tmp_path_factory.mktemp("origins") / "log") as started:
        yield started


@pytest.fixture(scope="module")
def open_server(program: Path, roomy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that allows two sites, by two options, and a name."""
    options = ("--allow-origin", "https://app.example,chrome-extension://abc", "--allow-origin", "http://B.example:81")
    log = tmp_path_factory.mktemp("origins") / "log"
    with serving([program, "-m", roomy_model, "--nobrowser", *options], log) as started:
        yield started


ALLOWED: Final = {
    "no browser": {},
    "HTTP/1.0 without a name": {"Host": ""},
    "own page": {"Origin": "http://127.0.0.1:{port}"},
    "own page by name": {"Origin": "http://localhost:{port}", "Host": "localhost:{port}"},
    "own page by a local name": {"Origin": "http://box.local:{port}", "Host": "box.local:{port}"},
    "a page of this machine": {"Origin": "http://localhost:3000"},
    "one with another scheme": {"Origin": "https://app.localhost"},
    "one at another address": {"Origin": "http://127.0.0.2:3000"},
    "one in IPv6": {"Origin": "http://[::1]:3000"},
    "a name without a dot": {"Host": "box:{port}"},
    "the host of a container": {"Host": "host.docker.internal:{port}"},
    "an address": {"Host": "192.168.1.5:{port}"},
    "an address of IPv6": {"Host": "[fe80::1]:{port}"},
    "a name in upper case": {"Host": "LOCALHOST.:{port}"},
}
REFUSED: Final = {
    "a foreign page": ({"Origin": "https://evil.example"}, "https://evil.example"),
    "a form": ({"Origin": "https://evil.example", "Content-Type": "text/plain"}, "https://evil.example"),
    "a page without an origin": ({"Origin": "null"}, "null"),
    "a name like ours": ({"Origin": "http://localhost.evil.example"}, "http://localhost.evil.example"),
    "a number like an address": ({"Origin": "http://127.0.0.1.evil.example"}, "http://127.0.0.1.evil.example"),
    "another spelling of an address": ({"Origin": "http://0x7f.1"}, "http://0x7f.1"),
    "the user of an address": ({"Origin": "http://localhost@evil.example"}, "http://localhost@evil.example"),
    "a path": ({"Origin": "http://localhost/evil"}, "http://localhost/evil"),
    "an origin without a host": ({"Origin": "http://"}, "http://"),
    "a rebound name": ({"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"}, "evil.example"),
    "a rebound name without an origin": ({"Host": "evil.example"}, "evil.example"),
    "a damaged name": ({"Host": "local host"}, "local host"),
    "a port that is none": ({"Host": "localhost:99999"}, "localhost:99999"),
    "a script of a foreign page": ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "another site"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_k9_senders_that_may_use_it(server: Server, name: str) -> None:
    for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models")):
        status, headers, text = ask(server, method, path, ALLOWED[name])
        assert status == 200, text
        origin = ALLOWED[name].get("Origin", "").format(port=server.port)
        assert headers.get_all("Access-Control-Allow-Origin", []) == ([origin] if origin else [])
        assert "Origin" in headers["Vary"]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/completion", "/v1/messages"])
def test_k9_senders_that_may_not(server: Server, name: str, path: str) -> None:
    sent, words = REFUSED[name]
    status, headers, text = ask(server, "POST", path, sent)
    error = json.loads(text)["error"]
    assert status == 403
    assert words in error["message"]
    assert "--allow-origin" in error["message"]
    assert error["type"] == "permission_error"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", ["/", "/health", "/props", "/v1/models", "/slots", "/nothing"])
def test_k9_a_foreign_page_reads_nothing(server: Server, path: str) -> None:
    status, headers, _ = ask(server, "GET", path, {"Origin": "https://evil.example"})
    assert status == 403
    assert "Access-Control-Allow-Origin" not in headers


def test_k9_a_link_to_its_page_works(server: Server) -> None:
    sent = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(server, "GET", "/v1/models", sent)[0] == 200


def test_k9_preflights(server: Server) -> None:
    status, headers, _ = ask(server, "OPTIONS", "/v1/chat/completions", {**PREFLIGHT, "Origin": "https://evil.example"})
    assert status == 403
    assert not [name for name in headers if name.startswith("Access-Control")]
    status, headers, _ = ask(
        server, "OPTIONS", "/v1/chat/completions", {**PREFLIGHT, "Origin": "http://localhost:3000"}
    )
    told = {name: value for name, value in headers.items() if name.startswith("Access-Control")}
    assert status == 200
    assert told == {
        "Access-Control-Allow-Origin": "http://localhost:3000",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": "authorization,content-type",
        "Access-Control-Allow-Private-Network": "true",
    }


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"Origin": "https://app.example"}, 200),
        ({"Origin": "https://APP.example:443"}, 200),
        ({"Origin": "chrome-extension://abc"}, 200),
        ({"Origin": "http://b.example:81"}, 200),
        ({"Host": "app.example"}, 200),
        ({"Origin": "https://app.example", "Host": "app.example:{port}"}, 200),
        ({"Origin": "http://app.example"}, 403),
        ({"Origin": "https://app.example:444"}, 403),
        ({"Origin": "https://sub.app.example"}, 403),
        ({"Origin": "http://b.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_k9_allowed_origins(open_server: Server, sent: dict[str, str], expected: int) -> None:
    assert ask(open_server, "POST", "/v1/chat/completions", sent)[0] == expected


@pytest.mark.parametrize("option", ["--allow-origin", "--cors-origins"])
def test_k9_all_origins(program: Path, tiny_model: Path, tmp_path: Path, option: str) -> None:
    """Without credentials, as a browser requires."""
    with serving([program, "-m", tiny_model, "--nobrowser", option, "*"], tmp_path / "log") as server:
        status, headers, _ = ask(server, "OPTIONS", "/v1/models", {**PREFLIGHT, "Origin": "https://any.example"})
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
        assert "Access-Control-Allow-Credentials" not in headers
        assert ask(server, "GET", "/v1/models", {"Origin": "null", "Host": "any.example"})[0] == 200
        assert warns_of_all_origins(server)


def warns_of_all_origins(server: Server) -> bool:
    """The engine does, when it allows them."""
    server.log.seek(0)
    return b"allows all origins" in server.log.read()


def test_k9_what_is_not_allowed_is_no_warning(server: Server, open_server: Server) -> None:
    assert not warns_of_all_origins(server)
    assert not warns_of_all_origins(open_server)


def test_k9_the_origins_in_a_file(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The arguments in `.args` allow a publisher's site."""
    arguments = b"-m\nmodel.gguf\n--allow-origin\nhttps://app.example\n...\n"
    packed = packed_program(program, tmp_path, Member(".args", arguments), Member("model.gguf", tiny_model))
    with serving([packed, "--server", "--nobrowser"], tmp_path / "log") as server:
        assert ask(server, "GET", "/v1/models", {"Origin": "https://app.example"})[0] == 200
        assert ask(server, "GET", "/v1/models", {"Origin": "https://evil.example"})[0] == 403


@pytest.mark.parametrize("value", ["app.example", "https://", "https://app.example/", "https://app.example:x", ""])
def test_k9_what_is_no_origin_is_refused(program: Path, tiny_model: Path, value: str) -> None:
    sentence = Completer((str(program),)).sentence("-m", tiny_model, "--nobrowser", "--allow-origin", value)
    expected = "'--allow-origin' takes the origin of a web page, such as https://app.example, or *"
    assert sentence == f"llamafile: {expected}, not '{value}'\n"


def test_k9_an_api_key_is_required_as_before(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    with serving([program, "-m", tiny_model, "--nobrowser", "--api-key", "secret"], tmp_path / "log") as server:
        key = {"Authorization": "Bearer secret"}
        assert ask(server, "GET", "/v1/models", {"Origin": "http://localhost:1"})[0] == 401
        assert ask(server, "GET", "/v1/models", {"Origin": "http://localhost:1", **key})[0] == 200
        assert ask(server, "GET", "/v1/models", {"Origin": "https://evil.example", **key})[0] == 403


def test_k9_names_in_a_network(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """A server for other machines has names that it cannot know, but on loopback they are still not its own."""
    tool("curl")
    script = (
        """
    "$1" -m "$2" --nobrowser --host 0.0.0.0 2>"$3" &
    until grep -q 'listening on' "$3"; do sleep 0.05; done
    for address in 127.0.0.1 """
        + SECOND_ADDRESS
        + """; do
        curl -s -o /dev/null -w '%{http_code}\n' -H 'Host: gpu.corp.example:8080' http://$address:8080/v1/models
        curl -s -o /dev/null -w '%{http_code}\n' -H 'Origin: https://evil.example' http://$address:8080/v1/models
    done
    """
    )
    result = in_private_network(script, program, tiny_model, tmp_path / "log")
    assert result.stdout.split() == ["403", "403", "200", "403"], result.stderr
