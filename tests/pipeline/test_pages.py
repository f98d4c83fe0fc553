"""What the server shows at `/`: the engine's page, a publisher's own, a folder, or nothing."""

from __future__ import annotations

import subprocess
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.acceptance.api.servers import free_port, wait_until_healthy
from tests.pipeline.conftest import run
from zipalign import Member, add_files, read_archive, remove_entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse
    from pathlib import Path

OWN_SITE = {
    "www/index.html": b"<!doctype html><title>mine</title>",
    "www/docs/index.html": b"<!doctype html><title>docs</title>",
    "www/style.css": b"p { color: green }\n",
    "www/photo (1)+[2].png": b"\x89PNG",
    "www/empty.txt": b"",
    "www/unknown.xyz": b"?",
}


class Site:
    """A server's pages."""

    def __init__(self, port: int, server: subprocess.Popen[str]) -> None:
        self._port = port
        self.server = server

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers of the answer to a plain request, such as curl makes."""
        request = Request(f"http://127.0.0.1:{self._port}{path}", headers=headers, method=method)  # ours
        try:
            answer: HTTPResponse | HTTPError = urlopen(request, timeout=60)  # noqa: S310  # the same
        except HTTPError as error:
            answer = error
        with answer:
            return answer.status or 0, answer.read(), dict(answer.headers)

    def messages(self) -> str:
        """End the server and return what it said."""
        self.server.kill()
        return self.server.stderr.read() if self.server.stderr else ""


@contextmanager
def shown(program: Path, environment: dict[str, str], *arguments: str) -> Iterator[Site]:
    """Run PROGRAM as a server for the block."""
    port = free_port()
    command = ["/bin/sh", str(program), "--server", "--nobrowser", "--port", str(port), *arguments]
    with subprocess.Popen(command, env=environment, text=True, errors="replace", stderr=subprocess.PIPE) as server:
        try:
            wait_until_healthy(server, port)
            yield Site(port, server)
        finally:
            server.kill()


@pytest.fixture
def packed(llamafile: Path, tiny_model: Path) -> Path:
    """A llamafile with a model in it."""
    add_files(llamafile, [Member("tiny.gguf", tiny_model)])
    return llamafile


def title_of(page: bytes) -> bytes:
    return page.partition(b"<title>")[2].partition(b"</title>")[0]


def test_every_page_is_served_as_it_was_built(packed: Path, bare: dict[str, str]) -> None:
    """To a client that knows nothing of compression, and with the type by which a browser runs it."""
    types = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    types |= {"png": "image/png", "ico": "image/x-icon", "json": "application/json"}
    types |= {"webmanifest": "application/manifest+json", "txt": "text/plain"}
    with zipfile.ZipFile(packed) as archive, shown(packed, bare) as site:
        names = [name for name in archive.namelist() if name.startswith("pages/")]
        assert {"pages/index.html", "pages/sw.js", "pages/manifest.webmanifest"} <= set(names)
        for name in names:
            status, body, headers = site.get(name.removeprefix("pages"))
            assert (status, body) == (200, archive.read(name)), name
            assert "Content-Encoding" not in headers
            assert headers["Content-Type"].split(";")[0] == types[name.rpartition(".")[2]]
        assert site.get("/")[:2] == (200, archive.read("pages/index.html"))
        assert site.get("/", method="HEAD")[0] == 200


def test_pages_are_deflated_and_few(packed: Path) -> None:
    """Members that are not requested are absent: a page is a third of its size, and begins at any offset."""
    entries = [entry for entry in read_archive(packed).entries if entry.name.startswith("pages/")]
    assert not [entry.name for entry in entries if entry.name.endswith((".map", ".br", ".gz"))]
    assert sum(entry.compressed_size for entry in entries) < sum(entry.size for entry in entries) / 2


def test_a_browser_need_not_fetch_a_page_again(packed: Path, bare: dict[str, str]) -> None:
    with shown(packed, bare) as site:
        tag = site.get("/")[2]["ETag"]
        assert site.get("/", **{"If-None-Match": tag})[0] == 304
        assert site.get("/", **{"If-None-Match": '"another"'})[0] == 200


def test_a_page_needs_no_key(packed: Path, bare: dict[str, str]) -> None:
    with shown(packed, bare, "--api-key", "secret") as site:
        assert site.get("/")[0] == 200
        assert site.get("/favicon.svg")[0] == 200
        assert site.get("/props")[0] == 401


def test_pages_are_in_memory(packed: Path, bare: dict[str, str]) -> None:
    """Once it answers, the server opens no file: this one is no longer where it was."""
    with shown(packed, bare) as site:
        packed.rename(packed.with_name("elsewhere"))
        assert site.get("/manifest.webmanifest")[0] == 200


def test_without_pages_it_says_so(packed: Path, bare: dict[str, str]) -> None:
    names = [entry.name for entry in read_archive(packed).entries if entry.name.startswith("pages/")]
    remove_entries(packed, names)
    with shown(packed, bare) as site:
        assert site.get("/")[0] == 404
        assert site.get("/props")[0] == 200
        assert "llamafile: there is no web page in this file, only the API\n" in site.messages()


@pytest.mark.parametrize("level", [0, 9], ids=["stored", "deflated"])
def test_pages_packed_with_the_model_are_served_instead(packed: Path, bare: dict[str, str], level: int) -> None:
    add_files(packed, [Member(name, content) for name, content in OWN_SITE.items()], level=level)
    with shown(packed, bare) as site:
        for name, content in OWN_SITE.items():
            path = name.removeprefix("www").replace(" ", "%20").replace("[", "%5B").replace("]", "%5D")
            assert site.get(path.replace("+", "%2B"))[:2] == (200, content), name
        assert title_of(site.get("/")[1]) == b"mine"
        assert title_of(site.get("/docs/")[1]) == b"docs"
        assert site.get("/style.css")[2]["Content-Type"] == "text/css; charset=utf-8"
        assert site.get("/unknown.xyz")[2]["Content-Type"] == "application/octet-stream"
        assert site.get("/favicon.svg")[0] == 404
        assert site.get("/v1/models")[0] == 200


def test_a_browser_forgets_the_page_of_another_llamafile(packed: Path, bare: dict[str, str]) -> None:
    """The engine's page leaves a service worker in the browser, which would show it here too."""
    own = [Member("www/index.html", OWN_SITE["www/index.html"])]
    add_files(packed, own)
    with shown(packed, bare) as site:
        _, worker, headers = site.get("/sw.js")
        assert b"registration.unregister()" in worker
        assert headers["Content-Type"].startswith("text/javascript")
    add_files(packed, [Member("www/sw.js", b"// mine\n")])
    with shown(packed, bare) as site:
        assert site.get("/sw.js")[1] == b"// mine\n"


