"""A cable between two network namespaces that delays packets and loses some: `python -m tests.builders.lossy_cable`.

Kernels may lack netem. Here the two ends are network devices of this process, which carries the packets itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from typing import Final

_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEADER: Final = 0x1001
_PACKET_MAX: Final = 65536


def open_end(name: str) -> int:
    """Create the network device NAME, and return the descriptor that its packets come from and go to."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEADER))
    return descriptor


def carry(first: int, second: int, delay: float, loss: float) -> None:
    """Carry packets between the two ends, each DELAY seconds late; the part LOSS of them is lost."""
    other = {first: second, second: first}
    chance = random.Random(1)
    under_way: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for end in select.select([first, second], [], [], wait)[0]:
            packet = os.read(end, _PACKET_MAX)
            if chance.random() >= loss:
                under_way.append((time.monotonic() + delay, other[end], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, end, packet = under_way.popleft()
            with contextlib.suppress(OSError):  # an end that is down: the packet is lost
                os.write(end, packet)


def main() -> None:
    """Create the ends that the command line names, say so by a line, and carry packets."""
    first, second, delay, loss = sys.argv[1:]
    ends = open_end(first), open_end(second)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    carry(*ends, float(delay), float(loss))


if __name__ == "__main__":
    main()
