"""Llamafiles for upgrades: runtimes of small programs with members of chosen sizes, packed with a tiny model."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING, Final

from apepack.format.prologue import Magic
from apepack.packing.pack import PackPolicy, pack
from apepack.packing.payload import PackInputs
from apepack.provenance.description import renew_manifest
from apepack.provenance.verification import verify
from apepack.upgrade.new_runtime import providing
from apepack.upgrade.upgrade import UpgradeOptions, UpgradeResult, upgrade
from tests.builders.ape import LINUX, small_ape
from tests.builders.gguf import TinyModel
from tests.conftest import tool
from zipalign import Member, add_files, check_archive, read_archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["ALL", "check", "content", "llamafile", "model", "noise", "runtime", "upgraded", "weights_offset"]

ALL: Final = ("linux-amd64", "linux-arm64", "windows-amd64", "macos-arm64", "freebsd-amd64")


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


def weights_offset(path: Path) -> int:
    entry = read_archive(path).entry("tiny.gguf")
    assert entry is not None
    return entry.data_offset


def check(path: Path, source: Path) -> None:
    """PATH begins with the runtime SOURCE, is a sound archive, and its manifest is true."""
    expected = read_archive(source)
    assert path.read_bytes()[:0x10000] == source.read_bytes()[:0x10000]
    names = {entry.name for entry in read_archive(path).entries}
    assert {entry.name for entry in expected.entries} | {"tiny.gguf", ".args"} <= names
    for entry in expected.entries:
        if entry.name != "manifest.json":
            assert content(path, entry.name) == content(source, entry.name), entry.name
    report = check_archive(path)
    assert report.ok, report.findings
    for program, *options in (("unzip", "-tq"), ("7z", "t", "-tzip", "-bso0", "-bsp0")):
        assert subprocess.run([tool(program), *options, path], check=False, capture_output=True).returncode == 0
    assert verify(path).ok
