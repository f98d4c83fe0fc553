"""Both wheels in an environment of their own: what a user has who installs with pip, pipx or uv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

from apepack.packing.pack import PackInputs, link_runtime, pack
from runtime import VERSION
from runtime.builder.build import Build
from runtime.builder.loaders import compiled_loader
from runtime.builder.wheel import write_wheel
from runtime.platforms import host_platform, platform_named
from tests.builders.ape import in_private_mounts
from tests.builders.environment import fresh_environment
from tests.builders.gguf import TinyModel
from tests.pipeline.conftest import run

CHECKOUT: Final = Path(__file__).parents[2]
LEFT_OUT: Final = shutil.ignore_patterns(".git", ".venv", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")
WHEEL: Final = f"llamafile_toolchain-{VERSION}-py3-none-any.whl"
SDIST: Final = f"llamafile_toolchain-{VERSION}.tar.gz"
# $1 and $2 are hidden, $3 is the environment, read-only: no compiler, no cache, no home, no network.
SCRIPT: Final = """\
for folder in "$1" "$2"; do [ ! -d "$folder" ] || mount -t tmpfs none "$folder"; done
mount --bind "$3" "$3"
mount -o remount,ro,bind "$3"
environment=$3
cd "$4"
shift 4
exec unshare --net env -i HOME=/proc/none PATH=/usr/bin:/bin "$environment/bin/$@"
"""


def distributions(sources: Path, folder: Path, *targets: str) -> Path:
    """Build those of the toolchain from SOURCES into FOLDER."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    for target in targets:
        command += ["--target", target]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run(command, cwd=sources, env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and the source distribution of the toolchain."""
    return distributions(CHECKOUT, tmp_path_factory.mktemp("toolchain"))


def copy_for_the_user(source: str, target: str) -> None:
    """Copy a file with a new time stamp, and a mode that excludes all others."""
    shutil.copyfile(source, target)
    Path(target).chmod(0o700 if os.access(source, os.X_OK) else 0o600)


def in_environment(environment: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return in_private_mounts(SCRIPT, CHECKOUT, sys.prefix, environment, folder, *command)


def test_a_model_is_packed_and_run(program: Path, released: Path, tmp_path: Path) -> None:
    """And the result is the one of the builds in the cache, byte for byte."""
    runtime = write_wheel([Build(host_platform(), "key", program)], tmp_path / "dist")
    environment = fresh_environment(tmp_path / "environment", [released / WHEEL, runtime])
    work = tmp_path / "work"
    work.mkdir()
    model = TinyModel().write(work / "tiny.gguf")
    made = in_environment(environment, work, "apepack", "-o", "my.llamafile", "tiny.gguf")
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    assert sorted(path.name for path in work.iterdir()) == ["my.llamafile", "tiny.gguf"]
    assert run(work / "my.llamafile", "-p", "hello", "-n", "4", "--temp", "0").stdout.startswith("hello")
    checked = in_environment(environment, work, "zipalign", "--check", "my.llamafile")
    assert (checked.returncode, checked.stderr) == (0, "")
    loader = in_environment(environment, work, "apepack", "--loader", "linux-arm64", "-o", "ape")
    assert (loader.returncode, loader.stderr) == (0, "")
    assert (work / "ape").read_bytes() == compiled_loader(platform_named("linux-arm64"))
    link_runtime([program], tmp_path / "llamafile")
    pack(PackInputs(model), tmp_path / "linked", runtime=tmp_path / "llamafile")
    assert (tmp_path / "linked").read_bytes() == (work / "my.llamafile").read_bytes()


@pytest.mark.slow
def test_without_a_runtime_the_message_names_every_way_to_one(released: Path, tmp_path: Path) -> None:
    environment = fresh_environment(tmp_path / "environment", [released / WHEEL])
    work = tmp_path / "work"
    work.mkdir()
    TinyModel().write(work / "tiny.gguf")
    made = in_environment(environment, work, "apepack", "-o", "my.llamafile", "tiny.gguf")
    assert (made.returncode, made.stdout, made.stderr.count("\n")) == (1, "", 1)
    for way in ("pip install llamafile-runtime", "llamafile-build", "llamafile-toolchain[build]", "--runtime FILE"):
        assert way in made.stderr
    assert [path.name for path in work.iterdir()] == ["tiny.gguf"]
    built = in_environment(environment, work, "llamafile-build", "host")
    assert (built.returncode, built.stderr.count("\n")) == (1, 1)
    assert "pip install 'llamafile-toolchain[build]'" in built.stderr


@pytest.mark.slow
def test_only_the_sources_decide_on_the_distributions(released: Path, tmp_path: Path) -> None:
    """Neither the folder, nor times and modes of the files, nor the clock; and a source distribution is complete."""
    sources = tmp_path / "another" / "folder"
    shutil.copytree(CHECKOUT, sources, ignore=LEFT_OUT, copy_function=copy_for_the_user)
    again = distributions(sources, tmp_path / "again")
    for name in (WHEEL, SDIST):
        assert (again / name).read_bytes() == (released / name).read_bytes(), name
    with tarfile.open(released / SDIST) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = distributions(tmp_path / SDIST.removesuffix(".tar.gz"), tmp_path / "unpacked", "wheel")
    assert (unpacked / WHEEL).read_bytes() == (released / WHEEL).read_bytes()


def test_the_wheel_has_manuals_and_types(released: Path) -> None:
    names = zipfile.ZipFile(released / WHEEL).namelist()
    for package in ("zipalign", "apepack", "assimilate", "runtime"):
        assert f"{package}/py.typed" in names
    manuals = {name.rpartition("/")[2] for name in names if "/share/man/" in name}
    assert manuals == {path.name for path in (CHECKOUT / "man").rglob("*.?")}
    assert not [name for name in names if name.startswith(("tests/", "tools/", "benchmarks/"))]
