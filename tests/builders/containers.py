"""Containers as a user without rights runs them: unpacked by umoci, and started by crun with a read-only root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CONTAINER_USER", "Bundle", "process_named", "unpacked"]

CONTAINER_USER: Final = 65532
_UNPRIVILEGED: Final = 65534
_NAMESPACES: Final = (
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
# crun refuses systems with both versions of cgroups, although it is told to use none.
_START: Final = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"'

# Arguments of a container are in its configuration; what follows in a command line goes there, and then it is started.
_CONFIGURE: Final = """
import json, os, sys
path, words, *arguments = sys.argv[1:]
with open(path) as file:
    config = json.load(file)
config["process"]["args"] += arguments
with open(path, "w") as file:
    json.dump(config, file)
words = json.loads(words)
os.execvp(words[0], words)
"""


class Bundle:
    """A container that is not started yet, in a folder that belongs to the user who starts it.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def root(self) -> Path:
        """The files of the image."""
        return self.folder / "bundle" / "rootfs"

    def command(
        self, *arguments: str, environment: Mapping[str, str] | None = None, emulator: Path | None = None
    ) -> list[str]:
        """Return the command that runs it, with ARGUMENTS, and words that are added, in the place of the image's Cmd.

        The network is that of the machine. EMULATOR runs the program of another processor.
        """
        path = self.folder / "bundle" / "config.json"
        config: dict[str, Any] = json.loads(path.read_text())
        process = config["process"]
        process.pop("rlimits", None)
        process |= {"terminal": False, "capabilities": {}}
        process["args"] = [*(["/emulator"] if emulator else []), *process["args"]]
        process["env"] += [f"{name}={value}" for name, value in (environment or {}).items()]
        config["root"]["readonly"] = True
        config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] in {"/proc", "/dev"}]
        if emulator:
            options = ["bind", "ro"]
            config["mounts"].append({"destination": "/emulator", "source": str(emulator), "options": options})
        users = [{"containerID": CONTAINER_USER, "hostID": 0, "size": 1}]
        spaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "user")]
        config["linux"] = {"namespaces": spaces, "uidMappings": users, "gidMappings": users}
        path.write_text(json.dumps(config))
        crun = [tool("crun"), "--root", str(self.folder / "state"), "--cgroup-manager", "disabled", "run"]
        words = [*_as_user(), "sh", "-c", _START, "sh", *crun, "--bundle", str(path.parent), self.folder.name]
        return [sys.executable, "-c", _CONFIGURE, str(path), json.dumps(words), *arguments]


def _as_user() -> list[str]:
    """Return how a command starts as an unprivileged user in namespaces of its own."""
    switch = (
        ["setpriv", f"--reuid={_UNPRIVILEGED}", f"--regid={_UNPRIVILEGED}", "--clear-groups"]
        if os.geteuid() == 0
        else []
    )
    return [*switch, *_NAMESPACES]


@contextmanager
def unpacked(layout: Path, tag: str, architecture: str) -> Iterator[Bundle]:
    """Unpack the image TAG in LAYOUT for ARCHITECTURE."""
    skopeo, umoci = tool("skopeo"), tool("umoci")
    if subprocess.run([*_as_user(), "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs a kernel that lets users have namespaces of their own")
    folder = Path(tempfile.mkdtemp(prefix="image-", dir="/var/tmp"))  # folders of a test are closed to other users
    try:
        copy = [skopeo, "copy", "--quiet", "--insecure-policy", f"--override-arch={architecture}"]
        single = folder / "single"
        subprocess.run([*copy, f"oci:{layout}:{tag}", f"oci:{single}:x"], check=True, capture_output=True)
        unpack = [umoci, "unpack", "--rootless", "--image", f"{single}:x", str(folder / "bundle")]
        subprocess.run(unpack, check=True, capture_output=True)
        shutil.rmtree(single)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", str(_UNPRIVILEGED), folder], check=True)
        yield Bundle(folder)
    finally:
        shutil.rmtree(folder)


def process_named(name: str, parent: int) -> int:
    """Return the number of the process NAME among those that PARENT started, and these, and so on."""
    found = [parent]
    for number in found:
        if (Path(f"/proc/{number}/comm").read_text().strip(), number != parent) == (name, True):
            return number
        found += map(int, Path(f"/proc/{number}/task/{number}/children").read_text().split())
    raise LookupError(name)
