"""The licence texts of a runtime: those of the engine, of its vendored libraries, and of the C and C++ libraries.

The vendored stb_image, miniaudio, subprocess.h and SHA-1 code are in the public domain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runtime.errors import ToolchainError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MEMBER_NAME", "collect_notices", "section"]

MEMBER_NAME: Final = "NOTICES"

_ENGINE_LICENCES: Final = {
    "llama.cpp and ggml": "LICENSE",
    "cpp-httplib": "vendor/cpp-httplib/LICENSE",
    "JSON for Modern C++": "licenses/LICENSE-jsonhpp",
    "rotate-bits": "vendor/hash/rotate-bits/LICENSE.md",
    "sha256": "vendor/hash/sha256/LICENSE",
    "xxHash": "vendor/hash/xxhash/LICENSE",
}
_ZIG_LICENCES: Final = {
    "musl libc (Linux)": "lib/libc/musl/COPYRIGHT",
    "mingw-w64 (Windows)": "lib/libc/mingw/COPYING",
    "libc++": "lib/libcxx/LICENSE.TXT",
    "libc++abi": "lib/libcxxabi/LICENSE.TXT",
    "libunwind": "lib/libunwind/LICENSE.TXT",
}

_ZSTD_LICENCES: Final = {"zstd": "LICENSE"}


def collect_notices(engine_source: Path, zig_folder: Path, zstd_folder: Path | None) -> str:
    """Return the text of the member NOTICES, from the sources of the engine, of zig, and of zstd if it is contained.

    Raises:
        ToolchainError: a text is missing: the list is for another version.
    """
    parts = ["Parts of this program are the work of others, used under these licences.\n"]
    places = [(engine_source, _ENGINE_LICENCES), (zig_folder, _ZIG_LICENCES)]
    places += [(zstd_folder, _ZSTD_LICENCES)] if zstd_folder else []
    for folder, texts in places:
        for name, place in texts.items():
            file = folder / place
            if not file.is_file():
                raise ToolchainError(
                    f"the licence of {name} is not at {file}: correct the list in runtime/builder/notices.py"
                )
            parts.append(section(name, file.read_text(encoding="utf-8")))
    return "\n".join(parts)


def section(title: str, text: str) -> str:
    """Return a part of NOTICES: TEXT under TITLE."""
    return f"{'=' * 78}\n{title}\n{'=' * 78}\n\n{text.strip()}\n"
