"""Names of GGUF files: the extension, and the numbers of a split model's files.

The engine derives the names of all files of a split model from that of the first: STEM-00001-of-00003.gguf. The same
rule in C++ is runtime/shim/archive/shard_name.cpp.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["ShardName", "is_gguf_name", "parse_shard_name"]

_EXTENSION: Final = ".gguf"
_SHARD_NAME: Final = re.compile(
    r"(?P<stem>.*)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.ASCII | re.DOTALL | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ShardName:
    """The name of a shard, one file of a split model."""

    stem: str
    number: int  # from 1
    count: int

    def sibling(self, number: int) -> str:
        """Return the name of the shard NUMBER of the same model, as the engine spells it."""
        return f"{self.stem}-{number:05}-of-{self.count:05}{_EXTENSION}"


def is_gguf_name(name: str) -> bool:
    """Return whether a file called NAME is taken for a GGUF file: a stem and the extension, in upper or lower case."""
    return len(name) > len(_EXTENSION) and name.lower().endswith(_EXTENSION)


def parse_shard_name(name: str) -> ShardName | None:
    """Return the parts of NAME, or None if it is not the name of a shard. Upper and lower case are equal."""
    found = _SHARD_NAME.fullmatch(name)
    return ShardName(found["stem"], int(found["number"]), int(found["count"])) if found else None
