"""cksum's checksum, beside the command."""

from __future__ import annotations

import subprocess

import pytest

from apepack.format.cksum import posix_cksum
from tests.conftest import tool


@pytest.mark.parametrize("data", [b"", b"\0", b"123456789", bytes(range(256)) * 300], ids=len)
def test_the_sum_is_that_of_cksum(data: bytes) -> None:
    result = subprocess.run([tool("cksum")], input=data, capture_output=True, check=True)

    assert result.stdout.split() == [b"%d" % posix_cksum(data), b"%d" % len(data)]
