"""The faults and notes of --check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.builders.zip import Item, build
from zipalign import Member, add_files, check_archive, remove_entries
from zipalign.check import Severity

if TYPE_CHECKING:
    from pathlib import Path


def test_members_that_were_replaced_or_removed_are_not_hidden_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    add_files(path, [Member(name, name.encode() * 5) for name in ("a", "b", "c")], alignment=1)
    add_files(path, [Member("b", b"newer")], alignment=1)
    remove_entries(path, ["c"])
    report = check_archive(path, alignment=1)
    assert report.ok
    assert not report.findings


def test_hidden_member_behind_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build([Item(b"a.txt"), Item(b"hidden", listed=False)]))
    (finding,) = check_archive(path, alignment=1).findings
    assert finding.severity is Severity.FAULT
    assert finding.offset == len(Item(b"a.txt").local_header()) + 5


def test_hidden_member_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build([Item(b"hidden", listed=False), Item(b"a.txt", gap=b"\0")]))
    (finding,) = check_archive(path, alignment=1).findings
    assert (finding.kind, finding.offset) == ("local.signature", 0)


def test_hidden_member_behind_a_descriptor(tmp_path: Path) -> None:
    import struct
    import zlib

    deferred = {"crc": 0, "csize": 0, "size": 0}
    descriptor = b"PK\x07\x08" + struct.pack("<III", zlib.crc32(b"hello"), 5, 5)
    first = Item(flags=0x0808, local=deferred, descriptor=descriptor)
    path = tmp_path / "x.zip"
    path.write_bytes(build([first, Item(b"hidden", listed=False)]))
    (finding,) = check_archive(path, alignment=1).findings
    assert finding.kind == "local.signature"


def test_only_stored_data_must_be_aligned(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    add_files(path, [Member("deflated", b"x" * 99)], level=6, alignment=1)
    add_files(path, [Member("empty", b""), Member("stored", b"x")], alignment=1)
    findings = check_archive(path, alignment=2).findings
    assert {(finding.kind, finding.entry) for finding in findings} <= {
        ("central.method", "deflated"),
        ("alignment", "stored"),
    }
    assert check_archive(path, alignment=1).ok


def test_every_damaged_member_is_reported(tmp_path: Path) -> None:
    wrong = {"crc": 1}
    path = tmp_path / "x.zip"
    path.write_bytes(build([Item(name, local=wrong, central=wrong) for name in (b"a", b"b")]))
    report = check_archive(path, alignment=1)
    assert [(finding.kind, finding.entry) for finding in report.findings] == [("data.crc", "a"), ("data.crc", "b")]
    assert str(report.findings[0]).startswith("fault: 'a': the data has the wrong CRC (got ")


def test_progress_counts_all_data(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    add_files(path, [Member("a", bytes(3 << 20)), Member("b", bytes(5))])
    seen: list[int] = []
    assert check_archive(path, progress=seen.append).ok
    assert sum(seen) == (3 << 20) + 5


def test_special_files_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    link = Item(b"link", b"target", central={"external": 0o120777 << 16})
    folder = Item(b"folder/", b"", central={"external": 0o040755 << 16})
    path.write_bytes(build([link, folder, Item()]))
    (finding,) = check_archive(path, alignment=1).findings
    assert (finding.severity, finding.entry) == (Severity.NOTE, "link")


def test_other_members_are_checked_beside_a_faulty_one(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    wrong = {"crc": 1}
    path.write_bytes(build([Item(b"odd", flags=0x801), Item(b"a.txt", local=wrong, central=wrong)]))
    report = check_archive(path, alignment=1)
    assert [(finding.entry, finding.kind) for finding in report.findings] == [
        ("odd", "central.flags"),
        ("a.txt", "data.crc"),
    ]
