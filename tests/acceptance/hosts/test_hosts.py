"""A model divided over hosts: their text is that of one host, and the loss of one ends the program with a sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from runtime.builder.artifacts import demo_model
from tests.builders.cabled_hosts import PORT, on_hosts
from tests.pipeline.conftest import run

if TYPE_CHECKING:
    from pathlib import Path

PROMPT = "The capital of France is"
QUESTION = f"-p '{PROMPT}' -n 24 --temp 0"
MUST_BE_SENT_MAX = 0.05  # of the bytes of the weights


@pytest.fixture
def server(smollm2: Path, tmp_path: Path) -> Path:
    """SmolLM2 under the name of the worker."""
    link = tmp_path / "llamafile-rpc-server"
    link.symlink_to(smollm2)
    return link


def workers(count: int) -> str:
    """The value of --rpc for COUNT hosts."""
    return ",".join(f"10.0.{number + 1}.2:{PORT}" for number in range(count))


@pytest.mark.parametrize("count", [2, 3])
def test_hosts_that_have_the_weights_compute_the_same_text_and_are_sent_few_bytes(
    server: Path, smollm2: Path, tmp_path: Path, count: int
) -> None:
    alone = run(smollm2, "--cli", "-p", PROMPT, "-n", "24", "--temp", "0")
    starts = "".join(f"start_worker {number + 1} -t 1\n" for number in range(count))
    sent = "".join(f"sent_to {number + 1} >&2\n" for number in range(count))
    script = f'{starts} sh "$1" --cli --rpc {workers(count)} {QUESTION}\n{sent}'
    result = on_hosts(count, script, server, tmp_path, smollm2)
    assert (result.returncode, result.stdout) == (0, alone.stdout), result.stderr
    each = [int(line) for line in result.stderr.split()]
    assert len(each) == count
    assert all(one > 0 for one in each)
    assert sum(each) < MUST_BE_SENT_MAX * demo_model().stat().st_size


def test_a_host_without_the_weights_is_sent_them_once_and_keeps_them_in_its_cache(
    runtime: Path, smollm2: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "llamafile-rpc-server"
    bare.symlink_to(runtime)
    cache = tmp_path / "cache"
    ask = f'sh "$1" --cli --rpc {workers(1)} {QUESTION}\nsent_to 1 >&2\n'
    script = f"start_worker 1 -t 1 --cache-dir {cache} --cache-size 200M\n{ask}{ask}"
    result = on_hosts(1, script, bare, tmp_path, smollm2)
    assert result.returncode == 0, result.stderr
    first, second = (int(line) for line in result.stderr.split())
    size = demo_model().stat().st_size
    assert first > 0.8 * size
    assert second - first < MUST_BE_SENT_MAX * size
    assert cache.stat().st_mode & 0o777 == 0o700
    assert all(re.fullmatch(r"[0-9a-f]{16}", file.name) for file in cache.iterdir())


def test_packets_that_are_late_or_lost_change_nothing(server: Path, smollm2: Path, tmp_path: Path) -> None:
    alone = run(smollm2, "--cli", "-p", PROMPT, "-n", "24", "--temp", "0")
    script = f'start_worker 1 -t 1\nstart_worker 2 -t 1\nsh "$1" --cli --rpc {workers(2)} {QUESTION}\n'
    result = on_hosts(2, script, server, tmp_path, smollm2, cable="0.02 0.01")
    if result.returncode == 77:
        pytest.skip("needs a kernel that makes network devices of programs (tun)")
    assert (result.returncode, result.stdout) == (0, alone.stdout), result.stderr


# When the worker is killed: after a time, or when a text appears.
LOADING = "sleep 0.4"
PROMPTING = "wait_for 'serves' \"$work/worker2\"; sleep 1"
GENERATING = "wait_for 'Paris' \"$work/text\""


@pytest.mark.parametrize("moment", [LOADING, PROMPTING, GENERATING], ids=["loading", "prompt", "generation"])
def test_without_a_worker_the_program_ends_with_a_sentence(
    server: Path, smollm2: Path, tmp_path: Path, moment: str
) -> None:
    script = f"""\
