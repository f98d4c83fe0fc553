"""Chromium without a screen, driven by the W3C's WebDriver protocol (https://www.w3.org/TR/webdriver2/).

chromedriver speaks it over HTTP, in a handful of commands: a client library would be larger than all that it does here.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["ENTER", "Browser", "Element", "NoSuchElementError", "browsing"]

ENTER: Final = "\ue007"

_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # the key that the protocol gives references
_PATIENCE: Final = 180.0
_GONE: Final = {
    "no such element",
    "stale element reference",
    "element not interactable",
    "element click intercepted",
}
_ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",  # Chromium's own needs a user who is not root
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--window-size=1200,900",
    # Whatever the page wants from elsewhere, it does not get, with a network or without.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


class NoSuchElementError(Exception):
    """The page has no such element, or no longer."""


@dataclass(frozen=True)
class Element:
    """An element of the page."""

    browser: Browser
    reference: str

    @property
    def text(self) -> str:
        """What a reader sees of it."""
        return str(self._ask("GET", "text"))

    def click(self) -> None:
        """Click it."""
        self._ask("POST", "click", {})

    def type(self, text: str) -> None:
        """Type TEXT into it; into an upload control, the path of a file."""
        self._ask("POST", "value", {"text": text})

    def _ask(self, method: str, command: str, body: object = None) -> object:
        return self.browser.ask(method, f"element/{self.reference}/{command}", body)


@dataclass(frozen=True)
class Browser:
    """A session with one window."""

    session: str  # its URL

    def ask(self, method: str, command: str, body: object = None) -> Any:
        """Return what the command's answer holds."""
        return _ask(f"{self.session}/{command}", method, body)

    def open(self, url: str) -> None:
        """Go to URL and wait until it is loaded."""
        self.ask("POST", "url", {"url": url})

    def reload(self) -> None:
        """Load the page again."""
        self.ask("POST", "refresh", {})

    def find_all(self, selector: str) -> list[Element]:
        """Return the elements that SELECTOR, of CSS, means."""
        found = self.ask("POST", "elements", {"using": "css selector", "value": selector})
        return [Element(self, item[_ELEMENT]) for item in found]

    def find(self, selector: str, text: str = "") -> Element:
        """Return the first element that SELECTOR means and TEXT is in, as soon as there is one."""
        element: Element = self.wait_for(f"{selector} {text}", lambda: self._first(selector, text))
        return element

    def read(self, selector: str, text: str = "") -> str:
        """Return all the text of that element, which may be another one by the time that it would be asked."""
        return str(self.wait_for(f"{selector} {text}", lambda: self._first_text(selector, text)))

    def click(self, selector: str, text: str = "") -> None:
        """Click that element, as soon as it can be clicked."""

        def clicked() -> bool:
            element = self._first(selector, text)
            if element:
                element.click()
            return element is not None

        self.wait_for(f"{selector} {text}, to be clicked,", clicked)

    def wait_for(self, what: str, look: Callable[[], Any]) -> Any:
        """Return what LOOK finds, as soon as it finds something; elements may come and go meanwhile."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                if found := look():
                    return found
            except NoSuchElementError:
                pass
            time.sleep(0.05)
        pytest.fail(f"{what} did not come within three minutes; the page says: {self.find_all('body')[0].text}")

    def picture(self, width: int, height: int) -> bytes:
        """Return what the page looks like in a window of this size and of twice the usual density, as WebP."""
        size = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", size)
        try:
            taken = self._devtools("Page.captureScreenshot", {"format": "webp", "quality": 80})
        finally:
            self._devtools("Emulation.clearDeviceMetricsOverride", {})
        return base64.b64decode(taken["data"])

    def addresses(self) -> set[str]:
        """Return the addresses that were asked for since the last call, by the page and by its service worker."""
        messages = [
            json.loads(entry["message"])["message"] for entry in self.ask("POST", "se/log", {"type": "performance"})
        ]
        return {item["params"]["request"]["url"] for item in messages if item["method"] == "Network.requestWillBeSent"}

    def _devtools(self, command: str, parameters: object) -> Any:
        """Return what a command gives that WebDriver has none for (https://chromedevtools.github.io/devtools-protocol/)."""
        return self.ask("POST", "goog/cdp/execute", {"cmd": command, "params": parameters})

    def _first(self, selector: str, text: str) -> Element | None:
        return next((element for element in self.find_all(selector) if text in element.text), None)

    def _first_text(self, selector: str, text: str) -> str | None:
        return next((seen for element in self.find_all(selector) if text in (seen := element.text)), None)


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Run a browser that keeps its files in FOLDER."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    options = {"binary": tool("chromium"), "args": [*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}"]}
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL"}}
    command = [tool("chromedriver"), "--port=0"]
    with subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE) as driver:
        try:
            sessions = f"http://127.0.0.1:{_port_of(driver)}/session"
            session = _ask(sessions, "POST", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            try:
                yield Browser(f"{sessions}/{session}")
            finally:
                _ask(f"{sessions}/{session}", "DELETE")
        finally:
            driver.kill()


def _port_of(driver: subprocess.Popen[str]) -> str:
    for line in driver.stdout or ():
        if found := re.search(r"successfully on port (\d+)", line):
            return found[1]
    pytest.fail("chromedriver did not start")


def _ask(url: str, method: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    try:
        request = Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310  # our own driver
        with urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310  # the same
            return json.load(answer)["value"]
    except HTTPError as error:
        with error:
            fault = json.load(error)["value"]
        if fault["error"] in _GONE:
            raise NoSuchElementError(fault["message"]) from None
        raise AssertionError(fault["message"]) from None
