"""The same inputs give the same bytes, wherever and whenever."""

from __future__ import annotations

import os
import stat
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.zipalign.command import run
from zipalign import Member, add_files
from zipalign.errors import TimestampError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("environment", "keep_times", "expected"),
    [
        (None, False, (2023, 11, 14, 22, 13, 20)),
        ("1000000000", False, (2001, 9, 9, 1, 46, 40)),
        ("0", False, (1980, 1, 1, 0, 0, 0)),
        ("99999999999", False, (2107, 12, 31, 23, 59, 58)),
        (None, True, (2024, 2, 29, 12, 0, 0)),
        ("1000000000", True, (2001, 9, 9, 1, 46, 40)),
        ("1800000000", True, (2024, 2, 29, 12, 0, 0)),
    ],
)
def test_times(
    environment: str | None,
    keep_times: bool,  # noqa: FBT001 -- pytest passes it by name
    expected: tuple[int, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    if environment is not None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", environment)
    file = tmp_path / "f"
    file.write_bytes(b"f")
    os.utime(file, (1709208000, 1709208000))
    add_files(tmp_path / "x.zip", [Member("f", file)], keep_times=keep_times)
    with zipfile.ZipFile(tmp_path / "x.zip") as other:
        assert other.infolist()[0].date_time == expected


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "1.5", "\u0661"])
def test_bad_source_date_epoch(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(TimestampError) as caught:
        add_files(tmp_path / "x.zip", [Member("f", b"f")])
    assert caught.value.text == text
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize(("mode", "stored"), [(0o600, 0o644), (0o664, 0o644), (0o700, 0o755), (0o651, 0o755)])
def test_modes_are_normalised(mode: int, stored: int, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"f")
    file.chmod(mode)
    entry = add_files(tmp_path / "x.zip", [Member("f", file)]).entries[0]
    assert entry.record.external_attributes >> 16 == stat.S_IFREG | stored


def test_same_bytes_everywhere(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "model.gguf").write_bytes(bytes(3000))
    made = set()
    for number, (zone, umask, locale, here) in enumerate(
        [
            ("UTC", "022", "C", tmp_path),
            ("America/Los_Angeles", "077", "C.UTF-8", tmp_path),
            ("Asia/Kolkata", "000", "de_DE.UTF-8", tmp_path / "d"),
        ]
    ):
        path = tmp_path / f"{number}.zip"
        before = ["sh", "-c", f'umask {umask}; exec "$@"', "sh"]
        extra = {"TZ": zone, "LC_ALL": locale}
        done = run("-j", path, tmp_path / "d" / "model.gguf", cwd=here, extra=extra, before=before)
        assert done.returncode == 0, done.stderr
        made.add(path.read_bytes())
    assert len(made) == 1


def test_time_zone_of_this_process_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = set()
    for number, zone in enumerate(("UTC", "Asia/Tokyo")):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        add_files(tmp_path / f"{number}", [Member("a", b"a")])
        made.add((tmp_path / f"{number}").read_bytes())
    monkeypatch.undo()
    time.tzset()
    assert len(made) == 1
