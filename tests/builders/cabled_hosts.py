"""Hosts with a cable to this one each, for llamafiles that share a model: network namespaces, virtual cables."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.builders.network import in_private_network
from tests.conftest import tool

if TYPE_CHECKING:
    import subprocess

__all__ = ["PORT", "on_hosts"]

PORT: Final = 50052

# Host N is 10.0.N.2, and this one 10.0.N.1 to it. $server is llamafile-rpc-server, $work a folder for logs.
_FUNCTIONS: Final = r"""
set -eu
# add_host N [SECONDS LOSS]
add_host() {
    unshare --net sleep 600 &
    host=$!
    eval "host$1=$host"
    until [ "$(readlink /proc/$host/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.02; done
    if [ $# = 1 ]; then
        ip link add "cable$1" type veth peer name eth0 netns "$host"
    else
        lossy_cable "cable$1" "far$1" "$2" "$3" >"$work/cable$1" &
        until grep -qs ready "$work/cable$1"; do kill -0 $! || exit 77; sleep 0.05; done
        ip link set "far$1" netns "$host" name eth0
    fi
    ip addr add "10.0.$1.1/24" dev "cable$1"
    ip link set "cable$1" up
    on "$1" ip addr add "10.0.$1.2/24" dev eth0
    on "$1" ip link set eth0 up
    on "$1" ip link set lo up
}
on() {
    number=$1
    shift
    eval "inside=\$host$number"
    nsenter --target "$inside" --net "$@"
}
# start_worker N [OPTION...]
start_worker() {
    number=$1
    shift
    eval "inside=\$host$number"
    nsenter --target "$inside" --net sh "$server" --host "10.0.$number.2" --allow "10.0.$number.1" "$@" \
        >"$work/worker$number" 2>&1 &
    eval "worker$number=$!"
    until grep -qs 'listening on' "$work/worker$number"; do
        kill -0 $! || { cat "$work/worker$number"; exit 1; }
        sleep 0.05
    done
}
lossy_cable() { PYTHONPATH=$checkout exec "$python" -m tests.builders.lossy_cable "$@"; }
sent_to() { cat "/sys/class/net/cable$1/statistics/tx_bytes"; }
# wait_for TEXT FILE
wait_for() {
    left=600
    until grep -qs "$1" "$2"; do
        left=$((left - 1))
        [ $left -gt 0 ] || { cat "$2"; exit 1; }
        sleep 0.1
    done
}
"""


def on_hosts(
    count: int, script: str, server: Path, work: Path, *arguments: object, cable: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a shell script beside COUNT hosts, which may use the functions above; ARGUMENTS are $1 and so on.

    CABLE is empty, or the seconds that a packet takes and the part of them that is lost.
    """
    for name in ("ip", "nsenter"):
        tool(name)
    if cable and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/net/tun")
    checkout = Path(__file__).parents[2]
    hosts = "".join(f"add_host {number + 1} {cable}\n" for number in range(count))
    setup = f"server=$1 work=$2 checkout=$3 python=$4\nshift 4\nmount -t sysfs sysfs /sys\n{hosts}"
    return in_private_network(_FUNCTIONS + setup + script, server, work, checkout, sys.executable, *arguments)
