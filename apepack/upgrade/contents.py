"""The members of a llamafile: those that came with its runtime, and those of its author."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.format.prologue import SCAN_SIZE, original_head
from apepack.packing.portable_part import MAIN_NAME, portable_member_names
from apepack.provenance.manifest import MEMBER_NAME as MANIFEST_NAME
from apepack.provenance.manifest import SIGNATURE_NAME
from runtime.builder.gpu_part import FOLDER_NAME as GPU_FOLDER
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from runtime.builder.webui.build import FOLDER_NAME as PAGES_FOLDER
from runtime.gguf.file_names import is_gguf_name
from zipalign.inflate import entry_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zipalign import Entry

__all__ = ["LARGE_SIZE", "Contents", "is_hard_to_move", "is_reserved", "split_contents"]

LARGE_SIZE: Final = 1 << 20  # in bytes; smaller members are copied if they are in the way

_OWN_FOLDERS: Final = (f"{PAGES_FOLDER}/", f"{GPU_FOLDER}/", "portable/")
_OWN_IMPORT: Final = b"runtime.portable"  # in our __main__.py
# What the runtimes of the Cosmopolitan project and of Mozilla's llamafile have in their archives: symbol tables, time
# zones, certificates, sources and compiled code for GPUs, web pages and help texts.
_FOREIGN_FOLDERS: Final = (
    ".cosmo", ".symtab", "usr/", "llama.cpp/", "llamafile/", "localscore/", "whisper.cpp/", "whisperfile/",
    "stable-diffusion.cpp/", "third_party/", "ggml-cuda.", "ggml-rocm.", "ggml-metal", "ggml-vulkan.", "ggml.h",
)  # fmt: skip  # beginnings of names


@dataclass(frozen=True, slots=True)
class Contents:
    """The members of a llamafile, in the order of the file.

    Attributes:
        runtime: those that an upgrade exchanges.
        author: those that stay: weights, default arguments, added files.
        derived: manifest and signature, which describe the others.
    """

    runtime: tuple[Entry, ...]
    author: tuple[Entry, ...]
    derived: tuple[Entry, ...]

    @property
    def weights(self) -> tuple[Entry, ...]:
        """Members of the author that are too large to be copied."""
        return tuple(entry for entry in self.author if is_hard_to_move(entry))


def split_contents(entries: Iterable[Entry], fd: int) -> Contents:
    """Return the members ENTRIES of an open llamafile by their origin.

    A llamafile of another maker has other members of its runtime than ours.
    """
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    ours = original_head(os.pread(fd, SCAN_SIZE, 0)) is not None
    derived = [entry for entry in ordered if entry.name in {MANIFEST_NAME, SIGNATURE_NAME}]
    brought = _own_names(ordered, fd) if ours else {entry.name for entry in ordered if _is_foreign(entry.name)}
    runtime = [entry for entry in ordered if entry.name in brought]
    rest = [entry for entry in ordered if entry not in runtime and entry not in derived]
    return Contents(tuple(runtime), tuple(rest), tuple(derived))


def is_hard_to_move(entry: Entry) -> bool:
    """Return whether ENTRY is large, or weights."""
    return is_gguf_name(entry.name) or entry.compressed_size >= LARGE_SIZE


def is_reserved(name: str) -> bool:
    """Return whether NAME is one of a runtime's members, or of those that describe the others."""
    return name in {NOTICES_NAME, MANIFEST_NAME, SIGNATURE_NAME} or name.startswith(_OWN_FOLDERS)


def _own_names(entries: Iterable[Entry], fd: int) -> set[str]:
    found = {entry.name: entry for entry in entries}
    names = {name for name in found if name == NOTICES_NAME or name.startswith(_OWN_FOLDERS)}
    if MAIN_NAME in portable_member_names(found) and _OWN_IMPORT in b"".join(entry_chunks(fd, found[MAIN_NAME])):
        names.add(MAIN_NAME)  # otherwise the author replaced it
    return names


def _is_foreign(name: str) -> bool:
    return name.startswith(_FOREIGN_FOLDERS)