start_worker 1 -t 1
start_worker 2 -t 1
sh "$1" --cli --rpc {workers(2)} -p '{PROMPT}' -n 8000 -c 8192 --ignore-eos --temp 0 >"$work/text" 2>"$work/errors" &
client=$!
{moment}
kill -9 $worker2
status=0
wait $client || status=$?
cat "$work/errors"
exit $((status + 10))
"""
    result = on_hosts(2, script, server, tmp_path, smollm2)
    assert result.returncode == 11, result.stderr + result.stdout
    lines = [line for line in result.stdout.splitlines() if line.startswith("llamafile: ")]
    assert len(lines) == 1
    assert f"10.0.2.2:{PORT}" in lines[0]


def test_a_host_that_falls_silent_is_noticed(server: Path, smollm2: Path, tmp_path: Path) -> None:
    """It was switched off: no packet says so."""
    script = f"""\
start_worker 1 -t 1
sh "$1" --cli --rpc {workers(1)} -p '{PROMPT}' -n 8000 -c 8192 --ignore-eos --temp 0 >"$work/text" 2>"$work/errors" &
client=$!
{GENERATING}
on 1 ip link set lo down
on 1 ip addr flush dev eth0
on 1 ip link set eth0 address 02:00:00:00:00:01
status=0
wait $client || status=$?
cat "$work/errors"
exit $((status + 10))
"""
    result = on_hosts(1, script, server, tmp_path, smollm2)
    assert result.returncode == 11, result.stderr + result.stdout
    assert "is gone" in result.stdout


def test_a_server_answers_running_requests_with_an_error_before_it_ends(
    server: Path, smollm2: Path, tmp_path: Path
) -> None:
    body = '{"prompt": "Once", "max_tokens": 6000, "ignore_eos": true, "stream": STREAM}'
    url = "http://127.0.0.1:8080/v1/completions"
    script = f"""\
start_worker 1 -t 1
sh "$1" --server --nobrowser -c 16384 --rpc {workers(1)} >"$work/log" 2>&1 &
client=$!
wait_for 'listening on http' "$work/log"
curl -sN {url} -d '{body.replace("STREAM", "true")}' >"$work/stream" &
stream=$!
curl -s -w '%{{http_code}}' {url} -d '{body.replace("STREAM", "false")}' >"$work/whole" &
whole=$!
wait_for 'data:' "$work/stream"
kill -9 $worker1
status=0
wait $client || status=$?
wait $stream $whole || true
tail -n 2 "$work/stream"
cat "$work/whole"
exit $((status + 10))
"""
    result = on_hosts(1, script, server, tmp_path, smollm2)
    assert result.returncode == 11, result.stderr + result.stdout
    assert result.stdout.count(f"10.0.1.2:{PORT} is gone") == 2, result.stdout
    assert result.stdout.endswith("503")


def test_a_worker_serves_the_next_program_and_refuses_others(server: Path, smollm2: Path, tmp_path: Path) -> None:
    ask = f'sh "$1" --cli --rpc {workers(1)} -p "{PROMPT}" -n 4 --temp 0\n'
    vanish = f"""\
sh "$1" --cli --rpc {workers(1)} -p '{PROMPT}' -n 8000 -c 8192 --ignore-eos --temp 0 >"$work/text" 2>&1 &
client=$!
{GENERATING}
{ask.strip()} 2>&1 && exit 1 # while another one is served
kill -9 $client
wait $client || true
wait_for 'ends the connection\\|has served' "$work/worker1"
"""
    script = f"""\
start_worker 1 -t 1
{vanish}{ask}
ip addr del 10.0.1.1/24 dev cable1
ip addr add 10.0.1.9/24 dev cable1
{ask.strip()} 2>&1 || true
"""
    result = on_hosts(1, script, server, tmp_path, smollm2)
    assert result.returncode == 0, result.stderr + result.stdout
    assert "it serves one program at a time" in result.stdout
    assert f"{PROMPT} Paris" in result.stdout
    assert result.stdout.count("cannot use the worker") == 2
    assert "refuses 10.0.1.9" in (tmp_path / "worker1").read_text()
