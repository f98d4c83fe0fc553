"""The documentation site: all pages, no broken links, no content from other hosts."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import tool
from tools import doc_site

ROOT: Final = Path(__file__).parents[1]


class _Requests(HTMLParser):
    """Collects the addresses that a browser requests to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        name = "href" if tag == "link" and facts.get("rel") != "canonical" else "src"
        self.addresses.append(facts.get(name) or "")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The sources of the site."""
    tool("mandoc")
    doc_site.main(tmp_path / "source")
    return tmp_path / "source"


def test_every_page_is_in_the_navigation(source: Path) -> None:
    listed = re.findall(r"^ +- (?:.*: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(source)) for path in source.rglob("*.md"))


def test_links_lead_to_manuals_and_not_to_sources(source: Path) -> None:
    readme = (source / "README.md").read_text()
    assert "[apepack(1)](man/man1/apepack.1.md)" in readme
    assert "and NOTICE list the work" in readme
    assert "[args(5)](../man5/args.5.md)" in (source / "man" / "man1" / "apepack.1.md").read_text()


@pytest.mark.slow  # installs the generator the first time
def test_the_site_builds_without_a_warning() -> None:
    tool("mandoc")
    subprocess.run(["make", "docs"], cwd=ROOT, check=True, capture_output=True, timeout=300)
    pages = sorted((ROOT / "build" / "site").rglob("*.html"))
    assert ROOT / "build" / "site" / "docs" / "running" / "index.html" in pages
    requests = _Requests()
    for page in pages:
        requests.feed(page.read_text(encoding="utf-8"))
    assert any(address.endswith(".css") for address in requests.addresses)
    assert [address for address in requests.addresses if "//" in address] == []
