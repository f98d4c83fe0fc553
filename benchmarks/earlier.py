"""An earlier llamafile to compare with: that of the last tag, or a file that was built before.

The tag is built as its users build it, by `make` in a clone of its own, which takes some fifteen minutes once. The
result stays in the cache. It has no part for GPUs.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.builder.cache import cached, digest_of

__all__ = ["VARIABLE", "Earlier", "earlier_llamafile", "last_tag"]

# Names a llamafile to compare with, in place of the last tag's; empty: none.
VARIABLE: Final = "BENCH_EARLIER"
_ROOT: Final = Path(__file__).parents[1]
_TAGS: Final = "v[0-9]*"
_MAKE: Final = ("make", "--quiet", "build/llamafile", "PLATFORMS=host", "GPU=--no-gpu")


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier llamafile, or the reason why there is none."""

    name: str = ""
    path: Path | None = None
    reason: str = ""


def earlier_llamafile(checkout: Path = _ROOT) -> Earlier:
    """Return the llamafile that the environment names, or that of the last tag before HEAD in CHECKOUT.

    Raises:
        subprocess.CalledProcessError: the tag cannot be built.
    """
    given = os.environ.get(VARIABLE)
    if given is not None:
        return _given(given)
    tag = last_tag(checkout)
    if not tag:
        return Earlier(reason=f"there is no tag like {_TAGS}; {VARIABLE}=FILE compares with a llamafile built before")
    commit = _git(checkout, "rev-parse", f"{tag}^{{commit}}")
    folder = cached("native", digest_of(["llamafile of a tag", commit, *_MAKE]), lambda new: _build(checkout, tag, new))
    return Earlier(f"tag {tag}", folder / "llamafile")


def last_tag(checkout: Path) -> str:
    """Return the newest tag of a version before HEAD; empty if there is none, or if HEAD has no commit before it."""
    command = ["git", "describe", "--tags", "--abbrev=0", f"--match={_TAGS}", "HEAD^"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False).stdout.strip()


def _given(name: str) -> Earlier:
    if not name:
        return Earlier(reason=f"{VARIABLE} is empty")
    path = Path(name).resolve()
    if not path.is_file():
        return Earlier(reason=f"{VARIABLE} names {name}, which is no file")
    return Earlier(f"earlier {path.name}", path)


def _build(checkout: Path, tag: str, folder: Path) -> None:
    source = folder / "source"
    _git(checkout, "clone", "--quiet", f"--branch={tag}", "--depth=1", checkout.resolve().as_uri(), str(source))
    subprocess.run(_MAKE, cwd=source, check=True)
    built = shutil.move(source / "build" / "llamafile", folder / "llamafile")
    Path(built).chmod(stat.S_IRWXU)
    shutil.rmtree(source)


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-c", "advice.detachedHead=false", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()
