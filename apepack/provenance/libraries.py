"""The libraries in a llamafile, as the members with their licence texts name them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from zipalign import read_archive
from zipalign.inflate import entry_chunks
from zipalign.input_file import open_input

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Library", "read_libraries"]

_NOTICES_SIZE_MAX: Final = 1 << 24
_TITLE: Final = re.compile(r"^={78}\n([^\n]+)\n={78}\n", re.MULTILINE)
# Packages of the web page: NAME VERSION, several with one text.
_PACKAGE: Final = re.compile(r"(@?[\w./-]+) (\d[\w.+-]*)")
_PAGE_NOTICES: Final = "pages/NOTICES.txt"
# Titles in the other texts, with SPDX expressions; texts repeat the line of a title for other purposes.
_LICENCES: Final = {
    "llama.cpp and ggml": "MIT",
    "cpp-httplib": "MIT",
    "JSON for Modern C++": "MIT",
    "rotate-bits": "MIT",
    "sha256": None,  # in the public domain
    "xxHash": "BSD-2-Clause",
    "musl libc (Linux)": "MIT",
    "mingw-w64 (Windows)": "ZPL-2.1",
    "libc++": "Apache-2.0 WITH LLVM-exception",
    "libc++abi": "Apache-2.0 WITH LLVM-exception",
    "libunwind": "Apache-2.0 WITH LLVM-exception",
    "zstd": "BSD-3-Clause",
    "Vulkan's headers": "Apache-2.0 OR MIT",
    "SPIR-V's headers": "MIT",
}


@dataclass(frozen=True, slots=True)
class Library:
    """A library in a llamafile.

    Attributes:
        name: its name.
        notices: the member with its licence text.
        version: its version, if that is known.
        licence: an SPDX expression, if that is known.
        is_npm: whether the name is that of a package of npm.
    """

    name: str
    notices: str
    version: str | None = None
    licence: str | None = None
    is_npm: bool = False


def read_libraries(path: Path) -> tuple[Library, ...]:
    """Return the libraries in the llamafile PATH, sorted by name.

    Raises:
        ZipalignError: its archive is damaged.
        OSError: the file cannot be read.
    """
    found: set[Library] = set()
    archive = read_archive(path)
    with open_input(path) as fd:
        for name in (NOTICES_NAME, _PAGE_NOTICES, "gpu/NOTICES.txt"):
            entry = archive.entry(name)
            if entry and entry.size <= _NOTICES_SIZE_MAX:
                text = b"".join(entry_chunks(fd, entry)).decode(errors="replace")
                found.update(_libraries(name, _TITLE.findall(text)))
    return tuple(sorted(found, key=lambda library: (library.name, library.version or "")))


def _libraries(notices: str, titles: list[str]) -> set[Library]:
    if notices != _PAGE_NOTICES:
        return {Library(title, notices, licence=_LICENCES[title]) for title in titles if title in _LICENCES}
    packages = [_PACKAGE.fullmatch(title) for line in titles for title in line.split(", ")]
    return {Library(found[1], notices, found[2], is_npm=True) for found in packages if found}
