"""Llamafiles for upgrades: runtimes of small programs with members of chosen sizes, packed with a tiny model."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from apepack.format.prologue import Magic
from apepack.packing.pack import PackPolicy, pack
from apepack.packing.payload import PackInputs
from apepack.provenance.description import renew_manifest
from apepack.upgrade.new_runtime import providing
from apepack.upgrade.upgrade import UpgradeOptions, UpgradeResult, upgrade
from tests.builders.ape import LINUX, small_ape
from tests.builders.gguf import TinyModel
from zipalign import Member, add_files, read_archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["content", "llamafile", "model", "noise", "runtime", "upgraded"]


def noise(size: int, seed: int = 1) -> bytes:
    """SIZE bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def runtime(
    path: Path,
    *,
    page: int = 3000,
    gpu: int = 2000,
    platforms: Sequence[str] = LINUX,
    seed: int = 1,
    magic: Magic = Magic.MZ,
) -> Path:
    """A runtime with a page of about PAGE bytes, and a member for GPUs of GPU bytes."""
    path.write_bytes(small_ape(*platforms, magic=magic, notices=b"the licence texts" * 20 + noise(seed)))
    path.chmod(0o755)
    add_files(path, [Member("pages/index.html", noise(page, seed))], level=6, alignment=1)
    add_files(path, [Member("gpu/shaders.zst", noise(gpu, seed))], alignment=65536)
    renew_manifest(path)
    return path


def model(folder: Path) -> Path:
    """A tiny model, the same each time."""
    path = folder / "tiny.gguf"
    return path if path.exists() else TinyModel().write(path)


def llamafile(
    path: Path, source: Path, *, reserve: int | None = 0, extra: Sequence[Path] = (), arguments: Sequence[str] = ()
) -> Path:
    """A tiny model packed with the runtime SOURCE."""
    inputs = PackInputs(model(path.parent), arguments=arguments, extra=extra)
    pack(inputs, path, runtime=source, policy=PackPolicy(reserve=reserve))
    return path


def upgraded(path: Path, source: Path, options: UpgradeOptions | None = None) -> UpgradeResult:
    """PATH with the runtime SOURCE."""
    with providing(source) as runtimes:
        return upgrade(path, runtimes, options or UpgradeOptions())


def content(path: Path, name: str) -> bytes:
    """The stored bytes of a member."""
    entry = read_archive(path).entry(name)
    assert entry is not None, name
    return path.read_bytes()[entry.data_offset : entry.data_end]
