"""The documentation is consistent: its links lead somewhere, and the files that it names exist."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
FOLDERS: Final = ("apepack", "assimilate", "benchmarks", "docs", "man", "runtime", "tests", "tools", "zipalign", ".ci")
# Clauses that CONTRIBUTING.md asks to avoid.
VAGUE: Final = re.compile(r"\b(whoever|whomever|whom|nobody|somebody|everybody|anybody|of old)\b", re.IGNORECASE)


@cache
def text_of(page: str) -> str:
    """The text of a page without its code blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$|^ {4,}[^\n]*$", "", text, flags=re.MULTILINE | re.DOTALL)


def links_of(page: str) -> list[str]:
    """The targets of the links and pictures in a page, except those to other sites."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)) if not link.startswith("http")]


def anchors_of(page: str) -> set[str]:
    """The anchors of the headings of a page, as Markdown renderers make them."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in links_of(page):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(str(target.resolve().relative_to(ROOT))), link


def test_the_readme_shows_the_page() -> None:
    assert "docs/chat.webp" in links_of("README.md")


def test_every_page_is_linked() -> None:
    linked = {
        (ROOT / page).parent.joinpath(link.partition("#")[0]).resolve() for page in PAGES for link in links_of(page)
    }
    assert [page for page in PAGES if page != "README.md" and ROOT / page not in linked] == []


@pytest.mark.parametrize("page", PAGES)
def test_prose_names_its_agents(page: str) -> None:
    assert VAGUE.findall(text_of(page)) == []


def test_sources_name_their_agents() -> None:
    suffixes = {".c", ".cpp", ".h", ".py", ".1", ".5"}
    sources = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)
    found = {path: VAGUE.findall(path.read_text(encoding="utf-8")) for path in sources if path != Path(__file__)}
    assert {str(path): words for path, words in found.items() if words} == {}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_files_in_code_style_exist(page: str) -> None:
    """Paths below the root; a name with `*` has to match a file, a module may be named without `.py`."""
    for code in re.findall(r"`([\w./*-]+)`", text_of(page)):
        if code.partition("/")[0] in FOLDERS and "/" in code:
            assert any(ROOT.glob(code.rstrip("/"))) or (ROOT / f"{code}.py").is_file(), code


def test_the_changelog_has_the_version_of_the_package() -> None:
    versions = re.findall(r"^## \[(.+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[:2] == ["Unreleased", metadata.version("llamafile-toolchain")]


def architecture() -> str:
    return (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("package", ["apepack", "assimilate", "runtime", "zipalign"])
def test_every_module_is_in_the_architecture(package: str) -> None:
    """A folder's row names all of its modules, and no others."""
    for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
        name = str(folder.relative_to(ROOT))
        (cell,) = re.findall(rf"^\| `{name}/` \| .+ \| (.+) \|$", architecture(), re.MULTILINE)
        stems = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}
        assert set(re.findall(r"`(\w+)`", cell)) == stems, name


def test_every_file_of_the_shim_is_in_the_architecture() -> None:
    sources = [path for path in (ROOT / "runtime" / "shim").rglob("*") if path.suffix in {".cpp", ".h"}]
    for folder in {path.parent for path in sources if path.parent.name != "webui"}:
        name = f"`{folder.name}/`" if folder.name != "shim" else "top"
        (cell,) = re.findall(rf"^\| {name} \| (.+) \| .+ \|$", architecture(), re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", cell)) == {path.stem for path in sources if path.parent == folder}, name


def test_every_file_of_the_kernels_is_in_the_architecture() -> None:
    table = re.search(r"^\| file of `runtime/kernels/` .*?\n\n", architecture(), re.MULTILINE | re.DOTALL)
    assert table
    names = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table[0].splitlines()[2:] if line))
    assert sorted(names) == sorted({path.stem for path in (ROOT / "runtime" / "kernels").iterdir()})


def test_the_map_of_the_bytes_has_the_offsets_of_the_code() -> None:
    from apepack.format.prologue import HEAD_COPY_OFFSET, HEAD_SIZE, PROLOGUE_SIZE
    from runtime.image.embedding import IMAGE_ALIGNMENT
    from zipalign.layout import END_RECORDS_SIZE
    from zipalign.records import EndRecord, Zip64EndRecord, Zip64Locator

    offsets = re.findall(r"^\| (0x\w+) \|", architecture(), re.MULTILINE)
    assert [int(offset, 16) for offset in offsets] == [
        HEAD_SIZE - 4, HEAD_SIZE, HEAD_COPY_OFFSET, PROLOGUE_SIZE, IMAGE_ALIGNMENT
    ]  # fmt: skip  # a list
    ends = [int(size) for size in re.findall(r"^\| end - (\d+) \|", architecture(), re.MULTILINE)]
    sizes = [record.STRUCT.size for record in (Zip64EndRecord, Zip64Locator, EndRecord)]
    assert ends == [END_RECORDS_SIZE, END_RECORDS_SIZE - sizes[0], sizes[2]]
