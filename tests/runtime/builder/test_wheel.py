"""The wheel llamafile-runtime: its content, its metadata, and that only its inputs decide on its bytes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import zipfile
from dataclasses import replace
from email.parser import Parser
from hashlib import sha256
from pathlib import Path

import pytest

from runtime import VERSION
from runtime.builder import wheel
from runtime.builder.build import Build
from runtime.builder.build_record import FILE_NAME, current_build_record
from runtime.builder.loaders import compiled_loader
from runtime.builder.wheel import write_wheel
from runtime.errors import CompileError, ToolMissingError
from runtime.image.stream import compress_image
from runtime.package import PackageManifest
from runtime.platforms import platform_named
from tests.builders.ape import small_program
from tests.builders.elf import AARCH64, X86_64, exit_program

NAME = f"llamafile_runtime-{VERSION}-py3-none-any.whl"


def build_in(folder: Path, platform: str, content: bytes, notices: str, **files: bytes) -> Build:
    """A build as the cache has it; FILES are those of its pages and its part for GPUs."""
    folder.mkdir(parents=True)
    (folder / "llamafile").write_bytes(content)
    (folder / "llamafile").chmod(0o755)
    (folder / "NOTICES").write_text(notices)
    for name, data in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return Build(platform_named(platform), "key", folder / "llamafile")


def builds_in(folder: Path) -> list[Build]:
    """Two builds, not in the order of the platform table."""
    pages = {"pages__index_html": b"<html>", "pages__NOTICES_txt": b"of the page"}
    gpu = {"gpu__shaders_zst": b"shaders", "gpu__NOTICES_txt": b"of the shaders"}
    return [
        build_in(folder / "2", "linux-arm64", exit_program(AARCH64, status=5), "of arm64", **pages),
        build_in(folder / "1", "linux-amd64", exit_program(X86_64, status=5), "of amd64", **pages, **gpu),
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return write_wheel(builds_in(folder / "builds"), folder / "new" / "dist")


def test_its_files(written: Path) -> None:
    assert written.name == NAME
    assert [path.name for path in written.parent.iterdir()] == [NAME]
    with zipfile.ZipFile(written) as archive:
        package = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    programs = {name.removeprefix("programs/") for name in package if name.startswith("programs/")}
    assert programs == {
        "linux-amd64", "linux-arm64", "NOTICES", "pages/index.html", "pages/NOTICES.txt", "gpu/shaders.zst",
        "gpu/NOTICES.txt",
    }  # fmt: skip  # a list
    assert package["programs/NOTICES"] == b"of amd64"
    assert {name for name in package if name.startswith("loaders/")} == {"loaders/linux-amd64", "loaders/linux-arm64"}
    assert package["loaders/linux-arm64"] == compiled_loader(platform_named("linux-arm64"))
    assert b"import" not in package["__init__.py"]


def test_the_manifest_describes_all_files(written: Path) -> None:
    with zipfile.ZipFile(written) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist() if "dist-info" not in name}
    manifest = PackageManifest.unpack(files.pop("manifest.json"))
    assert json.loads(manifest.pack())["version"] == 1
    del files["__init__.py"]
    described = {file.path: (file.size, file.sha256) for file in manifest.files}
    assert described == {name: (len(data), sha256(data).hexdigest()) for name, data in files.items()}
    assert (manifest.toolchain, manifest.platforms) == (VERSION, ("linux-amd64", "linux-arm64"))


def test_its_metadata(written: Path) -> None:
    with zipfile.ZipFile(written) as archive:
        information = f"llamafile_runtime-{VERSION}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{information}/METADATA").decode())
        tags = Parser().parsestr(archive.read(f"{information}/WHEEL").decode())
        names = metadata.get_all("License-File") or []
        texts = {name: archive.read(f"{information}/licenses/{name}") for name in names}
    assert (metadata["Name"], metadata["Version"], metadata["Requires-Dist"]) == ("llamafile-runtime", VERSION, None)
    assert (tags["Tag"], tags["Root-Is-Purelib"]) == ("py3-none-any", "true")
    assert set(texts) == {"LICENSE", "NOTICE", "NOTICES", "NOTICES-gpu", "NOTICES-pages"}
    assert (texts["NOTICES-gpu"], texts["NOTICES-pages"]) == (b"of the shaders", b"of the page")
    assert "Apache License" in texts["LICENSE"].decode()
    assert "linux-amd64, linux-arm64" in metadata.get_payload()


def test_only_its_inputs_count(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the time, nor the place and order of the builds, nor the umask and settings of the user."""
    builds = builds_in(tmp_path / "another" / "folder")
    for path in (tmp_path / "another").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    settings = {"TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1700000000", "HATCH_BUILD_CLEAN": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    try:
        again = write_wheel(builds[::-1], tmp_path)
    finally:
        os.umask(before)
    assert again.read_bytes() == written.read_bytes()


def test_programs_that_are_unpacked_are_compressed(tmp_path: Path) -> None:
    """As apepack puts them into a llamafile."""
    build = build_in(tmp_path / "build", "netbsd-amd64", small_program("netbsd-amd64"), "licences")
    with zipfile.ZipFile(write_wheel([build], tmp_path)) as archive:
        stored = archive.read("llamafile_runtime/programs/netbsd-amd64")
        manifest = PackageManifest.unpack(archive.read("llamafile_runtime/manifest.json"))
    assert stored == compress_image(small_program("netbsd-amd64"))
    sizes = {file.path: file.size for file in manifest.files}
    assert sizes["programs/netbsd-amd64"] == len(stored)


@pytest.mark.parametrize(("revision", "count"), [("1", 1), ("2", 0)])
def test_builds_of_the_same_sources_keep_their_record(revision: str, count: int, tmp_path: Path) -> None:
    record = current_build_record()
    builds = builds_in(tmp_path / "builds")
    for build, name in zip(builds, ("1", revision), strict=True):
        build.path.with_name(FILE_NAME).write_bytes(replace(record, revision=name).pack())
    with zipfile.ZipFile(write_wheel(builds, tmp_path)) as archive:
        assert archive.namelist().count(f"llamafile_runtime/programs/{FILE_NAME}") == count


def test_an_older_one_is_replaced(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / NAME).write_bytes(b"older")
    again = write_wheel(builds_in(tmp_path / "builds"), Path("dist"))
    assert again == tmp_path / "dist" / NAME
    assert again.read_bytes() == written.read_bytes()


def test_without_hatchling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolMissingError, match=re.escape("llamafile-toolchain[build]")):
        write_wheel([], tmp_path / "dist")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_by_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "_configuration", lambda *_: "[project]\n")
    with pytest.raises(CompileError, match="writing the wheel llamafile-runtime failed"):
        write_wheel(builds_in(tmp_path / "builds"), tmp_path / "dist")
    assert list((tmp_path / "dist").iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("")
    with pytest.raises(FileExistsError):
        write_wheel([], tmp_path / "dist")
