"""The reader on invalid input: every prefix, many bit flips, and bounded time and memory."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import Item, build, extra, zip64_extra
from tests.zipalign.command import environment
from zipalign import Member, ZipalignError, add_files, check_archive, read_archive
from zipalign.errors import NotAnArchiveError, TrailingDataError, UnsupportedZipError, ZipFormatError
from zipalign.recovery import find_trailing_data

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small(tmp_path: Path) -> bytes:
    path = tmp_path / "small.zip"
    path.write_bytes(build([Item(b"classic.txt", b"hello " * 20, method=8)], comment=b"!"))
    add_files(path, [Member("model.gguf", b"GGUF" * 9), Member(".args", b"-m\n")], alignment=16)
    return path.read_bytes()


def test_every_prefix(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    outcomes = set()
    for size in range(len(small)):
        path.write_bytes(small[:size])
        try:
            names = [entry.name for entry in read_archive(path).entries]
        except (NotAnArchiveError, ZipFormatError) as e:
            outcomes.add(type(e).__name__)
        else:
            # Cut exactly where the archive ended before the append, it is that archive.
            assert names == ["classic.txt"]
            outcomes.add("complete")
        with path.open("rb") as file:
            find_trailing_data(file.fileno(), size)
    assert outcomes == {"NotAnArchiveError", "TrailingDataError", "ZipFormatError", "complete"}


@pytest.mark.slow
def test_two_thousand_flips(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    chance = random.Random(2000)
    accepted = 0
    for _ in range(2000):
        data = bytearray(small)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            accepted += check_archive(path, alignment=1).ok
        except NotAnArchiveError:
            continue
    # Times, attributes, versions, padding and the old directory are not interpreted; other changes must be detected.
    assert 0 < accepted < 1200


def test_flips_in_data_are_always_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    archive = add_files(path, [Member("stored", bytes(range(256)))])
    entry = archive.entries[0]
    good = path.read_bytes()
    for offset in range(entry.data_offset, entry.data_end):
        path.write_bytes(good[:offset] + bytes([good[offset] ^ 16]) + good[offset + 1 :])
        report = check_archive(path)
        assert [finding.kind for finding in report.findings] == ["data.crc"]


HOSTILE = {
    "end records everywhere": b"PK\x05\x06" + b"\0" * 18,
    "markers everywhere": b"zipalign.append\n" + b"\0" * 16,
    "locators everywhere": b"PK\x06\x07" + b"\0" * 16 + b"PK\x05\x06" + b"\0" * 8 + b"\xff" * 8 + b"\0\0",
    "signatures only": b"PK\x05\x06",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_takes_bounded_time_and_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(HOSTILE[name] * ((4 << 20) // len(HOSTILE[name])))
    code = (
        "import sys, pathlib, zipalign\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "for attempt in (zipalign.read_archive, zipalign.check_archive, zipalign.recover):\n"
        "    try: attempt(path)\n"
        "    except zipalign.ZipalignError: pass\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))

    line = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(line, env=environment(), capture_output=True, timeout=60, check=False, preexec_fn=limit)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_bomb_takes_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(build([Item(b"zeros", bytes(200 << 20), method=8)]))
    code = "import sys, zipalign; assert zipalign.check_archive(sys.argv[1], alignment=1).ok"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (128 << 20, 128 << 20))

    line = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(line, env=environment(), capture_output=True, check=False, preexec_fn=limit)
    assert done.returncode == 0, done.stderr


def test_errors_carry_data(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build([Item(local={"crc": 4})], prefix=bytes(100)))
    with pytest.raises(ZipFormatError) as caught:
        read_archive(path)
    assert (caught.value.entry, caught.value.field, caught.value.offset) == ("a.txt", "local.crc", 100)
    assert "'a.txt': the local header disagrees" in str(caught.value)
    assert "got 4" in str(caught.value)
    assert str(caught.value).endswith("at offset 0x64")


def test_absent_and_damaged_differ(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"text")
    with pytest.raises(NotAnArchiveError) as absent:
        read_archive(path)
    assert absent.value.path == path
    assert not isinstance(absent.value, ZipFormatError)
    with pytest.raises(FileNotFoundError):
        read_archive(tmp_path / "missing")
    path.write_bytes(build(trailing=b"xyz"))
    with pytest.raises(TrailingDataError) as trailing:
        read_archive(path)
    assert trailing.value.size == 3
    assert trailing.value.archive_end == len(build())


def test_names_that_are_not_utf8_are_cp437(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build([Item("ü.txt".encode("cp437"), flags=0)]))
    assert read_archive(path).entries[0].name == "ü.txt"


def test_unicode_path_names_the_member(tmp_path: Path) -> None:
    import zlib

    raw = b"?.txt"
    field = extra(0x7075, b"\x01" + zlib.crc32(raw).to_bytes(4, "little") + "☃.txt".encode())
    path = tmp_path / "x.zip"
    path.write_bytes(build([Item(raw, flags=0, central_extra=field)]))
    assert read_archive(path).entries[0].name == "☃.txt"


def test_long_local_header(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    item = Item(b"n" * 60000, b"data", local_extra=extra(0xCAFE, bytes(60000)))
    path.write_bytes(build([item]))
    assert read_archive(path).entries[0].data_offset == 30 + 60000 + 60004


def test_too_large_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    size = (1 << 30) + 1
    end = {"directory_size": size, "directory_offset": 0}
    with path.open("wb") as file:
        file.write(b"PK\x01\x02")
        file.truncate(size)
        file.seek(size)
        file.write(build([], end={"entries": 1, "entries_here": 1, **end}))
    with pytest.raises(UnsupportedZipError):
        read_archive(path)


def test_widened_by_parts(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    for ones, values in (
        (("size",), (5,)),
        (("csize",), (5,)),
        (("offset",), (0,)),
        (("size", "offset"), (5, 0)),
        (("offset",), (5, 5, 0)),
        ((), (5, 5, 0)),
        ((), (99, 99, 99)),
    ):
        item = Item(central=dict.fromkeys(ones, 0xFFFFFFFF), central_extra=zip64_extra(*values))
        path.write_bytes(build([item]))
        entry = read_archive(path).entries[0]
        assert (entry.size, entry.compressed_size, entry.header_offset) == (5, 5, 0)


def test_contradicting_zip64_field(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    for ones, values in ((("offset",), (5, 6, 0)), (("offset",), (5, 5)), (("size",), (5, 5, 1))):
        item = Item(central=dict.fromkeys(ones, 0xFFFFFFFF), central_extra=zip64_extra(*values))
        path.write_bytes(build([item]))
        with pytest.raises(ZipFormatError) as caught:
            read_archive(path)
        assert caught.value.field == "central.extra.zip64"


def test_root_error_catches_all(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(ZipalignError):
        read_archive(tmp_path / "x")
