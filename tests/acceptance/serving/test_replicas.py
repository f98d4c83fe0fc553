"""Replicas behind haproxy, under load: what clients notice when one of them dies, or all are restarted in turn."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.builders.load import Load
from tests.builders.replicas import CONFIGURATION, replicas
from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.builders.replicas import Replicas

REPLICAS = 3
CLIENTS = 12


@pytest.fixture
def group(program: Path, roomy_model: Path, tmp_path: Path) -> Iterator[Replicas]:
    command = [program, "-m", roomy_model, "--nobrowser", "--parallel", 4, "-c", 2048, "-t", 1]
    with replicas(tool("haproxy"), [str(word) for word in command], REPLICAS, tmp_path) as started:
        yield started


def test_the_configuration_is_valid() -> None:
    command = [tool("haproxy"), "-c", "-f", str(CONFIGURATION)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_all_replicas_share_the_load(group: Replicas) -> None:
    with Load(group.port, CLIENTS) as load:
        load.wait_for(10 * CLIENTS)
    assert load.failures == []
    shares = [sum(one.replica == f"replica{number}" for one in load.outcomes) for number in range(1, REPLICAS + 1)]
    assert min(shares) > len(load.outcomes) / REPLICAS / 3


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_replica_takes_only_what_it_was_sending(group: Replicas, ending: signal.Signals) -> None:
    with Load(group.port, CLIENTS) as load:
        load.wait_for(2 * CLIENTS)
        killed = time.monotonic()
        assert group.servers[0].end(ending) == -ending
        load.wait_for(4 * CLIENTS)
        group.servers[0].start()
        load.wait_for(2, "replica1")
    assert {failure.replica for failure in load.failures} <= {"replica1"}, load.failures
    assert all(failure.ended < killed + 5 for failure in load.failures), load.failures
    assert len(load.failures) <= CLIENTS


def test_a_rolling_restart_loses_nothing(group: Replicas) -> None:
    with Load(group.port, CLIENTS) as load:
        for number, server in enumerate(group.servers, 1):
            load.wait_for(CLIENTS)
            assert server.end(signal.SIGTERM) == 0
            load.wait_for(CLIENTS)
            server.start()
            load.wait_for(2, f"replica{number}")
    assert load.failures == []
