"""The licence texts of the web page: those of all packages in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from runtime.builder.notices import section
from runtime.errors import PagesError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["collect_page_notices"]

# From the first node_modules of a path to the innermost package in it.
_PACKAGE: Final = re.compile(r"/(node_modules/(?:.*/node_modules/)?(?:@[^/]+/)?[^/@]+)/")
# Plugins of the style sheet add rules to it, without a mark.
_STYLE_PLUGIN: Final = re.compile(r"^@plugin '(@?[\w/-]+)'", re.MULTILINE)
# The service worker is bundled separately; its parts have these marks.
_WORKER_PART: Final = re.compile(r"\bworkbox:([a-z-]+):")
_LICENCE_FILE: Final = re.compile(r"(?i)(licen[cs]e|copying|notice)([-.].*)?")


def collect_page_notices(sources: Path, modules: Path, site: Path) -> str:
    """Return the licences of all parts of the web page: bundled modules, styles, the service worker.

    Args:
        sources: the folder of the build.
        modules: the list of the bundled files, written by vite.config.mjs.
        site: the result of the build.

    Raises:
        PagesError: a package in it has no licence.
    """
    files = json.loads(modules.read_text(encoding="utf-8"))
    packages = {found[1] for file in files if (found := _PACKAGE.search(file.replace("\\", "/")))}
    styles = (sources / "src" / "app.css").read_text(encoding="utf-8")
    packages.update(f"node_modules/{name}" for name in _STYLE_PLUGIN.findall(styles))
    for worker in site.glob("workbox-*.js"):
        parts = _WORKER_PART.findall(worker.read_text(encoding="utf-8"))
        packages.update(f"node_modules/workbox-{part}" for part in parts)
    copied = (sources / "src" / "lib" / "vendors").iterdir()
    folders = [sources / name for name in sorted(packages)] + sorted(folder for folder in copied if folder.is_dir())
    titles: dict[str, list[str]] = {}  # many packages have the same text
    for folder in folders:
        title, text = _licence_of(folder)
        titles.setdefault(text, []).append(title)
    parts = ["Parts of this web page are the work of others, used under these licences.\n"]
    return "\n".join([*parts, *(section(", ".join(names), text) for text, names in titles.items())])


def _licence_of(folder: Path) -> tuple[str, str]:
    manifest = folder / "package.json"
    facts: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    title = f"{facts.get('name', folder.name)} {facts.get('version', '')}".strip()
    files = sorted(path for path in folder.iterdir() if _LICENCE_FILE.fullmatch(path.name) and path.is_file())
    if files:
        return title, "\n\n".join(file.read_text(encoding="utf-8", errors="replace").strip() for file in files)
    if "license" not in facts:
        raise PagesError(f"its package {title} has no licence")
    author = facts.get("author", "its authors")
    name = author.get("name", "") if isinstance(author, dict) else author
    return title, f"{facts['license']} licence, by {name}"
