from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from runtime.builder.artifacts import Artifact, download, unpack_engine
from runtime.errors import ArtifactError

CONTENT = b"what was pinned"


@pytest.fixture
def artifact() -> Artifact:
    return Artifact("thing", "1.0", "thing-1.0.tar.gz", hashlib.sha256(CONTENT).hexdigest(), binary=False)


def pip_that_brings(content: bytes | None, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replace pip by one that puts CONTENT where it was asked to, or fails."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if content is None:
            return subprocess.CompletedProcess(command, 1, "", "Looking\nERROR: No matching distribution found\n")
        folder = Path(command[command.index("--dest") + 1])
        (folder / "thing-1.0.tar.gz").write_bytes(content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_a_download_is_made_once(cache: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pip_that_brings(CONTENT, monkeypatch)
    first, second = download(artifact), download(artifact)
    assert first == second
    assert first.read_bytes() == CONTENT
    assert len(calls) == 1
    assert sorted(path.name for path in first.parent.iterdir()) == ["thing-1.0.tar.gz"]


def test_a_wrong_hash_is_refused(cache: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    pip_that_brings(b"something else", monkeypatch)
    with pytest.raises(ArtifactError, match="SHA-256") as caught:
        download(artifact)
    assert artifact.sha256 in str(caught.value)
    assert not list((cache / "download").glob("*/"))


def test_a_failed_download_says_what_pip_said(cache: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    pip_that_brings(None, monkeypatch)
    with pytest.raises(ArtifactError, match=r"thing 1\.0 with pip: ERROR: No matching distribution found"):
        download(artifact)
    assert not list((cache / "download").glob("*/"))


def sdist(tmp_path: Path, names: list[str]) -> Path:
    path = tmp_path / "engine.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    return path


PREFIX = "llama_cpp_python-0.3.36/vendor/llama.cpp/"


def test_only_sources_of_the_build_are_unpacked(tmp_path: Path) -> None:
    names = ["CMakeLists.txt", "src/llama.cpp", "models/vocab.gguf", "docs/build.md"]
    path = sdist(tmp_path, [PREFIX + name for name in names] + ["llama_cpp_python-0.3.36/llama_cpp/llama.py"])
    unpack_engine(path, tmp_path / "out")
    unpacked = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.*"))
    assert unpacked == ["CMakeLists.txt", "src/llama.cpp"]


def test_a_member_outside_the_folder_is_refused(tmp_path: Path) -> None:
    path = sdist(tmp_path, [PREFIX + "src/../../../evil.c"])
    with pytest.raises(ArtifactError, match="cannot unpack"):
        unpack_engine(path, tmp_path / "out")
    assert not (tmp_path / "evil.c").exists()


def test_a_truncated_archive_is_one_sentence(tmp_path: Path) -> None:
    path = sdist(tmp_path, [PREFIX + "CMakeLists.txt"])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ArtifactError, match=r"cannot unpack engine\.tar\.gz"):
        unpack_engine(path, tmp_path / "out")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no .*CMakeLists\.txt"):
        unpack_engine(sdist(tmp_path, ["README"]), tmp_path / "out")
