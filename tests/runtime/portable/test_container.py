"""The portable runtime's weights: the meaning of names, and error messages for invalid ones."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtime.errors import ContainerError
from runtime.portable.container import open_container
from tests.builders.gguf import Gguf, Info, number, text
from tests.builders.zip import Item, build
from zipalign import Member, add_files

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = b"MZqFpD='\n" + bytes(100)


def weights(version: int = 3, *, split: int = 0) -> bytes:
    """A GGUF file, whose version tells it from others."""
    pairs = [text("general.architecture", "llama"), *([number("split.count", split, 2)] if split else [])]
    return Gguf(pairs, [Info()], version=version).pack_header() + bytes(16)


ONE, TWO = weights(3), weights(2)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which all names are looked up."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def archive(path: str, members: dict[str, bytes], *, program: bytes = PROGRAM, alignment: int = 65536) -> str:
    """Write a llamafile with these members and return its name."""
    Path(path).write_bytes(program)
    add_files(path, [Member(name, data) for name, data in members.items()], alignment=alignment)
    return path


def test_a_gguf_file() -> None:
    Path("x.gguf").write_bytes(ONE)
    container = open_container("x.gguf")
    assert bytes(container.weights()) == bytes(container.weights("x.gguf")) == ONE
    assert container.args is None


@pytest.mark.parametrize("prefix", [PROGRAM, b"\x7fELF" + bytes(100), b"", b"#!/bin/sh\n"], ids=repr)
def test_an_archive_behind_anything(prefix: bytes) -> None:
    """A llamafile, an assimilated one, a ZIP archive by itself."""
    container = open_container(archive("x", {"a.gguf": ONE, ".args": b"-m\na.gguf\n", "t": b"text"}, program=prefix))
    assert container.args == b"-m\na.gguf\n"
    assert bytes(container.weights()) == ONE
    assert container.text("t") == b"text"


def test_nothing_is_copied() -> None:
    container = open_container(archive("x.llamafile", {"a.gguf": ONE}))
    view = container.weights()
    assert view.obj is container.data.obj
    assert view.readonly


def test_the_disk_wins_over_the_archive() -> None:
    container = open_container(archive("x.llamafile", {"a.gguf": ONE, "t": b"inside"}))
    Path("a.gguf").write_bytes(TWO)
    Path("t").write_bytes(b"outside")
    assert bytes(container.weights("a.gguf")) == bytes(container.weights("./a.gguf")) == TWO
    assert bytes(container.weights("/zip/a.gguf")) == bytes(container.weights("/zip/./a.gguf")) == ONE
    assert bytes(container.weights()) == ONE
    assert (container.text("t"), container.text("/zip/t")) == (b"outside", b"inside")


def test_members_of_another_archive() -> None:
    own = open_container(archive("own.llamafile", {"a.gguf": ONE}))
    other = archive("other.zip", {"folder/b.gguf": TWO, "t": b"text", ".args": b"--temp\n0\n"})
    for name in ("other.zip@folder/b.gguf", "other.zip@./folder/b.gguf", "./other.zip@folder/b.gguf", "other.zip"):
        assert bytes(own.weights(name)) == TWO
    assert own.text("other.zip@t") == b"text"
    named = open_container(f"{other}@folder/b.gguf")
    assert bytes(named.weights()) == TWO
    assert named.args is None


def test_a_name_with_the_separator_in_it() -> None:
    archive("a@b.zip", {"c@d.gguf": ONE})
    Path("a").write_text("in the way")
    assert bytes(open_container("a@b.zip@c@d.gguf").weights()) == ONE
    Path("a@b.zip@c@d.gguf").write_bytes(TWO)
    assert bytes(open_container("a@b.zip@c@d.gguf").weights()) == TWO


def test_another_llamafile_says_which_of_its_models() -> None:
    own = open_container(archive("own.llamafile", {"a.gguf": ONE}))
    archive("other.llamafile", {"a.gguf": ONE, "b.gguf": TWO, ".args": b"--model\na.gguf\n-m\n/zip/b.gguf\n-n\n1\n"})
    assert bytes(own.weights("other.llamafile")) == TWO


def test_one_of_a_split_model_is_no_choice() -> None:
    """The message says that the portable runtime does not read split models."""
    members = {f"x-0000{part}-of-00002.gguf": weights(split=2) for part in (1, 2)}
    container = open_container(archive("x.llamafile", members))
    with pytest.raises(ContainerError, match=r"'x-00001-of-00002.gguf' in x.llamafile is one of 2 files"):
        container.weights()
    whole = archive("whole.llamafile", {"x-00001-of-00001.gguf": weights(split=1), "y-00001-of-00002.gguf": ONE})
    assert bytes(open_container(whole).weights("x-00001-of-00001.gguf")) == weights(split=1)
    assert bytes(open_container(whole).weights("y-00001-of-00002.gguf")) == ONE


@dataclass(frozen=True)
class Row:
    """A file that cannot be used, and words of the sentence that says so."""

    name: str
    make: Callable[[], object]
    words: tuple[str, ...]
    path: str = "x"
    weights: str | None = None


def _raw(data: bytes) -> Callable[[], object]:
    return lambda: Path("x").write_bytes(data)


def _with(members: dict[str, bytes], alignment: int = 65536) -> Callable[[], object]:
    return lambda: archive("x", members, alignment=alignment)


def _zip(*items: Item) -> Callable[[], object]:
    return _raw(build(items, prefix=bytes(1)))


SEVERAL = {"a.gguf": ONE, "b.gguf": TWO}

ROWS = [
    Row("nothing", lambda: None, ("there is no file 'x'",)),
    Row("nothing, and no archive before @", lambda: None, ("there is no file 'x@a.gguf'",), path="x@a.gguf"),
    Row("a member that only a program has", lambda: None, ("there is no file '/zip/a.gguf'",), path="/zip/a.gguf"),
    Row("empty", _raw(b""), ("'x' is not a GGUF file", "does not end with an archive")),
    Row("three bytes", _raw(b"GGU"), ("'x' is not a GGUF file",)),
    Row("text", _raw(b"hello " * 100), ("'x' is not a GGUF file", "download it again")),
    Row("a program without an archive", _raw(PROGRAM), ("'x' is not a GGUF file", "download it again")),
    Row("a folder", lambda: Path("x").mkdir(), ("x is not a regular file",)),
    Row("a FIFO", lambda: os.mkfifo("x"), ("x is not a regular file",)),
    Row("a link to itself", lambda: Path("x").symlink_to("x"), ("there is no file 'x'",)),
    Row("an archive cut short", lambda: os.truncate(archive("x", SEVERAL), 70000), ("does not end with an archive",)),
    Row("bytes behind the archive", _raw(build([Item()], trailing=b"more")), ("the archive in x is damaged", "follow")),
    Row("two members of a name", _zip(Item(), Item()), ("the archive in x is damaged", "two members")),
    Row("a directory that lies", _zip(Item(central={"crc": 1})), ("the archive in x is damaged", "crc")),
    Row("an encrypted member", _zip(Item(flags=0x801)), ("the archive in x is damaged", "encrypted")),
    Row("no weights", _with({"t": b"text"}), ("x holds no weights", "-m FILE.gguf")),
    Row("several", _with(SEVERAL), ("x holds more than one model", "-m: 'a.gguf', 'b.gguf'")),
    Row("no such member", _with(SEVERAL), ("no such member in x (it holds 'a.gguf', 'b.gguf')",), weights="c.gguf"),
    Row("no such member behind @", _with(SEVERAL), ("'x@c.gguf'", "(it holds 'a.gguf', 'b.gguf')"), path="x@c.gguf"),
    Row("no such member, and no weights", _with({"t": b""}), ("'c.gguf', and x holds no weights",), weights="c.gguf"),
    Row("itself, of several", _with(SEVERAL), ("its .args do not say which", "'x@a.gguf', 'x@b.gguf'"), weights="x"),
    Row(
        "itself, whose arguments mean nothing there",
        _with({**SEVERAL, ".args": b"-m\nc.gguf\n-m\n"}),
        ("its .args do not say which",),
        weights="x",
    ),
    Row("itself, without weights", _with({"t": b"text"}), ("'x' holds no weights, and is none",), weights="x"),
    Row("compressed", _zip(Item(b"a.gguf", ONE, method=8)), ("'a.gguf' is compressed in x", "zipalign -j0")),
    Row("misaligned", _with({"a.gguf": ONE}, 1), ("'a.gguf' in x begins at offset", "no multiple of 32")),
    Row("an empty member", _with({"a.gguf": b""}), ("'a.gguf' in x is empty",)),
    Row("another format", _with({"a.gguf": b"PK\3\4..."}), (r"it begins with 'PK\x03\x04' (expected 'GGUF')",)),
    Row("a text as weights", _with({"t": b"hello"}), ("'t' in x is not a GGUF file",), weights="t"),
    Row("a file of a split model", _with({"x-00001-of-00003.gguf": weights(split=3)}), ("one of 3 files", "--merge")),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_cannot_be_used_is_said_in_a_sentence(row: Row) -> None:
    row.make()
    with pytest.raises(ContainerError) as caught:
        open_container(row.path).weights(row.weights)
    sentence = str(caught.value)
    assert "\n" not in sentence
    for words in row.words:
        assert words in sentence


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_zip(Item(b".args", b"-m\n", method=8)), "'.args' is compressed in x"),
        (_with({".args": bytes((16 << 20) + 1)}), "'.args' in x is larger than 16 MiB"),
    ],
)
def test_default_arguments_that_cannot_be_read(make: Callable[[], object], words: str) -> None:
    make()
    with pytest.raises(ContainerError, match=words):
        _ = open_container("x").args


def test_texts_that_are_not_there() -> None:
    container = open_container(archive("x", {"a.gguf": ONE}))
    with pytest.raises(ContainerError, match=r"there is no file 't', and no such member in x"):
        container.text("t")
    Path("x.gguf").write_bytes(ONE)
    with pytest.raises(ContainerError, match=r"there is no file 't'\Z"):
        open_container("x.gguf").text("t")


def test_a_text_comes_from_any_file() -> None:
    """A shell gives a pipe for `-f <(command)`; a folder is said to be one."""
    container = open_container(archive("x", {"a.gguf": ONE}))
    os.mkfifo("pipe")
    with ThreadPoolExecutor() as writer:
        writer.submit(Path("pipe").write_bytes, b"text")
        assert container.text("pipe") == b"text"
    with pytest.raises(ContainerError, match="cannot open '/': Is a directory"):
        container.text("/")


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the system is asked to say no."""

    def refuse(path: str) -> memoryview:
        raise PermissionError(13, "Permission denied", path)

    Path("x").write_bytes(ONE)
    monkeypatch.setattr("runtime.portable.container.map_file", refuse)
    with pytest.raises(ContainerError, match=r"cannot open 'x': Permission denied") as caught:
        open_container("x")
    assert caught.value.path == "x"
