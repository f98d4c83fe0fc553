"""Debian's Python and numpy for processors that this machine does not have, run by qemu-user.

    python3 -m tools.foreign_python ARCHITECTURE...

unpacks them to build/foreign/ARCHITECTURE.

Packages come from where apt gets this machine's, and apt verifies them. They are kept in the cache: a second run sends
no request. A mirror's index may name packages that its pool has lost, so several suites of Debian
are tried, in order; all packages are of one suite. An architecture for which no suite is complete is recorded as lost.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.builder.debian import archive_site, extract_package, is_kept, kept_package, sha256_of
from runtime.errors import ArtifactError
from tools.apt import AptGet, reason, run
from tools.lost_inputs import python_for, record_lost_input

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FOREIGN", "SUITES", "LostError", "Suite", "emulated", "fetch"]

FOREIGN: Final = Path(__file__).parents[1] / "build" / "foreign"
_READY: Final = "ready"  # in the folder of an architecture: the name of its Python
_REQUEST_LIMIT: Final = 600  # seconds for one call of apt
_START_LIMIT: Final = 300  # for Python under qemu-user, on a busy machine


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite of Debian and its Python; a llamafile is an archive that Python reads from 3.13 on."""

    name: str
    python: str

    @property
    def packages(self) -> tuple[str, ...]:
        """What Python needs to start and to import numpy."""
        python = self.python
        return (
            *("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8"),
            *(f"lib{python}-minimal", f"lib{python}-stdlib", f"{python}-minimal"),
            *("libblas3", "libgfortran5", "liblapack3", "python3-numpy"),
        )


SUITES: Final = (Suite("trixie", "python3.13"), Suite("forky", "python3.14"), Suite("sid", "python3.14"))


class LostError(Exception):
    """A suite is not complete; the text says what it lacks."""


@dataclass(frozen=True, slots=True)
class _Index:
    """A suite's index of packages, for apt alone, below FOLDER."""

    folder: Path
    apt: AptGet

    @classmethod
    def read(cls, folder: Path, architecture: str, site: str, suite: str) -> _Index:
        """Fetch it.

        Raises:
            LostError: it cannot be had.
        """
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "sources.list").write_text(f"deb {site} {suite} main\n")
        options = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
            "Dir::Cache": str(folder),
            "Dir::State::Lists": str(folder / "lists"),
            "Dir::State::Status": "/dev/null",
            "Dir::Etc::SourceList": str(folder / "sources.list"),
            "Dir::Etc::SourceParts": "-",
        }
        index = cls(folder, AptGet(options))
        index.get("update")
        return index

    def get(self, *arguments: str) -> str:
        """Run apt-get in `archives`, where what it downloads goes, and return what it prints.

        Raises:
            LostError: it fails.
        """
        result = self.apt(*arguments, limit=_REQUEST_LIMIT, cwd=self.folder / "archives")
        if result.returncode != 0:
            raise LostError(reason(result))
        return result.stdout

    def digests(self, packages: Sequence[str]) -> dict[str, str]:
        """Return the SHA-256 of each of PACKAGES.

        Raises:
            LostError: it lacks one.
        """
        # 'URI' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:DIGEST
        line = r"^'\S+' ([^_\s]+)_\S+ \d+ SHA256:([0-9a-f]{64})$"
        found = dict(re.findall(line, self.get("download", "--print-uris", *packages), re.MULTILINE))
        if absent := [name for name in packages if name not in found]:
            raise LostError(f"its index gives no digest of {', '.join(absent)}")
        return found


def _add(package: Path) -> None:
    """Move a file that was downloaded to its place in the cache."""
    target = kept_package(sha256_of(package))
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        Path(shutil.copy(package, scratch)).replace(target)


def _record(architecture: str) -> Path:
    return kept_package(architecture).with_suffix(".json")


def _remember(architecture: str, suite: Suite, digests: Mapping[str, str]) -> None:
    """Record the complete set of ARCHITECTURE in the cache."""
    text = json.dumps({"suite": suite.name, "packages": dict(digests)}, indent=2)
    record = _record(architecture)
    with tempfile.TemporaryDirectory(dir=record.parent) as scratch:
        written = Path(scratch) / "set"
        written.write_text(text, encoding="utf-8")
        written.replace(record)


