"""Which runtime is used: the first of four that there is."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import runtime.installed
from runtime import VERSION
from runtime.builder.build import Build
from runtime.builder.loaders import loader_bytes
from runtime.errors import RuntimeDamagedError, RuntimeVersionError, ToolchainError, ToolMissingError
from runtime.installed import RuntimeSource, find_runtime, installed_llamafile, package_programs
from runtime.package import PackageFile, PackageManifest
from runtime.platforms import PLATFORMS, platform_named
from tests.builders.runtime_package import write_runtime_package

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python imports from, without the package."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("llamafile_runtime", None)


@pytest.fixture
def package(site: Path) -> Path:
    folder = write_runtime_package(site)
    importlib.invalidate_caches()
    return folder


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that `make install` fills, empty."""
    folder = tmp_path / "installed"
    folder.mkdir()
    monkeypatch.setattr(runtime.installed, "_INSTALLED", folder)
    return folder


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Build]:
    found = [Build(PLATFORMS[0], "key", Path("/cache/llamafile"))]
    monkeypatch.setattr(runtime.installed, "builds_in_cache", lambda: found)
    return found


def test_the_order(builds: list[Build], site: Path, installation: Path) -> None:
    def names(given: Path | None = None) -> list[str]:
        source = find_runtime(given)
        assert source
        return [str(source.llamafile)] if source.llamafile else [str(item.path) for item in source.programs]

    assert names() == ["/cache/llamafile"]
    folder = write_runtime_package(site)
    importlib.invalidate_caches()
    assert names() == [str(folder / "programs" / name) for name in ("linux-amd64", "linux-arm64")]
    (installation / "llamafile").write_bytes(b"")
    assert names() == [str(installation / "llamafile")]
    assert names(Path("mine")) == ["mine"]


def test_programs_have_their_platforms(package: Path) -> None:
    """In the order of the platform table, whatever that of the manifest."""
    assert [item.platform.name for item in package_programs()] == ["linux-amd64", "linux-arm64"]
    assert all(item.path.with_name("NOTICES").is_file() for item in package_programs())


def test_nothing_is_found(installation: Path, cache: Path, site: Path) -> None:
    """An empty folder of the package's name is none."""
    (site / "llamafile_runtime").mkdir()
    importlib.invalidate_caches()
    assert (find_runtime(), installed_llamafile()) == (None, None)


def test_without_compilers_the_cache_holds_nothing(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[Build]:
        raise ToolMissingError("ziglang is not installed")

    monkeypatch.setattr(runtime.installed, "builds_in_cache", refuse)
    assert find_runtime() is None


def test_another_compiler_is_an_error(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[Build]:
        raise ToolchainError("ziglang has version 0.1.0")

    monkeypatch.setattr(runtime.installed, "builds_in_cache", refuse)
    with pytest.raises(ToolchainError, match=r"0\.1\.0"):
        find_runtime()


@pytest.mark.parametrize("name", ["installed", "package"])
def test_loaders(name: str, installation: Path, package: Path) -> None:
    if name == "installed":
        (installation / "loaders").mkdir()
        (installation / "loaders" / "linux-amd64").write_bytes(b"an installed loader")
    assert (
        loader_bytes(platform_named("linux-amd64"))
        == {
            "installed": b"an installed loader",
            "package": b"a loader",
        }[name]
    )


def test_another_version(site: Path, installation: Path) -> None:
    write_runtime_package(site, "0.0.1")
    importlib.invalidate_caches()
    with pytest.raises(RuntimeVersionError, match=rf"0\.0\.1 \(expected {VERSION}") as caught:
        find_runtime()
    assert (caught.value.found, caught.value.expected) == ("0.0.1", VERSION)
    assert find_runtime(Path("mine")) == RuntimeSource(Path("mine"))


def cut(folder: Path) -> None:
    path = folder / "programs" / "linux-arm64"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), r"has no manifest\.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is no manifest"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "is no manifest"),
        (lambda folder: (folder / "manifest.json").write_text('{"version": 2}'), r"version 2 \(expected 1\)"),
        (lambda folder: (folder / "programs" / "linux-amd64").unlink(), "linux-amd64 is missing"),
        (cut, r"linux-arm64 has \d+ bytes \(expected \d+\)"),
        (lambda folder: write_runtime_package(folder.parent, platforms=("amiga",)), "no platform 'amiga'"),
    ],
    ids=["no manifest", "no JSON", "no object", "version", "no program", "cut", "platform"],
)  # fmt: skip  # a row each
def test_a_damaged_package(damage: object, word: str, package: Path, installation: Path) -> None:
    assert callable(damage)
    damage(package)
    with pytest.raises(RuntimeDamagedError, match=word) as caught:
        find_runtime()
    assert "install it again" in str(caught.value)


def test_a_package_in_an_archive(
    site: Path, installation: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        archive.writestr("llamafile_runtime/__init__.py", "")
    monkeypatch.syspath_prepend(tmp_path / "site.zip")
    with pytest.raises(RuntimeDamagedError, match="must be unpacked"):
        find_runtime()


def test_the_manifest_round_trips() -> None:
    manifest = PackageManifest("1.0", ("linux-amd64",), (), (PackageFile("programs/linux-amd64", 5, "ab"),))
    assert PackageManifest.unpack(manifest.pack()) == manifest
    assert manifest.pack() == PackageManifest.unpack(manifest.pack()).pack()
