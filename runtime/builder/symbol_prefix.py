"""The symbols of a static library, and a C header that gives each of them a prefix.

With such a header included first, a source can be compiled once more and linked into the same program.

This module imports nothing of the package: the engine's build runs it as a script (cmake/CMakeLists.txt).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

__all__ = ["header_of", "identifiers_of", "symbols_of"]

_MAGIC: Final = b"!<arch>\n"
_MEMBER_SIZE: Final = 60  # of the header of a member: its name in 16 bytes, …, its size in 10 from byte 48, two more
_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*")
# The beginning of a mangled name (Itanium C++ ABI, "Mangling"): of data, a function or what belongs to a class, in a
# namespace or in none; then the length of the first identifier. Those of the standard library have an S there.
_MANGLED: Final = re.compile(r"_Z(?:T[VTISChv]|GV)?N?[rVK]*(\d+)")


def symbols_of(archive: bytes) -> list[str]:
    """Return the names that a static library defines for others, as its index has them.

    The index has two forms: that of GNU and Windows, a count and offsets, big-endian, before the names (System V ABI,
    "Archive file format"), and that of macOS, pairs of offsets between two sizes, little-endian (ranlib.h).

    Raises:
        ValueError: the file is not a static library, or has no symbol index.
    """
    if not archive.startswith(_MAGIC):
        raise ValueError("this is not a static library")
    header = archive[len(_MAGIC) :][:_MEMBER_SIZE]
    start = len(_MAGIC) + _MEMBER_SIZE
    name, content = header[:16].rstrip(), archive[start : start + int(header[48:58])]
    if name == b"/":
        count = int.from_bytes(content[:4], "big")
        names = content[4 + 4 * count :].split(b"\0")[:count]
    elif name.startswith(b"#1/") and content.startswith(b"__.SYMDEF"):
        table = content[int(name[3:]) :]
        texts = 4 + int.from_bytes(table[:4], "little")
        size = int.from_bytes(table[texts : texts + 4], "little")
        # Each begins with an underscore that no source has.
        names = [name[1:] for name in table[texts + 4 :][:size].split(b"\0") if name]
    else:
        raise ValueError("this static library has no index of its names")
    return sorted({name.decode() for name in names})


def identifiers_of(symbols: list[str]) -> list[str]:
    """Return the identifiers of SYMBOLS in sources: for C++, the outermost namespace, else the function or the class.

    Symbols of the standard library are left out.
    """
    found = set()
    for symbol in symbols:
        mangled = _MANGLED.match(symbol)
        if mangled:
            found.add(symbol[mangled.end() :][: int(mangled[1])])
        elif _IDENTIFIER.fullmatch(symbol) and not symbol.startswith(("_Z", "__")):
            found.add(symbol)
    return sorted(found)


def header_of(identifiers: list[str], prefix: str) -> str:
    """Return a header that renames each of IDENTIFIERS to PREFIX_IDENTIFIER where it is included."""
    return "".join(f"#define {name} {prefix}_{name}\n" for name in identifiers)


if __name__ == "__main__":
    library, own_prefix, *others = sys.argv[1:]
    names = identifiers_of(symbols_of(Path(library).read_bytes()))
    sys.stdout.write(header_of(sorted({*names, *others}), own_prefix))