def _recall(architecture: str) -> tuple[Suite, dict[str, str]] | None:
    """Return the set of ARCHITECTURE, if one is recorded, still wanted, and whole."""
    try:
        record = json.loads(_record(architecture).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    suite = next((suite for suite in SUITES if suite.name == record["suite"]), None)
    digests: dict[str, str] = record["packages"]
    if suite is None or set(suite.packages) != set(digests) or not all(map(is_kept, digests.values())):
        return None
    return suite, digests


def fetch(architecture: str, site: str | None = None) -> None:
    """Make FOREIGN/ARCHITECTURE, from the cache or from the mirror at SITE, which by default is that of this machine.

    Raises:
        LostError: no suite is complete.
    """
    root = FOREIGN / architecture
    if (root / _READY).is_file():
        return
    lost = []
    if recalled := _recall(architecture):
        try:
            _unpack(root, *recalled)
        except LostError as error:
            lost.append(f"in the cache: {error}")
        else:
            return
    site = site or _site()
    for suite in SUITES:
        try:
            digests = _download(architecture, site, suite)
            _unpack(root, suite, digests)
        except LostError as error:
            lost.append(f"{suite.name}: {error}")
        else:
            _remember(architecture, suite, digests)
            return
    raise LostError("; ".join(lost))


def _download(architecture: str, site: str, suite: Suite) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as scratch:
        index = _Index.read(Path(scratch), architecture, site, suite.name)
        digests = index.digests(suite.packages)
        wanted = [name for name, digest in digests.items() if not is_kept(digest)]
        problem = None
        try:
            if wanted:
                index.get("download", *wanted)
        except LostError as error:
            problem = error
        for package in index.folder.glob("archives/*.deb"):
            _add(package)  # for the next run, even if another one is lost
        if absent := [name for name in wanted if not is_kept(digests[name])]:
            raise LostError(f"its pool lacks {', '.join(absent)} ({problem})")
    return digests


def _unpack(root: Path, suite: Suite, digests: Mapping[str, str]) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for digest in digests.values():
        try:
            extract_package(kept_package(digest), root)
        except ArtifactError as error:
            raise LostError(str(error)) from error
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")  # the base system's link; the path of the dynamic loader goes through it
    (root / _READY).write_text(suite.python)
    command = emulated(root.name)
    if shutil.which(command[0]) is None:
        return  # tests that want it say so
    result = run([*command, "-B", "-c", "import numpy"], limit=_START_LIMIT)
    if result.returncode != 0:
        (root / _READY).unlink()
        raise LostError(f"its {suite.python} does not import numpy: {reason(result)}")


def emulated(architecture: str) -> list[str]:
    """Return the command that runs the fetched Python of ARCHITECTURE here.

    Raises:
        FileNotFoundError: it was not fetched.
    """
    root = FOREIGN / architecture
    python = (root / _READY).read_text()
    libraries = root / "usr" / "lib" / f"{architecture}-linux-gnu"
    path = f"{libraries / 'blas'}:{libraries / 'lapack'}"  # as the base system's alternatives would have it
    emulator = [f"qemu-{architecture}-static", "-L", str(root), "-E", f"LD_LIBRARY_PATH={path}"]
    return [*emulator, str(root / "usr" / "bin" / python)]


def _site() -> str:
    """Return the address of Debian's archive that apt has for this machine.

    Raises:
        LostError: it has none.
    """
    if site := archive_site():
        return site
    updated = AptGet(as_root=True)("update", limit=_REQUEST_LIMIT)  # nothing was ever fetched from it
    if site := archive_site():
        return site
    raise LostError(f"apt knows no archive of Debian: {reason(updated)}")


def main() -> None:
    """Fetch what the command line names; what is lost is recorded, and is no failure."""
    for architecture in sys.argv[1:]:
        try:
            fetch(architecture)
        except LostError as error:
            record_lost_input(python_for(architecture), str(error))


if __name__ == "__main__":
    main()
