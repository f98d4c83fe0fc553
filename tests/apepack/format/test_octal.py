"""Bytes through printf(1): every shell must write what we meant, and we must read what others wrote."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apepack.format.octal import decode_octal, encode_octal
from tests.builders.ape import SHELLS, foreign_octal
from tests.conftest import tool

EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_every_byte_survives_every_shell(shell: tuple[str, ...]) -> None:
    script = f"printf '{encode_octal(EVERY_BYTE + EVERY_BYTE[::-1])}'\n"

    result = subprocess.run([tool(shell[0]), *shell[1:], "-c", script], check=True, capture_output=True)

    assert result.stdout == EVERY_BYTE + EVERY_BYTE[::-1]


def test_only_letters_and_three_digit_escapes_are_written() -> None:
    assert re.fullmatch(r"(?:\\[0-3][0-7][0-7]|[A-Za-z])*", encode_octal(EVERY_BYTE))


@given(st.binary(max_size=200))
def test_what_we_write_we_read(data: bytes) -> None:
    assert decode_octal(encode_octal(data).encode()) == data


@given(st.binary(max_size=200))
def test_what_others_write_we_read(data: bytes) -> None:
    assert decode_octal(foreign_octal(data).encode()) == data


TOLERATED = {
    "one to three digits": (rb"\1\12\123", b"\x01\x0a\x53"),
    "nine bits": (rb"\720\510\777", b"\xd0\x48\xff"),
    "a fourth digit": (rb"\1234", b"S4"),
    "a digit that is not octal": (rb"\18", b"\x018"),
    "not octal": (rb"\n\x41\8", rb"\n\x41\8"),
    "a backslash at the end": (b"a\\", b"a\\"),
    "binary": (b"\0\xff\n", b"\0\xff\n"),
    "empty": (b"", b""),
}


@pytest.mark.parametrize(("text", "data"), TOLERATED.values(), ids=TOLERATED)
def test_reading_is_as_tolerant_as_loaders_are(text: bytes, data: bytes) -> None:
    assert decode_octal(text) == data
