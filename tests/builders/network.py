"""A network of one's own: every port is free, and what listens or connects there is what the test started."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SECOND_ADDRESS", "in_private_network"]

SECOND_ADDRESS: Final = "192.0.2.7"  # of the block that is for documentation
# The loopback interface of a new namespace is down, and ip(8) is not everywhere.
_BRING_UP: Final = f"""
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    address = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton("{SECOND_ADDRESS}"))
    fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, running
    fcntl.ioctl(control, 0x8916, struct.pack("16s16s", b"lo:1", address))  # SIOCSIFADDR
os.execvp(sys.argv[1], sys.argv[1:])
"""


def in_private_network(
    script: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a shell script, to which ARGUMENTS are $1 and so on; all that it leaves running ends with it."""
    probe = subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True)
    if probe.returncode != 0:
        pytest.skip("needs a kernel that lets users have namespaces of their own")
    namespace = ["unshare", "-rnpf", "--kill-child", "--mount-proc"]
    shell = ["/bin/sh", "-c", script, "sh", *map(str, arguments)]
    return subprocess.run(
        [*namespace, sys.executable, "-c", _BRING_UP, *shell],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        env=environment,
    )
