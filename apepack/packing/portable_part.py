"""The portable runtime in a llamafile: `python3 my.llamafile` imports it from the archive (Python 3.13 or later).

Its members are the modules of this installation that the portable runtime's command imports, directly or indirectly, as
determined from their sources. numpy and gguf are not included.
"""

from __future__ import annotations

import ast
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zipalign import Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zipalign import Entry

__all__ = ["MAIN_NAME", "has_own_options", "portable_member_names", "portable_members"]

MAIN_NAME: Final = "__main__.py"
_ARCHIVE_FOLDER: Final = "portable/"  # the same as in archive_main.py
_ENTRY_MODULE: Final = "runtime.portable.cli"
_PACKAGES: Final = ("runtime", "zipalign")
_PACKAGES_ROOT: Final = Path(__file__).parents[2]  # in a checkout and in an installation
_OPTIONS_SOURCE: Final = "runtime/options.py"
_MAIN_SOURCE: Final = _PACKAGES_ROOT / "runtime" / "portable" / "archive_main.py"


def portable_members() -> list[Member]:
    """Return the members with which Python can run a llamafile."""
    main = Member(MAIN_NAME, _MAIN_SOURCE.read_bytes())
    sources = {path.relative_to(_PACKAGES_ROOT).as_posix(): path for path in _imported_sources(_ENTRY_MODULE)}
    return [main, *(Member(_ARCHIVE_FOLDER + name, sources[name].read_bytes()) for name in sorted(sources))]


def portable_member_names(names: Iterable[str]) -> list[str]:
    """Return the members of the portable runtime among NAMES, the members of an archive."""
    names = list(names)
    found = [name for name in names if name.startswith(_ARCHIVE_FOLDER)]
    return [name for name in names if found and (name in found or name == MAIN_NAME)]


def has_own_options(entries: Iterable[Entry]) -> bool:
    """Return whether ENTRIES, those of a runtime, contain this toolchain's table of options."""
    own = (_ARCHIVE_FOLDER + _OPTIONS_SOURCE, zlib.crc32((_PACKAGES_ROOT / _OPTIONS_SOURCE).read_bytes()))
    return any((entry.name, entry.crc) == own for entry in entries)


def _imported_sources(start: str) -> set[Path]:
    """Return the files of the module START, its packages, and all modules of ours that they import."""
    sources: set[Path] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        source = _source_of(name)
        if source is None or source in sources:
            continue
        sources.add(source)
        waiting += [name.rpartition(".")[0], *_imports(ast.parse(source.read_bytes()))]
    return sources


def _source_of(name: str) -> Path | None:
    """Return the file of the module or package NAME, or None if it is not ours, or no module."""
    parts = name.split(".")
    base = _PACKAGES_ROOT.joinpath(*parts)
    files = (base.with_suffix(".py"), base / "__init__.py") if parts[0] in _PACKAGES else ()
    return next((path for path in files if path.is_file()), None)


def _imports(node: ast.AST) -> Iterator[str]:
    """Yield the modules, and names that may be modules, that NODE imports at run time."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)
