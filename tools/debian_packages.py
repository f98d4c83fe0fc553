"""The Debian packages that tests use and CI can do without.

    python3 -m tools.debian_packages PACKAGE...

installs them. A package that apt cannot fetch or install is recorded as lost, and the others are installed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from tools.apt import AptGet, reason
from tools.lost_inputs import debian_package, record_lost_input

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["install", "missing"]

_DOWNLOAD_LIMIT: Final = 1800  # seconds, for all packages together
_INSTALL_LIMIT: Final = 3600  # no network is used; dpkg must not be interrupted
_INSTALL: Final = ("install", "--yes", "--no-install-recommends")


def missing(packages: Sequence[str]) -> list[str]:
    """Return which of PACKAGES are not installed."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}"]
    states = [subprocess.run([*query, name], capture_output=True, text=True, check=False).stdout for name in packages]
    return [name for name, state in zip(packages, states, strict=True) if state != "installed"]


def install(packages: Sequence[str], apt: AptGet, limit: float = _DOWNLOAD_LIMIT) -> dict[str, str]:
    """Install PACKAGES; return the reason for each that is lost. After LIMIT seconds nothing is downloaded any more.

    One that is lost takes those with it that are installed in the same command, so then each is installed alone.
    """
    if not packages:
        return {}
    end = time.monotonic() + limit
    apt("update", limit=limit)  # if it fails, the index that is there may do
    if len(packages) > 1 and _install(packages, apt, end) is None:
        return {}
    tried = {name: _install([name], apt, end) for name in packages}
    return {name: why for name, why in tried.items() if why is not None}


def _install(packages: Sequence[str], apt: AptGet, end: float) -> str | None:
    """Return why PACKAGES cannot be installed, or None once they are."""
    if (left := end - time.monotonic()) <= 0:
        return "no time is left"
    result = apt(*_INSTALL, "--download-only", *packages, limit=left)
    if result.returncode == 0:
        result = apt(*_INSTALL, *packages, limit=_INSTALL_LIMIT)
    return None if result.returncode == 0 else reason(result)


def main() -> None:
    """Install what the command line names; what is lost is recorded, and is no failure."""
    for name, why in install(missing(sys.argv[1:]), AptGet(as_root=True)).items():
        record_lost_input(debian_package(name), why)


if __name__ == "__main__":
    main()
