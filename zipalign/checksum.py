"""CRC-32 with the fastest implementation installed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["crc32_combiner", "crc32_function"]


@functools.cache
def crc32_function() -> Callable[[bytes | memoryview, int], int]:
    """Return isal's CRC-32, which uses carry-less multiplication, or zlib's when isal is not installed."""
    try:
        from isal.isal_zlib import crc32  # noqa: PLC0415 -- optional, and not worth its import for --help
    except ImportError:
        from zlib import crc32  # noqa: PLC0415 -- the other branch of the import above
    return crc32


@functools.cache
def crc32_combiner() -> Callable[[int, int, int], int] | None:
    """Return isal's function that combines the CRCs of two adjacent parts, given the size of the second."""
    try:
        from isal.isal_zlib import crc32_combine  # noqa: PLC0415 -- as above
    except ImportError:
        return None
    return crc32_combine
