"""Adding, replacing and removing members: llamafile's layout to the byte, without its defects."""

from __future__ import annotations

import os
import stat
import struct
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import Item, build
from zipalign import Archive, Entry, Member, add_files, check_archive, read_archive, remove_entries
from zipalign.errors import (
    InputFileError,
    NoSuchEntryError,
    NotAnArchiveError,
)
from zipalign.output_file import OutputFile

if TYPE_CHECKING:
    from pathlib import Path

ONES = 0xFFFFFFFF
TIME, DATE = 0xB1AA, 0x576E  # 2023-11-14 22:13:20


def _entry(archive: Archive, name: str) -> Entry:
    entry = archive.entry(name)
    assert entry is not None
    return entry


def _data(path: Path, name: str) -> bytes:
    entry = _entry(read_archive(path), name)
    return path.read_bytes()[entry.data_offset : entry.data_end]


def test_bytes_are_llamafiles(tmp_path: Path) -> None:
    program = b"MZqFpD='\n" + os.urandom(1000)
    data = b"GGUF" + bytes(5000)
    path = tmp_path / "x.llamafile"
    path.write_bytes(program)
    (tmp_path / "model.gguf").write_bytes(data)
    add_files(path, [Member("model.gguf", tmp_path / "model.gguf")], alignment=65536)
    name, crc, size = b"model.gguf", zlib.crc32(data), len(data)
    header_offset = 65536 - 30 - len(name) - 20
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0x800, 0, TIME, DATE, crc, ONES, ONES, len(name), 20)
    local += name + struct.pack("<2H2Q", 1, 16, size, size)
    made_by, attributes = 3 << 8 | 45, (stat.S_IFREG | 0o644) << 16
    central = struct.pack(
        "<4s6H3I5H2I",
        b"PK\1\2",
        made_by,
        45,
        0x800,
        0,
        TIME,
        DATE,
        crc,
        ONES,
        ONES,
        len(name),
        28,
        0,
        0,
        0,
        attributes,
        ONES,
    )
    central += name + struct.pack("<2H3Q", 1, 24, size, size, header_offset)
    directory_offset = 65536 + size
    end64_offset = directory_offset + len(central)
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, made_by, 45, 0, 0, 1, 1, len(central), directory_offset)
    end += struct.pack("<4sIQI", b"PK\6\7", 0, end64_offset, 1)
    end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), ONES, 0)
    gap = bytes(header_offset - len(program))
    assert path.read_bytes() == program + gap + local + data + central + end


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize("old_size", [0, 1, 31, 32, 4095, 70000])
@pytest.mark.parametrize("alignment", [1, 2, 16, 4096, 65536, 1 << 20])
def test_alignment(alignment: int, old_size: int, level: int, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\x7f" * old_size)
    contents = {"a": b"first", "n" * 200: bytes(3000), "é.txt": b"", ".args": b"-m\n"}
    archive = add_files(path, [Member(*item) for item in contents.items()], alignment=alignment, level=level)
    assert [entry.name for entry in archive.entries] == list(contents)
    for entry in archive.entries:
        assert entry.data_offset % alignment == 0
        assert entry.header_offset >= old_size
    assert check_archive(path, alignment=alignment).ok
    with zipfile.ZipFile(path) as other:
        assert {name: other.read(name) for name in other.namelist()} == contents
    assert path.read_bytes()[:old_size] == b"\x7f" * old_size


def test_llamafile_reads_the_lowest_bits_of_ours_too(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    add_files(path, [Member("a", b"a")])
    # Its reader takes a locator right before the last end record, or two equal counts other than zero.
    tail = path.read_bytes()[-42:]
    assert tail.startswith(b"PK\x06\x07")
    assert struct.unpack_from("<HH", tail, 28) == (1, 1)


def test_replacing_keeps_other_members_verbatim(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    kept = Item(b"kept.txt", b"kept" * 99, method=8, central={"internal": 1}, comment=b"a comment")
    path.write_bytes(build([kept, Item(b"a.txt", b"old")], comment=b"the archive's"))
    archive = add_files(path, [Member("a.txt", b"new"), Member("b.txt", b"b")], alignment=64)
    assert [entry.name for entry in archive.entries] == ["kept.txt", "a.txt", "b.txt"]
    assert _data(path, "a.txt") == b"new"
    assert kept.central_header(0) in path.read_bytes()[archive.directory_offset :]
    assert archive.comment == b"the archive's"
    assert check_archive(path, alignment=1).ok


def test_removing(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    add_files(path, [Member("a", b"a"), Member("b", b"b")])
    old = path.read_bytes()
    with pytest.raises(NoSuchEntryError) as caught:
        remove_entries(path, ["a", "c"])
    assert caught.value.name == "c"
    assert path.read_bytes() == old
    assert [entry.name for entry in remove_entries(path, ["a"]).entries] == ["b"]
    assert path.read_bytes().startswith(old)
    assert check_archive(path).ok
    assert remove_entries(path, ["b"]).entries == ()
    assert read_archive(path).entries == ()
    assert [entry.name for entry in add_files(path, [Member("c", b"c")]).entries] == ["c"]


def test_removing_from_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"no archive")
    with pytest.raises(NotAnArchiveError):
        remove_entries(path, ["a"])
    assert path.read_bytes() == b"no archive"


def test_no_members(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build())
    archive = add_files(path, [])
    assert archive.zip64
    assert [entry.name for entry in archive.entries] == ["a.txt"]
    once = path.read_bytes()
    before = path.stat().st_mtime_ns
    assert add_files(path, []) == archive
    assert path.read_bytes() == once
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("size", [0, 1, 1 << 20, 2 << 20, (4 << 20) + 1])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_every_size_at_every_level(size: int, level: int, tmp_path: Path) -> None:
    # llamafile's own leaves the stream open when the size is a multiple of its buffer.
    data = (b"abcd" * (size // 4 + 1))[:size]
    (tmp_path / "f").write_bytes(data)
    path = tmp_path / "x.zip"
    entry = _entry(add_files(path, [Member("f", tmp_path / "f")], level=level), "f")
    assert entry.method == (8 if level and size else 0)
    assert (entry.size, entry.crc) == (size, zlib.crc32(data))
    with zipfile.ZipFile(path) as other:
        assert other.read("f") == data


@pytest.mark.parametrize("size", [(4 << 20) - 1, 4 << 20, (4 << 20) + 1, (40 << 20) + 12345])
def test_large_file(size: int, tmp_path: Path) -> None:
    data = os.urandom(size)
    (tmp_path / "model.gguf").write_bytes(data)
    seen: list[int] = []
    path = tmp_path / "x.zip"
    archive = add_files(path, [Member("m", tmp_path / "model.gguf")], progress=seen.append)
    assert sum(seen) == len(data)
    assert len(seen) > (size > 4 << 20)  # a call for each segment of 4 MiB
    assert _entry(archive, "m").crc == zlib.crc32(data)
    assert _data(path, "m") == data


def test_sharing_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system with shared blocks no data is written, and the CRC is that of the shared data."""
    data = os.urandom(9 << 20)
    (tmp_path / "model.gguf").write_bytes(data)

    def clone(output_file: OutputFile, source_fd: int, source_offset: int, offset: int, size: int) -> bool:
        assert source_offset % 4096 == offset % 4096 == 0
        os.pwrite(output_file.fd, os.pread(source_fd, size, source_offset), offset)
        return True

    written: list[int] = []
    write = OutputFile.write

    def counted(output_file: OutputFile, data: bytes | memoryview, offset: int) -> None:
        written.append(len(data))
        write(output_file, data, offset)

    monkeypatch.setattr(OutputFile, "clone", clone)
    monkeypatch.setattr(OutputFile, "write", counted)
    path = tmp_path / "x.zip"
    archive = add_files(path, [Member("m", tmp_path / "model.gguf")])
    assert _entry(archive, "m").crc == zlib.crc32(data)
    assert sum(written) < 1000
    assert check_archive(path).ok


def test_without_isal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zipalign import checksum

    data = os.urandom(9 << 20)
    (tmp_path / "model.gguf").write_bytes(data)
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    found = (checksum.crc32_function, checksum.crc32_combiner)
    for function in found:
        function.cache_clear()
    try:
        assert checksum.crc32_function() is zlib.crc32
        assert checksum.crc32_combiner() is None
        archive = add_files(tmp_path / "x.zip", [Member("m", tmp_path / "model.gguf")])
        assert _entry(archive, "m").crc == zlib.crc32(data)
    finally:
        for function in found:
            function.cache_clear()


def test_symbolic_link_to_the_archive_stays(tmp_path: Path) -> None:
    real = tmp_path / "real.zip"
    real.write_bytes(build())
    link = tmp_path / "link.zip"
    link.symlink_to(real)
    add_files(link, [Member("b", b"b")])
    assert link.is_symlink()
    assert read_archive(real).entry("b")


def test_dangling_link(tmp_path: Path) -> None:
    link = tmp_path / "link.zip"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputFileError):
        add_files(link, [Member("b", b"b")])


@pytest.mark.slow
def test_hundred_appends_grow_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"MZ")
    for number in range(100):
        before = path.stat().st_size
        add_files(path, [Member(f"{number % 2}", b"data")], alignment=64, durable=False)
        grown = path.stat().st_size - before
        # marker and its alignment, gap, header, data, directory of at most two, end records
        assert grown <= 63 + 63 + 51 + 4 + 2 * 75 + 98
    assert {entry.name for entry in read_archive(path).entries} == {"0", "1"}
    assert check_archive(path, alignment=64).ok
