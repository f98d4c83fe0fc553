"""The cache outside the checkout: content-addressed folders, published atomically.

Layout: `ROOT/KIND/KEY/…`, where KEY is a digest of all inputs of the content. All checkouts on a machine share the
cache; entries do not change after they are published.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import CacheError
from zipalign.lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["cache_root", "cached", "digest_of"]


def cache_root() -> Path:
    """Return the folder of all caches, `${XDG_CACHE_HOME:-~/.cache}/llamafile-toolchain`."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification demands that relative values are ignored.
    base = Path(configured) if configured.startswith("/") else Path.home() / ".cache"
    # Compilers record where they work: links that lead there make no difference.
    return (base / "llamafile-toolchain").resolve()


def digest_of(parts: Iterable[bytes | str | Path]) -> str:
    """Return the key of an entry with the inputs PARTS: texts, bytes, or the contents of files, in this order."""
    digest = sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:32]


def cached(kind: str, key: str, fill: Callable[[Path], None]) -> Path:
    """Return the folder `KIND/KEY`, created by FILL if it does not exist.

    FILL writes into an empty folder that becomes the entry when FILL returns; if it raises, the folder is removed.
    Other processes that need the same entry wait for this one.

    Raises:
        CacheError: the cache cannot be written.
    """
    entry = cache_root() / kind / key
    if entry.is_dir():
        return entry
    with ExitStack() as stack:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            stack.enter_context(locked(entry.with_name(f"{key}.lock"), wait=True))
        except OSError as error:
            raise CacheError(entry.parent, error) from error
        if not entry.is_dir():
            _publish(entry, fill)
    return entry


def _publish(entry: Path, fill: Callable[[Path], None]) -> None:
    # A killed process leaves a partial folder; the holder of the lock may remove it.
    for abandoned in entry.parent.glob(f"{entry.name}.*.partial"):
        shutil.rmtree(abandoned, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{entry.name}.", suffix=".partial", dir=entry.parent))
    try:
        fill(partial)
        partial.rename(entry)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
