"""The header of a GGUF file; apepack/packing/test_pack_gguf.py tests damaged ones."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import gguf
import pytest

from runtime.errors import GgufFormatError
from runtime.gguf.header import GgufHeader
from tests.builders.gguf import TEXT, Gguf, TinyModel, array, text, texts

if TYPE_CHECKING:
    from pathlib import Path

SOUND = Gguf()


def test_errors_say_where() -> None:
    with pytest.raises(GgufFormatError) as caught:
        GgufHeader.unpack(replace(SOUND, version=9).pack_header())
    assert (caught.value.field, caught.value.offset) == ("version", 4)


@pytest.mark.parametrize("size", [100, 65535])
def test_messages_show_the_start_of_a_long_key(size: int) -> None:
    key = "k" * size
    twice = Gguf([text(key, "1"), text(key, "2")], tensors=()).pack_header()
    in_value = 24 + 8 + size + 4 + 3  # counts, length and bytes of the key, type
    for data in (twice, twice[:in_value]):
        with pytest.raises(GgufFormatError, match=r"k{77}[.]{3}") as caught:
            GgufHeader.unpack(data)
        assert len(str(caught.value)) < 200


@pytest.mark.slow
def test_no_single_byte_is_more_than_an_error(tmp_path: Path) -> None:
    """2,000 seeded changes of a byte in a real header: accepted, or our error."""
    data = TinyModel().write(tmp_path / "x.gguf").read_bytes()
    header_size = GgufHeader.unpack(data).data_offset
    chance = random.Random(5)
    refused = 0
    for _ in range(2000):
        changed = bytearray(data[:header_size])
        at = chance.randrange(header_size)
        changed[at] = chance.choice([0, 0x7F, 0xFF, data[at] ^ 1, data[at] ^ 0x80])
        try:
            GgufHeader.unpack(bytes(changed))
        except GgufFormatError:
            refused += 1
    assert 100 < refused < 2000


def test_what_the_gguf_package_reads(tmp_path: Path) -> None:
    path = TinyModel().write(tmp_path / "x.gguf")
    theirs = gguf.GGUFReader(path)
    ours = GgufHeader.unpack(path.read_bytes())
    assert [(tensor.name, tensor.data_offset, int(tensor.n_bytes)) for tensor in theirs.tensors] == [
        (tensor.name, ours.data_offset + tensor.offset, tensor.size) for tensor in ours.tensors
    ]
    single = {name: field.contents() for name, field in theirs.fields.items() if field.types[0].name != "ARRAY"}
    assert ours.metadata == {name: value for name, value in single.items() if not name.startswith("GGUF.")}


def test_arrays_are_what_the_gguf_package_reads(tmp_path: Path) -> None:
    path = TinyModel().write(tmp_path / "x.gguf")
    theirs = {name: field for name, field in gguf.GGUFReader(path).fields.items() if field.types[0].name == "ARRAY"}
    ours = GgufHeader.unpack(path.read_bytes()).arrays
    assert ours.keys() == theirs.keys() == {f"tokenizer.ggml.{part}" for part in ("tokens", "scores", "token_type")}
    for name, field in theirs.items():
        read = [text.decode() for text in ours[name].texts()] if ours[name].element == "text" else ours[name].numbers()
        assert list(read) == field.contents()


@pytest.mark.parametrize(
    ("type_", "code", "name", "values"),
    [
        (0, "B", "u8", (0, 255)),
        (1, "b", "i8", (-128, 127)),
        (2, "H", "u16", (65535,)),
        (3, "h", "i16", (-2,)),
        (4, "I", "u32", (1 << 31,)),
        (5, "i", "i32", ()),
        (6, "f", "f32", (0.5, -2.0)),
        (7, "?", "bool", (True, False, True)),
        (10, "Q", "u64", (1 << 63,)),
        (11, "q", "i64", (-1,)),
        (12, "d", "f64", (0.1,)),
    ],
)
def test_arrays_of_numbers(type_: int, code: str, name: str, values: tuple[float, ...]) -> None:
    packed = struct.pack(f"<{len(values)}{code}", *values)
    read = GgufHeader.unpack(replace(SOUND, pairs=[array("a", type_, len(values), packed)]).pack_header()).arrays["a"]
    assert (read.element, read.count, read.numbers()) == (name, len(values), values)
    with pytest.raises(GgufFormatError, match=f"a: an array of type {name} \\(expected texts\\)"):
        read.texts()


def test_texts_of_any_bytes() -> None:
    packed = b"".join(struct.pack("<Q", len(word)) + word for word in (b"", b"\xff\0", "é".encode()))
    file = replace(SOUND, pairs=[text("x", "y"), array("words", TEXT, 3, packed)])
    words = GgufHeader.unpack(file.pack_header()).arrays["words"]
    assert words.texts() == [b"", b"\xff\0", b"\xc3\xa9"]
    with pytest.raises(GgufFormatError, match=r"of type text \(expected numbers"):
        words.numbers()


def test_a_text_of_any_length() -> None:
    long = "é" * 1000
    header = GgufHeader.unpack(replace(SOUND, pairs=[text("short", "x"), text("long", long)]).pack_header())
    assert (header.text("short"), header.text("long"), header.text("absent")) == ("x", long, None)
    assert "long" not in header.metadata


def test_what_is_too_large_to_be_meant_is_not_decoded() -> None:
    pairs = [text("long", "x" * ((1 << 24) + 1)), array("numbers", 0, (1 << 22) + 1, bytes((1 << 22) + 1))]
    header = GgufHeader.unpack(replace(SOUND, pairs=pairs).pack_header())
    with pytest.raises(GgufFormatError, match="long: a text of 16777217 bytes"):
        header.text("long")
    with pytest.raises(GgufFormatError, match="numbers: an array of 4194305 numbers"):
        header.arrays["numbers"].numbers()


def test_a_file_that_changes_while_it_is_read() -> None:
    data = bytearray(replace(SOUND, pairs=[texts("words", ["ab", "c"])]).pack_header())
    words = GgufHeader.unpack(memoryview(data)).arrays["words"]
    data[words.offset : words.offset + 8] = b"\xff" * 8
    with pytest.raises(GgufFormatError, match="cut short") as caught:
        words.texts()
    assert (caught.value.field, caught.value.offset) == ("words", words.offset + 8)
