"""Pictures of grey squares, in each format that a prompt may contain; all decode to the same pixels."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

__all__ = ["Picture"]

_BLOCK = 8  # JPEG's own unit, and here the size of a square
_CLEAR, _END = 256, 257  # codes of GIF's LZW


@dataclass(frozen=True, slots=True)
class Picture:
    """Rows of grey levels, each level a square of 8 x 8 pixels."""

    levels: tuple[tuple[int, ...], ...] = ((0, 90), (180, 255))

    @property
    def width(self) -> int:
        """In pixels."""
        return len(self.levels[0]) * _BLOCK

    @property
    def height(self) -> int:
        """In pixels."""
        return len(self.levels) * _BLOCK

    def _rows(self) -> list[bytes]:
        return [bytes(level for level in row for _ in range(_BLOCK)) for row in self.levels for _ in range(_BLOCK)]

    def png(self) -> bytes:
        """8 bits of grey, not interlaced."""

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 0, 0, 0, 0)
        pixels = b"".join(b"\0" + row for row in self._rows())
        return (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
        )

    def bmp(self) -> bytes:
        """24 bits, from the lowest row up."""
        padding = b"\0" * (-3 * self.width % 4)
        pixels = b"".join(b"".join(bytes([level]) * 3 for level in row) + padding for row in reversed(self._rows()))
        header = struct.pack("<IiiHHIIiiII", 40, self.width, self.height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
        return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + header + pixels

    def gif(self, *more: Picture) -> bytes:
        """Grey palette, one frame; and one for each of MORE."""
        screen = struct.pack("<HHBBB", self.width, self.height, 0xF7, 0, 0)
        palette = b"".join(bytes([level]) * 3 for level in range(256))
        frames = b"".join(picture._gif_frame() for picture in (self, *more))
        return b"GIF89a" + screen + palette + frames + b";"

    def _gif_frame(self) -> bytes:
        # Codes stay 9 bits long as long as the table is cleared before it has 256 codes of its own.
        pixels = b"".join(self._rows())
        codes = []
        for at in range(0, len(pixels), 200):
            codes += [_CLEAR, *pixels[at : at + 200]]
        bits = sum(code << (9 * index) for index, code in enumerate([*codes, _END]))
        data = bits.to_bytes(9 * (len(codes) + 1) // 8 + 1, "little")
        blocks = [data[at : at + 255] for at in range(0, len(data), 255)]
        descriptor = b"," + struct.pack("<HHHHB", 0, 0, self.width, self.height, 0)
        return descriptor + b"\x08" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"

    def jpeg(self) -> bytes:
        """Baseline, one component, nothing but the mean of each block: with a quantum of 8, that is its level."""

        def segment(marker: int, data: bytes) -> bytes:
            return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data

        # Huffman tables: all twelve sizes of a difference get codes of 4 bits, the end of a block has the only other.
        means = segment(0xC4, b"\x00" + bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12)))
        ends = segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\x00")
        frame = segment(0xC0, struct.pack(">BHHBBBB", 8, self.height, self.width, 1, 1, 0x11, 0))
        scan = segment(0xDA, bytes([1, 1, 0x00, 0, 63, 0]))
        start = b"\xff\xd8" + segment(0xDB, b"\x00" + b"\x08" * 64) + frame + means + ends + scan
        return start + self._jpeg_blocks().replace(b"\xff", b"\xff\x00") + b"\xff\xd9"

    def _jpeg_blocks(self) -> bytes:
        bits = ""
        previous = 0
        for level in (level for row in self.levels for level in row):
            difference = level - 128 - previous
            previous = level - 128
            size = abs(difference).bit_length()
            magnitude = difference if difference > 0 else difference + (1 << size) - 1
            bits += f"{size:04b}" + (f"{magnitude:0{size}b}" if size else "") + "0"
        bits += "1" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")
