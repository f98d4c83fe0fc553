"""What the build fetches, by the real pip and npm, from mirrors that have everything, have lost it, fail, or stall."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from runtime.builder.artifacts import Artifact, download
from runtime.builder.webui import build as pages
from runtime.builder.webui.build import build_pages
from runtime.errors import ArtifactError, PagesError
from tests.builders.mirror import Mirror, mirroring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

WHEEL = "thing-1.0-py3-none-any.whl"
TARBALL = "/vite/-/vite-7.0.0.tgz"
BUNDLER = """
const fs = require('fs');
fs.mkdirSync(process.env.LLAMA_UI_OUT_DIR);
fs.writeFileSync(`${process.env.LLAMA_UI_OUT_DIR}/index.html`, '<!doctype html>');
fs.writeFileSync(process.env.LLAMAFILE_PAGES_MODULES, '[]');
"""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """An empty one."""
    (tmp_path / "mirror").mkdir()
    with mirroring(tmp_path / "mirror") as mirror:
        yield mirror


def write(mirror: Mirror, name: str, content: bytes) -> None:
    path = mirror.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


class TestPip:
    @pytest.fixture
    def artifact(self, mirror: Mirror, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
        """A wheel in the mirror, which is the only index that pip knows, and which it tries twice."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as wheel:
            wheel.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
            wheel.writestr(
                "thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr("thing-1.0.dist-info/RECORD", "")
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        write(mirror, f"files/{WHEEL}", buffer.getvalue())
        write(mirror, "simple/thing/index.html", f'<a href="/files/{WHEEL}#sha256={digest}">{WHEEL}</a>'.encode())
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        settings = {"CONFIG_FILE": os.devnull, "INDEX_URL": f"{mirror.address}/simple/", "CACHE_DIR": f"{tmp_path}/pip"}
        for name, value in (settings | {"RETRIES": "1", "DEFAULT_TIMEOUT": "1"}).items():
            monkeypatch.setenv(f"PIP_{name}", value)
        return Artifact("thing", "1.0", WHEEL, digest, binary=True)

    def test_what_is_in_the_cache_is_not_asked_for(self, artifact: Artifact, mirror: Mirror) -> None:
        first = download(artifact)
        assert mirror.requests == ["/simple/thing/", f"/files/{WHEEL}"]
        mirror.broken.add("*")
        assert download(artifact) == first
        assert len(mirror.requests) == 2

    @pytest.mark.parametrize(
        ("lost", "broken", "words"),
        [
            ({"/simple/*"}, set(), ["No matching distribution found for thing==1.0"]),
            (set(), {"/simple/*"}, ["No matching distribution found for thing==1.0", "too many 500 error responses"]),
            ({"/files/*"}, set(), ["thing==1.0", "404"]),
            (set(), {"/files/*"}, ["thing-1.0", "500"]),
        ],
        ids=["it is lost", "the index is broken", "its file is lost", "its file is broken"],
    )
    def test_what_cannot_be_fetched_is_named(
        self, artifact: Artifact, mirror: Mirror, cache: Path, lost: set[str], broken: set[str], words: list[str]
    ) -> None:
        mirror.lost |= lost
        mirror.broken |= broken
        with pytest.raises(ArtifactError) as caught:
            download(artifact)
        assert str(caught.value).startswith("cannot download thing 1.0 with pip: ")
        assert str(caught.value).count("\n") == 0
        assert [word for word in words if word not in str(caught.value)] == []
        assert not list((cache / "download").glob("*/"))

    @pytest.mark.parametrize("path", ["/simple/*", "/files/*"])
    def test_a_mirror_that_stalls_is_left_in_time(self, artifact: Artifact, mirror: Mirror, path: str) -> None:
        mirror.stalled.add(path)
        with pytest.raises(ArtifactError, match=r"download thing 1\.0 with pip: .* didn't respond within 1\.0 seconds"):
            download(artifact)

    def test_one_that_does_not_end_is_left_in_time(
        self, artifact: Artifact, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "600")
        monkeypatch.setattr("runtime.builder.artifacts._TIME_LIMIT", 3)
        mirror.stalled.add("/files/*")
        with pytest.raises(ArtifactError, match="it takes more than"):
            download(artifact)


class TestNpm:
    @pytest.fixture(autouse=True)
    def registry(self, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One package, which is both all that the page needs and its bundler; npm tries twice."""
        buffer = io.BytesIO()
        files = {"package.json": json.dumps({"name": "vite", "version": "7.0.0"}), "bin/vite.js": BUNDLER}
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        tarball = buffer.getvalue()
        write(mirror, TARBALL[1:], tarball)
        place = {
            "integrity": f"sha512-{base64.b64encode(hashlib.sha512(tarball).digest()).decode()}",
            "tarball": f"{mirror.address}{TARBALL}",
        }
        versions = {"7.0.0": {"name": "vite", "version": "7.0.0", "dist": place}}
        document = {"name": "vite", "dist-tags": {"latest": "7.0.0"}, "versions": versions}
        write(mirror, "vite/index.html", json.dumps(document).encode())
        source = tmp_path / "source" / "tools" / "ui"
        (source / "src" / "lib" / "vendors").mkdir(parents=True)
        (source / "src" / "app.css").touch()
        wanted = {"name": "ui", "version": "1.0.0", "dependencies": {"vite": "7.0.0"}}
        scripts = {"scripts": {"build-pwa-assets": "true"}}
        (source / "package.json").write_text(json.dumps(wanted | scripts))
        locked = {"version": "7.0.0", "resolved": place["tarball"], "integrity": place["integrity"]}
        lock = wanted | {"lockfileVersion": 3, "packages": {"": wanted, "node_modules/vite": locked}}
        (source / "package-lock.json").write_text(json.dumps(lock))
        monkeypatch.setattr(pages, "engine_source", lambda: tmp_path / "source")
        monkeypatch.setattr(pages, "_PATCHES", ())
        monkeypatch.setenv("npm_config_registry", f"{mirror.address}/")
        monkeypatch.setenv("npm_config_fetch_retries", "1")

    def test_packages_are_fetched_once(
        self, mirror: Mirror, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And not for another build of the page, though the registry has lost them."""
        assert (build_pages().site / "index.html").exists()
        assert TARBALL in mirror.requests
        mirror.requests.clear()
        mirror.lost.add("*")
        monkeypatch.setattr(pages, "NOTICES_NAME", "OTHER.txt")
        assert (build_pages().site / "OTHER.txt").exists()
        assert mirror.requests == []
        # Nothing of it lies beside the page.
        assert sorted(path.name for path in cache.iterdir()) == ["npm", "pages"]

    @pytest.mark.parametrize(
        ("lost", "broken", "words"),
        [
            ({"/vite"}, set(), ["404", "/vite"]),
            (set(), {"/vite"}, ["500", "/vite"]),
            ({TARBALL}, set(), ["404", TARBALL]),
            (set(), {TARBALL}, ["500", TARBALL]),
        ],
        ids=["it is lost", "the registry is broken", "its file is lost", "its file is broken"],
    )
    def test_what_cannot_be_fetched_is_named(
        self, mirror: Mirror, cache: Path, lost: set[str], broken: set[str], words: list[str]
    ) -> None:
        mirror.lost |= lost
        mirror.broken |= broken
        with pytest.raises(PagesError) as caught:
            build_pages()
        assert "npm cannot fetch the packages: " in str(caught.value)
        assert [word for word in words if word not in str(caught.value)] == []
        assert not list((cache / "pages").glob("*/"))

    def test_a_registry_that_stalls_is_left_in_time(
        self, mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "_REACH", (*pages._REACH, "--fetch-timeout=1000"))
        mirror.stalled.add(TARBALL)
        with pytest.raises(PagesError, match=r"npm cannot fetch the packages: .*time"):
            build_pages()

    def test_one_that_does_not_end_is_left_in_time(
        self, mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "_TIME_LIMIT", 5)
        mirror.stalled.add("*")
        with pytest.raises(PagesError, match="npm cannot fetch the packages: it takes more than"):
            build_pages()
