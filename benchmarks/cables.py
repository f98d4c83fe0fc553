"""Hosts on this machine: network namespaces with a cable of 1 Gbit/s to this one each. Needs root and iproute2."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Host", "hosts"]

_RATE: Final = ("root", "tbf", "rate", "1gbit", "burst", "1mb", "latency", "50ms")


@dataclass(frozen=True, slots=True)
class Host:
    """One namespace, and the end of its cable here."""

    number: int

    @property
    def name(self) -> str:
        """Its name for ip(8)."""
        return f"bench{self.number}"

    @property
    def address(self) -> str:
        """Its address."""
        return f"10.77.{self.number}.2"

    @property
    def near_address(self) -> str:
        """The address of this machine at its cable."""
        return f"10.77.{self.number}.1"

    def command(self, *command: str) -> list[str]:
        """Return COMMAND as one that runs there."""
        return ["ip", "netns", "exec", self.name, *command]

    def transferred(self) -> tuple[int, int]:
        """Return the bytes that went there and came from there, with all headers."""
        folder = Path("/sys/class/net", self.name, "statistics")
        sent, received = (int((folder / name).read_text()) for name in ("tx_bytes", "rx_bytes"))
        return sent, received

    def connect(self) -> None:
        """Make it."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("addr", "add", f"{self.near_address}/24", "dev", self.name)
        _ip("link", "set", self.name, "up")
        for arguments in (
            ("addr", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", self.name, *arguments)
        for place, device in (((), self.name), (("-n", self.name), "eth0")):
            subprocess.run([_program("tc"), *place, "qdisc", "add", "dev", device, *_RATE], check=True)

    def remove(self) -> None:
        """Remove it, and its cable."""
        subprocess.run([_program("ip"), "netns", "del", self.name], check=False, capture_output=True)


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """Give COUNT hosts."""
    made = [Host(number + 1) for number in range(count)]
    try:
        for host in made:
            host.connect()
        yield made
    finally:
        for host in made:
            host.remove()


def _ip(*arguments: str) -> None:
    subprocess.run([_program("ip"), *arguments], check=True)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} of iproute2 is not there")
    return found
