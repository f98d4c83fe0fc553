"""Bytes on their way out: characters whole, and the last line ended."""

from __future__ import annotations

import io

import pytest

from runtime.portable.output import Output


@pytest.mark.parametrize(
    ("pieces", "steps", "final"),
    [
        ([], [], b""),
        ([b""], [b""], b""),
        ([b"a"], [b"a"], b"a\n"),
        ([b"a\n"], [b"a\n"], b"a\n"),
        ([b"a\n", b""], [b"a\n", b"a\n"], b"a\n"),
        ([b"\xc3", b"\xa9"], [b"", b"\xc3\xa9"], b"\xc3\xa9\n"),
        ([b"x\xf0\x9f", b"\x98", b"\x80"], [b"x", b"x", b"x\xf0\x9f\x98\x80"], b"x\xf0\x9f\x98\x80\n"),
        ([b"\xe2\x82", b"x"], [b"", b"\xe2\x82x"], b"\xe2\x82x\n"),  # it never becomes whole
        ([b"a\n\xe2\x82"], [b"a\n"], b"a\n\xe2\x82\n"),
        ([b"\x80\x80"], [b"\x80\x80"], b"\x80\x80\n"),  # no beginning of anything
        ([b"\xff"], [b"\xff"], b"\xff\n"),
        ([b"\xc3\xa9"], [b"\xc3\xa9"], b"\xc3\xa9\n"),
    ],
)
def test_pieces(pieces: list[bytes], steps: list[bytes], final: bytes) -> None:
    stream = io.BytesIO()
    output = Output(stream)
    for piece, expected in zip(pieces, steps, strict=True):
        output.write(piece)
        assert stream.getvalue() == expected
    output.finish()
    assert stream.getvalue() == final
    output.finish()
    assert stream.getvalue() == final
