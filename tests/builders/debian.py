"""A repository of Debian packages that are almost empty, and a machine that installs them, as apt reads both."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Machine", "Package", "write_suite"]


@dataclass(frozen=True)
class Package:
    """One package, with FILES by path."""

    name: str
    version: str = "1"
    depends: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def control(self, architecture: str) -> str:
        """Return what dpkg wants to know about it."""
        depends = f"Depends: {self.depends}\n" if self.depends else ""
        return (
            f"Package: {self.name}\nVersion: {self.version}\nArchitecture: {architecture}\n{depends}"
            "Maintainer: a test <test@localhost>\nDescription: almost nothing\n"
        )

    def pack(self, architecture: str) -> bytes:
        """Return the file: an ar archive of a version and two tar archives."""
        members = {
            "debian-binary": b"2.0\n",
            "control.tar": _tar({"control": self.control(architecture)}),
            "data.tar": _tar(self.files),
        }
        archive = b"!<arch>\n"
        for name, data in members.items():
            header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
            archive += header.encode() + data + b"\n" * (len(data) % 2)
        return archive


def _tar(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for folder in sorted({str(parent) for name in files for parent in PurePosixPath(name).parents}):
            entry = tarfile.TarInfo(f"./{folder}")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, text in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mode = len(text.encode()), 0o755
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def write_suite(folder: Path, suite: str, architectures: Sequence[str], packages: Sequence[Package]) -> None:
    """Add SUITE to the repository in FOLDER; it is not signed."""
    release = folder / "dists" / suite
    digests = ""
    for architecture in architectures:
        index = "".join(_add(folder, suite, architecture, package) for package in packages)
        path = f"main/binary-{architecture}/Packages"
        for name, data in ((path, index.encode()), (f"{path}.gz", gzip.compress(index.encode(), mtime=0))):
            (release / name).parent.mkdir(parents=True, exist_ok=True)
            (release / name).write_bytes(data)
            digests += f" {sha256(data).hexdigest()} {len(data)} {name}\n"
    (release / "Release").write_text(
        f"Suite: {suite}\nCodename: {suite}\nLabel: Debian\nDate: Wed, 01 Jan 2020 00:00:00 UTC\n"
        f"Architectures: {' '.join(architectures)}\nComponents: main\nSHA256:\n{digests}"
    )


def _add(folder: Path, suite: str, architecture: str, package: Package) -> str:
    """Write the file of PACKAGE and return its paragraph of the index."""
    data = package.pack(architecture)
    name = f"pool/{suite}/{package.name}_{package.version}_{architecture}.deb"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return (
        package.control(architecture) + f"Filename: {name}\nSize: {len(data)}\nSHA256: {sha256(data).hexdigest()}\n\n"
    )


_CONFIGURATION = """\
Dir "{root}";
Dir::State::status "{root}/var/lib/dpkg/status";
Dir::Bin::dpkg "/usr/bin/dpkg";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "true";
Acquire::AllowInsecureRepositories "true";
DPkg::Options {{ "--force-not-root"; "--force-bad-path"; }};
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear APT::Update;
"""


@dataclass(frozen=True)
class Machine:
    """A folder that apt and dpkg take for the root of a machine."""

    root: Path

    def __post_init__(self) -> None:
        state = ("lib/dpkg/info", "lib/dpkg/updates", "lib/apt/lists/partial", "cache/apt/archives/partial", "log/apt")
        for name in state:
            (self.root / "var" / name).mkdir(parents=True)
        for name in ("apt.conf.d", "preferences.d", "trusted.gpg.d"):
            (self.root / "etc" / "apt" / name).mkdir(parents=True)
        for name in ("status", "available"):
            (self.root / "var" / "lib" / "dpkg" / name).touch()
        (self.root / "apt.conf").write_text(_CONFIGURATION.format(root=self.root))

    @property
    def architecture(self) -> str:
        """Its own, as Debian calls it."""
        command = ["dpkg", "--print-architecture"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def use(self, address: str, suite: str) -> None:
        """Let it install what SUITE of the repository at ADDRESS has."""
        (self.root / "etc" / "apt" / "sources.list").write_text(f"deb [trusted=yes] {address} {suite} main\n")

    @property
    def environment(self) -> dict[str, str]:
        """What makes apt and dpkg take it."""
        admindir = self.root / "var" / "lib" / "dpkg"
        return {
            "APT_CONFIG": str(self.root / "apt.conf"), "DPKG_ROOT": str(self.root), "DPKG_ADMINDIR": str(admindir)
        }  # fmt: skip  # two words each
