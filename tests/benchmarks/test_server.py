"""The targets of a server under load."""

from __future__ import annotations

import pytest

from benchmarks.bench_server import FIRST, LAST, RATE, limits
from benchmarks.record import OURS, Record


@pytest.mark.parametrize(
    ("clients", "measured", "ratio", "kept"),
    [
        ("4", RATE, 0.99, True),
        ("4", RATE, 0.97, False),
        ("16", RATE, 1.49, False),
        ("64", RATE, 1.5, True),
        ("4", LAST, 1.01, True),
        ("64", LAST, 0.61, False),
        ("64", LAST, 0.6, True),
        ("64", FIRST, 1.0, True),
    ],
)
def test_with_many_clients_more_is_asked(clients: str, measured: str, ratio: float, *, kept: bool) -> None:
    record = Record("server", "", "", "", 1, {})
    cell = record.cell(clients=clients, measured=measured)
    cell.add(OURS, ratio)
    cell.add("native", 1)

    assert [limit.kept for limit in limits(record, ["native"])] == [kept]
