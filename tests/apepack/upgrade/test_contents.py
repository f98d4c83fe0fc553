"""Which members of a llamafile came with its runtime, and which are its author's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apepack.upgrade.contents import LARGE_SIZE, is_hard_to_move, is_reserved, split_contents
from tests.builders.ape import small_ape
from tests.builders.genuine import genuine_ape
from zipalign import Member, add_files, read_archive
from zipalign.input_file import open_input

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from apepack.upgrade.contents import Contents

OURS = [
    "NOTICES", "pages/index.html", "pages/_app/a.js", "gpu/shaders.zst", "portable/runtime/args.py", "__main__.py",
]  # fmt: skip  # a list
FOREIGN = [
    ".cosmo", ".symtab.amd64", "usr/share/zoneinfo/UTC", "llama.cpp/ggml-cuda.cu", "llamafile/help.txt",
    "ggml-cuda.so",
]  # fmt: skip  # a list
AUTHORS = ["model.gguf", ".args", "www/index.html", "json.gbnf", "README.md", "notes/NOTICES"]
MAIN = b"from runtime.portable.cli import main\n"


def contents_of(path: Path, data: bytes, names: Sequence[str], main: bytes = MAIN) -> Contents:
    path.write_bytes(data)
    add_files(path, [Member(name, main if name == "__main__.py" else b"text") for name in names], level=6)
    with open_input(path) as fd:
        return split_contents(read_archive(path).entries, fd)


def names(entries: Sequence[object]) -> set[str]:
    return {str(getattr(entry, "name", "")) for entry in entries}


def test_ours(tmp_path: Path) -> None:
    derived = ["manifest.json", "signature.json"]
    found = contents_of(tmp_path / "x", small_ape("linux-amd64"), [*OURS[1:], *AUTHORS, *derived, *FOREIGN])
    assert names(found.runtime) == set(OURS)
    assert names(found.author) == {*AUTHORS, *FOREIGN}
    assert names(found.derived) == set(derived)


def test_those_of_other_makers(tmp_path: Path) -> None:
    found = contents_of(tmp_path / "x", genuine_ape("2024-02"), [*FOREIGN, *AUTHORS, *OURS])
    assert names(found.runtime) == set(FOREIGN)
    assert names(found.author) == {*AUTHORS, *OURS}


@pytest.mark.parametrize(
    ("members", "main"), [(["__main__.py"], MAIN), (["__main__.py", "portable/a.py"], b"print('mine')")]
)
def test_a_program_of_the_author_stays(tmp_path: Path, members: list[str], main: bytes) -> None:
    found = contents_of(tmp_path / "x", small_ape("linux-amd64"), members, main)
    assert "__main__.py" in names(found.author)


def test_weights_are_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(small_ape("linux-amd64"))
    add_files(path, [Member("tiny.GGUF", b"x"), Member("a", bytes(LARGE_SIZE - 1)), Member("b", bytes(LARGE_SIZE))])
    assert [is_hard_to_move(entry) for entry in read_archive(path).entries] == [False, True, False, True]


def test_names_of_runtimes() -> None:
    assert all(map(is_reserved, ["NOTICES", "manifest.json", "signature.json", "pages/x", "gpu/x", "portable/x"]))
    assert not any(is_reserved(name) for name in AUTHORS)
