"""Around 4 GiB and around 65,535 members, where ZIP changes its form."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from zipalign import Member, add_files, check_archive, read_archive, remove_entries
from zipalign.member import FileContent
from zipalign.output_file import OutputFile

GOLDENS = sorted((Path(__file__).parents[1] / "golden" / "zip").glob("*.json"))
FOUR_GIB = 1 << 32


def _unpack(golden: Path, path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(golden.read_text())
    with path.open("wb") as file:
        file.truncate(facts["size"])
        for offset, data in facts["spans"]:
            file.seek(offset)
            file.write(bytes.fromhex(data))
    return facts


@pytest.mark.parametrize("golden", GOLDENS, ids=[golden.stem for golden in GOLDENS])
def test_archives_of_other_programs(golden: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    facts = _unpack(golden, path)
    expected = [tuple(member) for member in facts["members"]]
    archive = read_archive(path)
    assert [(entry.name, entry.size, entry.crc, entry.header_offset) for entry in archive.entries] == expected
    kept = [entry.record for entry in archive.entries]
    # They can be extended, too, and kept members stay as their program wrote them.
    extended = add_files(path, [Member("ours", b"ours")])
    assert [entry.record for entry in extended.entries][:2] == kept
    ours = extended.entry("ours")
    assert ours is not None
    assert ours.data_offset > FOUR_GIB
    assert ours.data_offset % 64 == 0
    with zipfile.ZipFile(path) as other:
        assert other.read("after") == b"behind four gibibytes\n"
        assert other.read("ours") == b"ours"


def test_goldens_cover_every_program_and_size() -> None:
    programs = {"7zip", "info-zip", "libarchive", "python"}
    assert {golden.stem for golden in GOLDENS} == {
        f"{name}-{size}" for name in programs for size in ("4g-minus-1", "4g")
    }


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make members holes, with a CRC that is not computed."""

    def copy_range(
        output_file: OutputFile, _fd: int, _source: int, size: int, offset: int, _progress: object
    ) -> tuple[int, int]:
        output_file.truncate(offset + size)
        return 0x12345678, size

    monkeypatch.setattr("zipalign.member.copy_range", copy_range)
    monkeypatch.setattr("zipalign.transaction.check_space", lambda path, needed: None)
    monkeypatch.setattr(OutputFile, "reserve", lambda output_file, offset, size: None)


@pytest.mark.usefixtures("sparse")
@pytest.mark.parametrize("size", [FOUR_GIB - 2, FOUR_GIB - 1, FOUR_GIB, FOUR_GIB + 1, 5 << 30, 40 << 30])
def test_our_archives(size: int, tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(size)
    path = tmp_path / "x.llamafile"
    path.write_bytes(b"MZqFpD='\n")
    archive = add_files(path, [Member("big", big), Member("after", b"behind it")])
    first, second = archive.entries
    assert (first.size, first.compressed_size, first.crc, first.data_offset) == (size, size, 0x12345678, 65536)
    assert second.data_offset == -(-(65536 + size + 30 + 5 + 20) // 64) * 64
    with zipfile.ZipFile(path) as other:
        assert [(info.filename, info.file_size) for info in other.infolist()] == [("big", size), ("after", 9)]
        assert other.read("after") == b"behind it"
    # The 32-bit fields never hold a number that some reader takes at its word and another for "see ZIP64".
    for record in (first.record, second.record):
        assert {record.size, record.compressed_size, record.header_offset} == {0xFFFFFFFF}


@pytest.mark.slow
def test_entry_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    count = 65534
    add_files(path, [Member(f"{n:05}", b"") for n in range(count)], alignment=1, durable=False)
    for wanted in (65534, 65535, 65536, 65578):
        added = [Member(f"{n:05}", b"x") for n in range(count, wanted)]
        archive = add_files(path, added, alignment=1, durable=False)
        count = wanted
        assert len(archive.entries) == count
        with zipfile.ZipFile(path) as other:
            assert len(other.namelist()) == count
    assert len(remove_entries(path, [f"{n:05}" for n in range(65534, 65578)], durable=False).entries) == 65534


@pytest.mark.parametrize("count", [0, 1])
def test_small_counts(count: int, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    archive = add_files(path, [Member(f"{n}", b"x") for n in range(count)])
    assert len(archive.entries) == count
    assert check_archive(path).ok
    with zipfile.ZipFile(path) as other:
        assert len(other.namelist()) == count


def test_space_is_counted_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    members = [Member("a", b"a" * 1000), Member("b" * 50, b"")]
    from zipalign.layout import NewMember, plan_append
    from zipalign.update import check_inputs

    items = check_inputs(path, members)
    assert not isinstance(items[0].content, FileContent)
    planned = plan_append(0, [NewMember(item.name, item.content.size, 64) for item in items]).end
    assert add_files(path, members, alignment=64).file_size == planned
    assert path.stat().st_size == planned
