"""Layers: tar archives of the files that an image consists of, planned before a byte is written.

https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Self

from apepack.oci import tar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zipalign import Entry

__all__ = ["LayerFile", "LayerPlan", "Link"]


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A file of a layer.

    Attributes:
        name: its path in the image, without the slash at the beginning.
        content: its content.
        mode: its permissions.
    """

    name: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link of a layer."""

    name: str
    target: str


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """A blob, which contains one member of the llamafile at most.

    Attributes:
        names: the paths of its files.
        head: the bytes before the member.
        member: the member.
        tail: the bytes behind it.
        created_by: what it is, for the history of the image.
    """

    names: tuple[str, ...]
    head: bytes
    member: Entry | None = None
    tail: bytes = b""
    created_by: str = ""

    @property
    def member_size(self) -> int:
        """The size of the member in bytes."""
        return self.member.size if self.member else 0

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return len(self.head) + self.member_size + len(self.tail)

    @classmethod
    def of_member(cls, name: str, member: Entry) -> Self:
        """Plan the layer with the file NAME, MEMBER of the llamafile."""
        head = _folder_headers([name])
        head += tar.file_header(name, member.size, offset=len(head))
        return cls((name,), head, member, tar.padding(member.size) + tar.END, PurePosixPath(name).name)

    @classmethod
    def of_files(cls, items: Sequence[LayerFile | Link], created_by: str) -> Self:
        """Plan the layer with ITEMS and their folders."""
        content = bytearray(_folder_headers([item.name for item in items]))
        for item in items:
            if isinstance(item, Link):
                content += tar.link_header(item.name, item.target)
            else:
                content += tar.file_header(item.name, len(item.content), mode=item.mode)
                content += item.content + tar.padding(len(item.content))
        return cls(tuple(item.name for item in items), bytes(content + tar.END), created_by=created_by)

    @classmethod
    def raw(cls, member: Entry) -> Self:
        """Plan the blob that is MEMBER itself."""
        return cls((member.name,), b"", member)


def _folder_headers(names: Sequence[str]) -> bytes:
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    return b"".join(map(tar.folder_header, sorted(folders - {"."})))
