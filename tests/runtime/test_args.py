from __future__ import annotations

import pytest

from runtime.args import format_arguments, parse_arguments
from runtime.errors import ArgumentsError


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (b"", []),
        (b"-m\nmodel.gguf\n", ["-m", "model.gguf"]),
        (b"-m\r\nmodel.gguf\r\n", ["-m", "model.gguf"]),
        (b"-m\rmodel.gguf", ["-m", "model.gguf"]),
        (b"\n\n-m\n\nmodel.gguf", ["-m", "model.gguf"]),
        (b"a b  c \n", ["a b  c "]),
        (b"one\\ntwo\n", ["one\ntwo"]),
        (b"back\\slash\n", ["back\\slash"]),
        (b"'quoted' # $HOME\n", ["'quoted' # $HOME"]),
        ("é\n".encode(), ["é"]),
        (b"-c\n...\n0\n", ["-c", "...", "0"]),
        (b"\xef\xbb\xbf-c\r\n0\r\n", ["-c", "0"]),
    ],
    ids=[
        "empty",
        "lf",
        "crlf",
        "cr",
        "empty lines",
        "spaces",
        "newline",
        "backslash",
        "literal",
        "utf-8",
        "dots",
        "mark",
    ],
)
def test_parse(data: bytes, arguments: list[str]) -> None:
    assert parse_arguments(data) == arguments


@pytest.mark.parametrize(
    ("data", "line", "word"),
    [(b"-m\nmo\0del\n", 2, "NUL"), (b"-m\r\n\xff\n", 2, "UTF-8"), (b"\xc3", 1, "UTF-8")],
    ids=["NUL", "invalid UTF-8", "truncated UTF-8"],
)
def test_damage_is_placed(data: bytes, line: int, word: str) -> None:
    with pytest.raises(ArgumentsError, match=word) as caught:
        parse_arguments(data)
    assert caught.value.line == line


def test_format_is_what_parse_reads() -> None:
    arguments = ["-m", "a model.gguf", "-p", "two\nlines"]
    assert parse_arguments(format_arguments(arguments)) == [*arguments, "..."]


def test_the_users_place_is_written_once() -> None:
    assert format_arguments(["--temp", "0", "...", "-c", "0"]) == b"--temp\n0\n...\n-c\n0\n"
    with pytest.raises(ArgumentsError, match="second") as caught:
        format_arguments(["...", "-c", "..."])
    assert caught.value.line == 3


@pytest.mark.parametrize(
    "argument",
    ["", "a\0b", "a\rb", "a\\nb", "\udcff"],
    ids=["empty", "NUL", "CR", "backslash n", "not UTF-8"],
)
def test_what_the_grammar_cannot_say_is_refused(argument: str) -> None:
    with pytest.raises(ArgumentsError, match="cannot be written") as caught:
        format_arguments(["-p", argument])
    assert caught.value.line == 2
