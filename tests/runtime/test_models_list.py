"""The list of models in a file with several."""

from __future__ import annotations

import pytest

from runtime.errors import ModelsListError
from runtime.models_list import ALL, ListedModel, format_models, is_listable, parse_models

MODELS = [ListedModel("a b", {"model": "/zip/a b.gguf"}), ListedModel("c", {"model": "/zip/c.gguf", "temp": "0.2"})]


def test_what_is_written_is_read() -> None:
    text = format_models(MODELS)
    assert text.startswith(b"version = 1\n\n[a b]\nmodel = /zip/a b.gguf\n")
    assert parse_models(text) == MODELS


def test_comments_blanks_and_line_ends() -> None:
    text = b"# list\r\n[ * ]\r\n  temp=1 ; warm\r\n\r\n[x] # one\r\nmodel = y\r\n"
    assert parse_models(text) == [ListedModel(ALL, {"temp": "1"}), ListedModel("x", {"model": "y"})]


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (b"[a]\nmodel\n", 2, "expected"),
        (b"[a]\n1x = 2\n", 2, "expected"),
        (b"[a\nx = 1\n", 1, "expected"),
        (b"x = 1\n", 1, "belongs to no model"),
        (b"[a]\n[a]\n", 2, "two models 'a'"),
        (b"[]\n", 1, "without a name"),
        (b"[a]\nx = \xff\n", 2, "UTF-8"),
    ],
)
def test_damaged_lists(text: bytes, line: int, word: str) -> None:
    with pytest.raises(ModelsListError, match=word) as caught:
        parse_models(text)
    assert caught.value.line == line


@pytest.mark.parametrize("name", ["", " a", "a#b", "a;b", "a]", "a\nb"])
def test_names_that_cannot_be_written(name: str) -> None:
    assert not is_listable(name)
    with pytest.raises(ModelsListError, match="cannot be written"):
        format_models([ListedModel(name, {"model": "x"})])
