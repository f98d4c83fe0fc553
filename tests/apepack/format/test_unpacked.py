"""Compressed programs: gzip and the script read them, and nothing that is not whole is taken for one."""

from __future__ import annotations

import gzip
import random
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apepack.errors import LayoutError
from apepack.format.cksum import posix_cksum
from apepack.format.unpacked import UnpackedImage, decompress_image, parse_case_lines, render_case_line
from runtime.image.errors import ImageFormatError
from runtime.image.stream import compress_image, expand_image, is_stream
from tests.conftest import tool

PROGRAM = random.Random(3).randbytes(5000) * 3


def described(data: bytes, stored: bytes) -> UnpackedImage:
    return UnpackedImage("macos-arm64", 0x20000, len(stored), posix_cksum(data), len(data))


class TestStream:
    @given(st.binary(max_size=20000))
    def test_it_fills_whole_blocks_and_is_read_back(self, data: bytes) -> None:
        stored = compress_image(data)

        assert len(stored) % 4096 == 0
        assert gzip.decompress(stored) == data
        assert decompress_image(stored, described(data, stored)) == data
        assert (is_stream(stored), expand_image(stored)) == (True, data)

    def test_gzip_reads_it_without_a_word(self) -> None:
        result = subprocess.run([tool("gzip"), "-dc"], input=compress_image(PROGRAM), capture_output=True, check=False)

        assert (result.stdout, result.stderr, result.returncode) == (PROGRAM, b"", 0)

    def test_it_names_neither_time_nor_file(self) -> None:
        stored = compress_image(PROGRAM)

        assert stored == compress_image(PROGRAM)
        assert stored[4:8] == bytes(4)  # MTIME
        assert stored[3] == 4  # FEXTRA alone

    @pytest.mark.parametrize("fill", [4096 - 27, 4096 - 26, 4096 - 25])
    def test_padding_of_no_byte_and_of_a_whole_block(self, fill: int) -> None:
        data = random.Random(fill).randbytes(fill)
        stored = compress_image(data)

        assert len(stored) in (4096, 8192)
        assert gzip.decompress(stored) == data


class TestDamage:
    STORED = compress_image(PROGRAM)
    IMAGE = described(PROGRAM, STORED)

    @pytest.mark.parametrize(
        ("stream", "word", "offset"),
        [
            (STORED[:4096], "cut off", 4096),
            (STORED[:-1], "cut off", len(STORED) - 1),
            (STORED + bytes(4096), "bytes follow it", len(STORED)),
            (STORED * 2, "bytes follow it", len(STORED)),
            (gzip.compress(PROGRAM[:5000], mtime=0), "middle of a block", None),
            (STORED[:-3000] + bytes([STORED[-3000] ^ 1]) + STORED[-2999:], "Error -3", 0),
            (PROGRAM, "incorrect header", 0),
        ],
        ids=["half", "without its last byte", "zeros", "two", "of another program", "a wrong byte", "no stream"],
    )
    def test_a_stream_that_is_not_whole_is_refused(self, stream: bytes, word: str, offset: int | None) -> None:
        with pytest.raises(ImageFormatError, match=word) as caught:
            expand_image(stream)
        assert caught.value.offset == (len(stream) if offset is None else offset)

    @pytest.mark.parametrize("at", [0, 3, 11, 5000, -5, -1])
    def test_of_a_byte(self, at: int) -> None:
        damaged = bytearray(self.STORED)
        damaged[at] ^= 0x55

        with pytest.raises(LayoutError, match="macos-arm64 at 0x20000"):
            decompress_image(bytes(damaged), self.IMAGE)

    @pytest.mark.parametrize("end", [0, 10, 5000, len(STORED) - 1])
    def test_of_the_end(self, end: int) -> None:
        with pytest.raises(LayoutError, match="not the one stream of 15000 bytes"):
            decompress_image(self.STORED[:end], self.IMAGE)

    def test_something_behind_it(self) -> None:
        with pytest.raises(LayoutError, match="not the one stream"):
            decompress_image(self.STORED + b"x", self.IMAGE)

    @pytest.mark.parametrize("size", [0, 14999, 15001])
    def test_another_size(self, size: int) -> None:
        with pytest.raises(LayoutError, match=f"stream of {size} bytes"):
            decompress_image(self.STORED, replace(self.IMAGE, size=size))

    def test_another_checksum(self) -> None:
        with pytest.raises(LayoutError, match=r"expected 1$"):
            decompress_image(self.STORED, replace(self.IMAGE, checksum=1))


class TestStatement:
    IMAGE = UnpackedImage("macos-amd64", 0x20000, 0x3000, 4294967295, 12345678)

    def test_what_is_rendered_is_parsed(self) -> None:
        line = render_case_line(self.IMAGE, ["Darwin x86_64", "Darwin arm64"], "0123456789abcdef")

        assert list(parse_case_lines(b"case $m in\n" + line.encode() + b"*)\n")) == [self.IMAGE]

    @pytest.mark.parametrize(
        "line",
        [
            b"\"Darwin arm64\") h=0123456789abcdef k=32 n=3 c='1 2' ;;",
            b"\"Darwin arm64\") h=0123456789ABCDEF k=32 n=3 c='1 2' z=1 ;;",
            b"\"Darwin arm64\") h=0123456789abcdef k=3200000000 n=3 c='1 2' z=1 ;;",
            b"\"Plan9 arm64\") h=0123456789abcdef k=32 n=3 c='1 2' z=1 ;;",
            b"# \"Darwin arm64\") h=0123456789abcdef k=32 n=3 c='1 2' z=1 ;;",
        ],
    )
    def test_what_is_anything_else_is_none(self, line: bytes) -> None:
        assert list(parse_case_lines(b"\n" + line + b"\n")) == []
