"""The web page in a browser."""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apepack.packing.pack import PackInputs, pack
from apepack.packing.payload import ModelInput
from tests.acceptance.api.servers import serving
from tests.acceptance.webui.browser import ENTER, Browser, browsing
from tests.builders.gguf import TinyModel, TinyProjector
from tests.builders.image import Picture
from tests.pipeline.routers import states
from zipalign import Member, add_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.api.servers import Server

# What a random model says is decided by what it may say.
SHORT = 'root ::= "It is **Paris**."'
ENDLESS = 'root ::= "and so on " root'

INPUT = "textarea"
ANSWER = "[aria-label='Assistant message with actions']"
QUESTION = "[aria-label='User message with actions']"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser; what it keeps of one test, the next finds there."""
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def packed(llamafile: Path, tmp_path: Path) -> Path:
    """A llamafile that can talk for long."""
    add_files(llamafile, [Member("tiny.gguf", TinyModel(context=32768).write(tmp_path / "tiny.gguf"))])
    return llamafile


@contextmanager
def page_of(llamafile: Path, environment: dict[str, str], browser: Browser, *arguments: str) -> Iterator[Server]:
    """Serve LLAMAFILE and show its page for the block."""
    command = ["/bin/sh", llamafile, "--server", "--nobrowser", *arguments]
    with serving(command, llamafile.with_name("log"), environment) as server:
        browser.open(f"http://127.0.0.1:{server.port}/")
        yield server


def ask(browser: Browser, text: str) -> None:
    browser.find(INPUT).type(text)
    browser.find("button:not([disabled])", "Send")
    browser.find(INPUT).type(ENTER)


def slots(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(server.ask("/slots")[1])
    return found


def test_a7_the_page_is_a_chat(packed: Path, bare: dict[str, str], browser: Browser) -> None:
    """A question is typed, the answer appears, formatted, and both are still there when the page is loaded again."""
    with page_of(packed, bare, browser, "--grammar", SHORT):
        ask(browser, "Which is the capital of France?")
        browser.find(ANSWER, "It is Paris.")
        assert browser.read(f"{ANSWER} strong") == "Paris"
        browser.reload()
        browser.find(ANSWER, "It is Paris.")
        browser.find(QUESTION, "Which is the capital of France?")


def test_a7_an_answer_appears_while_it_is_written_and_can_be_stopped(
    packed: Path, bare: dict[str, str], browser: Browser
) -> None:
    with page_of(packed, bare, browser, "--grammar", ENDLESS, "--context-shift") as server:
        ask(browser, "Tell me everything.")
        seen = browser.read(ANSWER, "and so on").count("and so on")
        browser.wait_for("more of the answer", lambda: browser.read(ANSWER).count("and so on") > seen)
        browser.click("button", "Stop")
        browser.find("button", "Send")
        browser.wait_for("an idle server", lambda: not any(slot["is_processing"] for slot in slots(server)))
        browser.reload()
        assert browser.read(ANSWER, "and so on").count("and so on") >= seen


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp"])
def test_a11_an_image_is_uploaded_and_asked_about(
    packed: Path, tmp_path: Path, bare: dict[str, str], browser: Browser, kind: str
) -> None:
    projector = TinyProjector().write(tmp_path / "mmproj.gguf")
    picture = tmp_path / f"picture.{kind}"
    picture.write_bytes(getattr(Picture(), kind)())
    add_files(packed, [Member("mmproj.gguf", projector)])
    names = ["-m", "tiny.gguf", "--mmproj", "mmproj.gguf"]
    with page_of(packed, bare, browser, *names, "--grammar", SHORT, "-v") as server:
        browser.find("button", "Add files")
        browser.find_all("input[type=file]")[0].type(str(picture))
        browser.find(f"form img[alt='{picture.name}']")
        ask(browser, "What do you see?")
        browser.find(f"{QUESTION} img[alt='{picture.name}']")
        browser.find(ANSWER, "It is Paris.")
        server.log.seek(0)
        assert b"image decoded" in server.log.read()


def test_a11_without_a_projector_an_image_is_refused(
    packed: Path, tmp_path: Path, bare: dict[str, str], browser: Browser
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(Picture().png())
    with page_of(packed, bare, browser):
        browser.find("button", "Add files")
        browser.find_all("input[type=file]")[0].type(str(picture))
        assert "picture.png" in browser.read("[role=alertdialog], [role=dialog]")


def test_a3_the_page_sends_requests_only_to_its_server(packed: Path, bare: dict[str, str], browser: Browser) -> None:
    browser.addresses()
    with page_of(packed, bare, browser, "--grammar", SHORT) as server:
        ask(browser, "Hello?")
        browser.find(ANSWER, "It is Paris.")
        addresses = browser.addresses()
    own = (f"http://127.0.0.1:{server.port}/", "data:", "blob:", "chrome-extension:", "chrome:")
    assert addresses
    assert [address for address in addresses if not address.startswith(own)] == []


def test_a8_localhost_is_the_same_page(packed: Path, bare: dict[str, str], browser: Browser) -> None:
    with page_of(packed, bare, browser) as server:
        browser.open(f"http://localhost:{server.port}/")
        browser.find(INPUT)


@pytest.mark.slow
def test_the_page_has_a_menu_of_the_models(
    runtime: Path, tmp_path: Path, bare: dict[str, str], browser: Browser
) -> None:
    first, second = [TinyModel(seed=at).write(tmp_path / f"{name}.gguf") for at, name in enumerate(("first", "second"))]
    both = tmp_path / "both.llamafile"
    pack(PackInputs(first, ["--grammar", SHORT], more=[ModelInput(second)]), both, runtime=runtime)
    with page_of(both, bare, browser) as server:
        browser.click("button", "first")
        browser.click("[role=option], [role=menuitem]", "second")
        ask(browser, "Which is the capital of France?")
        browser.find(ANSWER, "It is Paris.")
        assert states(server) == {"first": "unloaded", "second": "loaded"}


def test_readme_shows_the_page(smollm2: Path, bare: dict[str, str], tmp_path: Path) -> None:
    """With README_PICTURE=docs/chat.webp in the environment, the picture in README is taken anew."""
    command = ["/bin/sh", smollm2, "--nobrowser", "--temp", "0"]
    with browsing(tmp_path) as browser, serving(command, tmp_path / "log", bare) as server:
        browser.open(f"http://127.0.0.1:{server.port}/")
        ask(browser, "Write a Python function that returns the square of a number. Only code, please.")
        browser.find(ANSWER, "t/s")
        browser.find("button", "Send")  # until the answer is complete, it is called Stop
        code = browser.read(f"{ANSWER} pre", "return")
        picture = browser.picture(1200, 720)
    assert re.fullmatch(r"def (\w+)\((\w+)\):\n    return \2 \*\* 2", code)
    assert picture.startswith(b"RIFF")
    assert len(picture) < 150_000
    if path := os.environ.get("README_PICTURE"):
        Path(path).write_bytes(picture)
