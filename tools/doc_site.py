"""Write the sources of the documentation site: `python tools/doc_site.py FOLDER`, run by `make docs`.

FOLDER gets the pages and pictures of the repository under their own paths, so that links between them work in both
places, and the manuals as pages. Links to manuals lead to those pages; links to source files become plain text.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ("*.md", "docs/**/*.md", "benchmarks/*.md")
PICTURES: Final = ("docs/*.webp", "benchmarks/*.svg")
MANUALS: Final = "man/man?/*.?"
LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
REFERENCE: Final = re.compile(r"\b([a-z-]+)\(([1-8])\)")


def page(path: Path) -> str:
    """Return the text of a page, with its links as they are on the site."""

    def settled(link: re.Match[str]) -> str:
        text, name, anchor = link[1], link[2], link[3] or ""
        target = (path.parent / name).resolve()
        if target.match(MANUALS):
            return f"[{text}]({name}.md{anchor})"
        is_source = target.exists() and target.suffix != ".md"
        return text if is_source else link[0]

    return LINK.sub(settled, path.read_text(encoding="utf-8"))


def manual(path: Path) -> str:
    """Return a manual as a page; mandoc renders it."""
    command = ["mandoc", "-T", "markdown", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    name = f"{path.stem}({path.suffix[1:]})"
    body = re.sub(
        r"^# (.+)$", lambda title: f"## {title[1].capitalize()}", text.partition("\n\n")[2], flags=re.MULTILINE
    )
    body = REFERENCE.sub(referred, body.rpartition("\n\n")[0])  # without system and date
    return f"# {name}\n\n{body}\n"


def referred(reference: re.Match[str]) -> str:
    """Return a reference to a manual as a link, if it is one of ours."""
    name, section = reference.groups()
    target = f"man{section}/{name}.{section}"
    return f"[{reference[0]}](../{target}.md)" if (ROOT / "man" / target).is_file() else reference[0]


def main(folder: Path) -> None:
    """Write everything into FOLDER, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    files = {path: page(path) for pattern in PAGES for path in ROOT.glob(pattern)}
    files |= {Path(f"{path}.md"): manual(path) for path in ROOT.glob(MANUALS)}
    for path, text in files.items():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for pattern in PICTURES:
        for path in ROOT.glob(pattern):
            shutil.copy(path, folder / path.relative_to(ROOT))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
