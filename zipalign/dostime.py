"""DOS dates and times, always in UTC, so that archives do not depend on the time zone.

DOS time counts two-second steps from 1980 to 2107; times outside of that range become the nearest limit.
"""

from __future__ import annotations

import os
import time
from typing import Final

from zipalign.errors import TimestampError

__all__ = ["DEFAULT_TIMESTAMP", "build_timestamp", "from_dos", "to_dos"]

DEFAULT_TIMESTAMP: Final = 1_700_000_000  # 2023-11-14 22:13:20 UTC, llamafile's constant
_FIRST: Final = 315_532_800  # 1980-01-01 00:00:00 UTC
_LAST: Final = 4_354_819_198  # 2107-12-31 23:59:58 UTC


def to_dos(timestamp: int) -> tuple[int, int]:
    """Return the DOS (time, date) of a Unix time, in UTC."""
    moment = time.gmtime(min(max(timestamp, _FIRST), _LAST))
    dos_time = moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2
    dos_date = (moment.tm_year - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
    return dos_time, dos_date


def from_dos(dos_time: int, dos_date: int) -> str:
    """Return a DOS time and date as `2023-11-14 22:13:20`; impossible values are no error."""
    day = f"{(dos_date >> 9) + 1980:04}-{dos_date >> 5 & 15:02}-{dos_date & 31:02}"
    return f"{day} {dos_time >> 11:02}:{dos_time >> 5 & 63:02}:{(dos_time & 31) * 2:02}"


def build_timestamp(file_time: int | None = None) -> int:
    """Return the timestamp of a member, in Unix seconds.

    Without `file_time` that is SOURCE_DATE_EPOCH, or a constant. With it, it is the file's time, at most
    SOURCE_DATE_EPOCH, as https://reproducible-builds.org/specs/source-date-epoch/ asks.

    Raises:
        TimestampError: SOURCE_DATE_EPOCH is not a number.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return DEFAULT_TIMESTAMP if file_time is None else file_time
    if not (text.isascii() and text.isdigit()):
        raise TimestampError(text)
    return int(text) if file_time is None else min(int(text), file_time)
