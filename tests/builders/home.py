"""The environment of a user who has just been created: an empty home, and nothing under its name anywhere else."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["links_into_home", "living_in", "new_name"]

_BUILDS: Final = ".cache/llamafile-toolchain"


def new_name() -> str:
    """Return the name of a user that no program knows: a loader is kept in /tmp too, under the name of its user."""
    return f"test-{uuid4().hex[:8]}"


def links_into_home(user: Path, builds: Path) -> dict[str, Path]:
    """Return what another home is to have of the home USER, and the cache BUILDS: where each link leads."""
    builds.mkdir(parents=True, exist_ok=True, mode=0o700)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or user / ".cache")
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or user / ".config")
    # Where pip and npm read how they reach their packages, and what pip has fetched before.
    places = {".cache/pip": caches / "pip", ".config/pip": settings / "pip"}
    places |= {name: user / name for name in (".netrc", ".npmrc", ".pip")}
    return {name: place for name, place in places.items() if place.exists()} | {_BUILDS: builds}


@contextmanager
def living_in(folder: Path, links: Mapping[str, Path]) -> Iterator[None]:
    """Make HOME and TMPDIR below FOLDER, and let all that runs inside know no others; FOLDER is removed at the end."""
    home, temporary = folder / "home", folder / "tmp"
    for path in (home, temporary):
        path.mkdir(parents=True)
    for name, target in links.items():
        (home / name).parent.mkdir(exist_ok=True, mode=0o700)
        (home / name).symlink_to(target)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("XDG_") and name.endswith(("_HOME", "_DIR"))]:
            patch.delenv(name)  # all of them have defaults in HOME
        patch.setenv("HOME", str(home))
        patch.setenv("TMPDIR", str(temporary))
        patch.setenv("LOGNAME", new_name())
        patch.setattr(tempfile, "tempdir", str(temporary))
        yield
    shutil.rmtree(folder, ignore_errors=True)