def test_a_folder_without_a_first_page_is_no_site(packed: Path, bare: dict[str, str]) -> None:
    add_files(packed, [Member("www/style.css", b"p { color: green }\n")])
    with shown(packed, bare) as site:
        assert b"_app/immutable" in site.get("/")[1]
        assert site.get("/style.css")[0] == 404


def test_path_names_a_folder_on_disk(packed: Path, bare: dict[str, str], tmp_path: Path) -> None:
    add_files(packed, [Member("www/index.html", OWN_SITE["www/index.html"])])
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("<title>on disk</title>")
    with shown(packed, bare, "--path", str(folder)) as site:
        assert title_of(site.get("/")[1]) == b"on disk"
        assert site.get("/v1/models")[0] == 200


def test_path_names_a_folder_in_the_file(packed: Path, bare: dict[str, str]) -> None:
    add_files(packed, [Member("other/index.html", b"<title>other</title>"), Member("www/index.html", b"mine")])
    for path in ("/zip/other", "/zip/other/"):
        with shown(packed, bare, "--path", path) as site:
            assert title_of(site.get("/")[1]) == b"other"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/zip/nothing", "there is no 'nothing/index.html' in FILE for --path /zip/nothing"),
        ("/zip/", "--path /zip/ names no folder; those of this file are /zip/FOLDER"),
    ],
)
def test_a_wrong_path_is_one_sentence(packed: Path, bare: dict[str, str], path: str, sentence: str) -> None:
    result = run(packed, "--server", "--nobrowser", "--port", str(free_port()), "--path", path, env=bare)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"llamafile: {sentence.replace('FILE', str(packed))}"


@pytest.mark.parametrize("level", [0, 9], ids=["stored", "deflated"])
def test_a_damaged_page_is_not_served(packed: Path, bare: dict[str, str], level: int) -> None:
    text = b"".join(b"line %d of a page\n" % number for number in range(500))
    add_files(packed, [Member("www/index.html", b"whole"), Member("www/page.txt", text)], level=level)
    entry = read_archive(packed).entry("www/page.txt")
    assert entry is not None
    with packed.open("r+b") as file:
        file.seek(entry.data_offset + entry.compressed_size // 2)
        file.write(b"\xff\xff\xff\xff")
    with shown(packed, bare) as site:
        assert site.get("/page.txt")[0] == 404
        assert site.get("/")[:2] == (200, b"whole")
        assert f"the page 'page.txt' in {packed} is damaged: fetch the file again" in site.messages()


def test_a_page_of_impossible_size_is_refused(packed: Path, bare: dict[str, str]) -> None:
    """It would be a gigabyte of memory for a few bytes of file."""
    add_files(packed, [Member("www/index.html", b"small")], level=9)
    content = bytearray(packed.read_bytes())
    lie = (1 << 30).to_bytes(8, "little")
    # The size in the ZIP64 extra field of the directory's line, which is the last thing with this name.
    at = content.rindex(b"www/index.html") + len(b"www/index.html") + 4
    content[at : at + 8] = lie
    packed.write_bytes(content)
    result = run(packed, "--server", "--nobrowser", "--port", str(free_port()), env=bare)
    assert result.returncode == 1
    assert f"'www/index.html' in {packed} is compressed in a way" in result.stderr.splitlines()[-1]


def test_a_program_with_its_arguments_beside_it_has_its_own_page(
    llamafile: Path, tiny_model: Path, bare: dict[str, str]
) -> None:
    """As in a container image, where the program is exchanged without them."""
    program = llamafile.with_name("program")
    llamafile.rename(program)
    add_files(llamafile.with_name("program.llamafile"), [Member(".args", f"-m\n{tiny_model}\n".encode())])

    with shown(program, bare) as site:
        status, page, _ = site.get("/")
        models = site.get("/v1/models")[1]

    assert (status, b"<html" in page) == (200, True)
    assert tiny_model.name.encode() in models
