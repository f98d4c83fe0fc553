"""macOS and the BSDs as far as they can be shown without one: what the script unpacks there, and what it then runs.

None of these programs is run here. uname is a fake, and the kernel has a stand-in for each program, which it starts
when it is asked to execute exactly that program's bytes, and which says what it was given.
"""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from apepack.format.link import link
from apepack.format.prologue import SCAN_SIZE, Magic, parse_prologue
from apepack.format.unpacked import decompress_image
from assimilate.conversion import assimilate, restore
from runtime.image import read_image
from runtime.image.code_signature import check_code_signature
from runtime.image.elf import Elf
from runtime.image.macho import Macho
from runtime.image.os_brand import Brand, read_brand
from runtime.platforms import Platform, platform_named
from tests.builders.home import new_name
from tests.builders.hosts import Host, stand_in_output
from tests.builders.programs import STARTS, UNPACKED, everywhere, everywhere_ape, start_id
from tests.conftest import tool
from zipalign import Member, add_files

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.needs_compiler

OTHER_USER = 4711
USER = new_name()
ARGUMENTS = ["one", "two  words", "", "*", "$HOME", "it's", '"', "\\n", "-n", "--", "ä"]
MACOS_ARM64, MACOS_AMD64, FREEBSD = map(platform_named, ("macos-arm64", "macos-amd64", "freebsd-amd64"))
DYNAMIC_LINKERS = {
    "FreeBSD": "/libexec/ld-elf.so.1",
    "NetBSD": "/libexec/ld.elf_so",
    "OpenBSD": "/usr/libexec/ld.so",
}
# What a script needs that starts for the first time, as POSIX has it, and mktemp.
TOOLS = ("cat", "chmod", "cksum", "dd", "env", "find", "gzip", "id", "mkdir", "mktemp", "mv", "rm", "rmdir")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files that belong to another user")


class Other(Host):
    """A user's directories on a machine of another system, and the program."""

    @property
    def ape(self) -> Path:
        return self.folder / "everywhere"

    @property
    def temporary(self) -> Path:
        return self.folder / "temporary"

    @property
    def image(self) -> bytes:
        return everywhere(self.runs).read_bytes()

    def kept(self, base: Path | None = None) -> Path:
        """Where the program of this system is kept once it was started."""
        return (base or self.temporary) / f".ape-{USER}" / sha256(self.image).hexdigest()[:16]

    def start(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        home = {"HOME": f"{self.folder}/home", "TMPDIR": str(self.temporary), "LOGNAME": USER}
        return self.run(*command, **(home | environment))

    def works(self, result: subprocess.CompletedProcess[str], *arguments: str, base: Path | None = None) -> bool:
        """Say whether the program was handed over to the system, whole and for its user alone."""
        kept = self.kept(base)
        assert (result.stdout, result.stderr) == (stand_in_output(kept, [*arguments], str(self.ape)), "")
        assert everything(kept.parent) == [kept.name]
        assert kept.read_bytes() == self.image
        assert stat.S_IMODE(kept.stat().st_mode) == stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
        assert kept.stat().st_uid == os.geteuid()
        return result.returncode == 7

    def hide(self, *names: str) -> str:
        """Return a PATH on which these programs fail; which was called stands in the file `called`."""
        bin_ = self.folder / "hidden"
        bin_.mkdir()
        for name in names:
            self.put(bin_ / name, f'#!/bin/sh\necho {name} >>"{self.folder}/called"\nexit 1\n')
        return f"{bin_}:{os.environ['PATH']}"


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def other(folder: Path, platform: Platform, magic: Magic = Magic.NO_WINDOWS, translated: str = "") -> Other:
    host = Other(folder, platform, translated)
    for path in (host.temporary, folder / "home"):
        path.mkdir()
    host.ape.write_bytes(everywhere_ape(magic))
    host.ape.chmod(0o755)
    return host


@pytest.fixture
def mac(tmp_path: Path) -> Other:
    return other(tmp_path, MACOS_ARM64)


def shell_command(shell: tuple[str, ...]) -> list[str]:
    return [tool(shell[0]), *shell[1:]]


@pytest.mark.parametrize("platform", UNPACKED, ids=lambda platform: platform.name)
@pytest.mark.parametrize(("magic", "shell"), STARTS, ids=start_id)
def test_in_shells(tmp_path: Path, platform: Platform, magic: Magic, shell: tuple[str, ...]) -> None:
    host = other(tmp_path, platform, magic)
    arguments = ARGUMENTS[:-1] if shell == ("yash",) else ARGUMENTS  # yash knows ASCII only without a locale

    assert host.works(host.start(*shell_command(shell), host.ape, *arguments), *arguments)
    before = host.kept().stat()
    # What is kept may be checked again, and posh asks env who a file belongs to.
    path = host.hide(*(name for name in TOOLS if name not in {"cksum", "env"}))
    assert host.works(host.start(*shell_command(shell), host.ape, *arguments, PATH=path), *arguments)
    assert host.kept().stat() == before
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("platform", UNPACKED, ids=lambda platform: platform.name)
class TestStored:
    def test_the_bytes_are_the_programs(self, platform: Platform) -> None:
        data = everywhere_ape()
        (image,) = [one for one in parse_prologue(data[:SCAN_SIZE]).unpacked if one.platform == platform.name]
        stored = data[image.offset : image.stored_end]

        assert image.offset % 4096 == image.stored_size % 4096 == 0
        assert gzip.decompress(stored) == decompress_image(stored, image) == everywhere(platform).read_bytes()

    def test_what_was_unpacked_is_sound_for_its_system(self, tmp_path: Path, platform: Platform) -> None:
        host = other(tmp_path, platform)
        host.start("sh", host.ape)
        data = host.kept().read_bytes()
        image = read_image(data)

        assert image.platform == platform
        if isinstance(image.headers, Elf):
            assert read_brand(data, image.headers) == Brand(
                platform.system, has_note=True, interpreter=DYNAMIC_LINKERS[platform.system]
            )
        elif platform == MACOS_ARM64:  # which runs nothing that is not signed
            assert isinstance(image.headers, Macho)
            assert check_code_signature(data, image.headers).is_adhoc

    def test_with_other_tools(self, tmp_path: Path, platform: Platform) -> None:
        """The commands of busybox, which share no code with those that usually run here; Debian's has no cksum."""
        host = other(tmp_path, platform)
        (tmp_path / "busybox").mkdir()
        for name in (*TOOLS, "sh"):
            (tmp_path / "busybox" / name).symlink_to(tool(name if name == "cksum" else "busybox"))

        assert host.works(host.start(tool("busybox"), "sh", host.ape, "one", PATH=f"{tmp_path}/busybox"), "one")


@pytest.mark.parametrize("platform", UNPACKED, ids=lambda platform: platform.name)
@pytest.mark.parametrize("magic", [Magic.MZ, Magic.NO_WINDOWS])
def test_assimilated(tmp_path: Path, platform: Platform, magic: Magic) -> None:
    """Any program may start it then, not only a shell, and its archive is where it was."""
    host = other(tmp_path, platform, magic)
    add_files(host.ape, [Member("weights", b"w" * 100000)])
    before = host.ape.read_bytes()
    assimilate(host.ape, platform)

    execve = "import os, sys; os.execve(sys.argv[1], ['given name', 'one'], {})"
    result = host.start(sys.executable, "-c", execve, host.ape)
    assert result.stdout == stand_in_output(host.ape, ["one"], "unset")
    assert host.ape.read_bytes().startswith(host.image)
    with zipfile.ZipFile(host.ape) as archive:
        assert archive.read("weights") == b"w" * 100000
    restore(host.ape)
    assert host.ape.read_bytes() == before


class TestApple:
    """Which of two programs for macOS is run, and under Rosetta, where uname tells shells of a machine that is not."""

    @pytest.mark.parametrize("translated", ["1", "0", ""])
    @pytest.mark.parametrize("shell", [("dash",), ("bash",), ("zsh",)], ids=" ".join)
    def test_with_both(self, tmp_path: Path, shell: tuple[str, ...], translated: str) -> None:
        host = other(tmp_path, MACOS_AMD64, translated=translated)

        assert (host.runs == MACOS_ARM64) == (translated == "1")
        assert host.works(host.start(*shell_command(shell), host.ape, "one"), "one")

    @pytest.mark.parametrize("machine", ["arm64", "x86_64"])
    def test_a_program_for_amd64_alone_runs_on_both(self, tmp_path: Path, machine: str) -> None:
        host = other(tmp_path, replace(MACOS_AMD64, processor=machine))
        link([everywhere(MACOS_AMD64)], host.ape)

        assert host.works(host.start("sh", host.ape, "one"), "one")

    def test_a_program_for_arm64_alone_does_not(self, tmp_path: Path) -> None:
        host = other(tmp_path, MACOS_AMD64)
        link([everywhere(MACOS_ARM64)], host.ape)

        result = host.start("sh", host.ape)

        assert (result.stdout, result.returncode) == ("", 127)
        assert result.stderr == f"{host.ape}: this program is for Darwin arm64, not for Darwin x86_64\n"
        assert everything(host.temporary) == []


def test_where_there_is_no_program_the_systems_are_named(tmp_path: Path) -> None:
    host = other(tmp_path, replace(FREEBSD, processor="arm64"))

    result = host.start("sh", host.ape)

    systems = ["Linux x86_64", "Linux aarch64", *(f"{one.system} {one.processor}" for one in UNPACKED)]
    assert result.stderr == f"{host.ape}: this program is for {' and '.join(systems)}, not for FreeBSD arm64\n"
    assert (result.stdout, result.returncode) == ("", 127)


class TestKept:
    def test_twenty_starts_at_once(self, mac: Other) -> None:
        starts = 'i=0; while [ $i -lt 20 ]; do sh "$0" "$i" & i=$((i + 1)); done; wait'

        result = mac.start("sh", "-c", starts, mac.ape)

        expected = [stand_in_output(mac.kept(), [str(number)], str(mac.ape)) for number in range(20)]
        assert sorted(result.stdout.splitlines()) == sorted("".join(expected).splitlines())
        assert result.stderr == ""
        assert everything(mac.temporary) == [f".ape-{USER}", f".ape-{USER}/{mac.kept().name}"]
        assert mac.kept().read_bytes() == mac.image

    def test_what_an_interrupted_start_left_is_no_obstacle(self, mac: Other) -> None:
        mac.kept().parent.mkdir(mode=0o700)
        left = mac.kept().with_name(f"{mac.kept().name}.123456")
        left.write_bytes(mac.image[:1000])
        left.chmod(0o700)

        assert mac.start("sh", mac.ape).stdout == stand_in_output(mac.kept(), [], str(mac.ape))
        assert mac.kept().read_bytes() == mac.image

    @pytest.mark.parametrize("keep", [0, 4096, -1], ids=["empty", "cut off", "changed"])
    def test_a_damaged_program_is_not_run(self, mac: Other, keep: int) -> None:
        mac.kept().parent.mkdir(mode=0o700)
        mac.kept().write_bytes(mac.image[:keep] + (b"?" if keep < 0 else b""))
        mac.kept().chmod(0o700)

        assert mac.works(mac.start("sh", mac.ape))

    @pytest.mark.parametrize("back", [0, 10000, 5], ids=["magic", "data", "checksum"])
    def test_a_damaged_file_is_not_unpacked(self, mac: Other, back: int) -> None:
        data = bytearray(everywhere_ape(Magic.NO_WINDOWS))
        (image,) = [one for one in parse_prologue(bytes(data[:SCAN_SIZE])).unpacked if one.platform == "macos-arm64"]
        data[image.stored_end - back if back else image.offset] ^= 1
        mac.ape.write_bytes(data)

        result = mac.start("sh", mac.ape)

        assert (result.stdout, result.returncode) == ("", 126)
        assert result.stderr.count("\n") == 1
        assert everything(mac.temporary) == []

    @pytest.mark.parametrize("options", ["noexec", "ro", "size=64k", "nr_inodes=2"])
    def test_where_it_cannot_run_the_next_place_is_taken(self, mac: Other, options: str) -> None:
        script = f'mount -t tmpfs -o {options} tmpfs "$TMPDIR"; sh "$0" one && exit; s=$?; ls -A "$TMPDIR"; exit $s'

        result = mac.start("sh", "-c", script, mac.ape)

        assert mac.works(result, "one", base=mac.folder / "home" / ".cache")

    def test_without_gzip_there_is_a_sentence(self, mac: Other) -> None:
        (mac.folder / "posix").mkdir()
        for name in (*TOOLS, "sh"):
            if name != "gzip":
                (mac.folder / "posix" / name).symlink_to(tool(name))

        result = mac.start("sh", mac.ape, PATH=f"{mac.folder}/posix")

        assert (result.stdout, result.returncode) == ("", 126)
        assert result.stderr == f"{mac.ape}: needs the command gzip to start\n"
        assert everything(mac.temporary) == []


@as_root
@pytest.mark.parametrize("shell", [("dash",), ("zsh",), ("posh",)], ids=" ".join)
class TestOtherUsers:
    """What they could have made is neither run nor written to; nor is it, in a place where they could exchange it."""

    def test_their_directory(self, mac: Other, shell: tuple[str, ...]) -> None:
        mac.kept().parent.mkdir(mode=0o777)
        os.chown(mac.kept().parent, OTHER_USER, OTHER_USER)
        plant(mac.kept(), OTHER_USER)

        assert mac.works(mac.start(*shell_command(shell), mac.ape), base=mac.folder / "home" / ".cache")
        assert "planted" in mac.kept().read_text()

    def test_their_file(self, mac: Other, shell: tuple[str, ...]) -> None:
        mac.kept().parent.mkdir(mode=0o777)
        plant(mac.kept(), OTHER_USER)

        assert mac.works(mac.start(*shell_command(shell), mac.ape))

    def test_a_symbolic_link_to_a_directory(self, mac: Other, shell: tuple[str, ...]) -> None:
        (mac.folder / "theirs").mkdir()
        plant(mac.folder / "theirs" / mac.kept().name, os.geteuid())
        mac.kept().parent.symlink_to(mac.folder / "theirs")

        assert mac.works(mac.start(*shell_command(shell), mac.ape), base=mac.folder / "home" / ".cache")
        assert everything(mac.folder / "theirs") == [mac.kept().name]

    def test_a_shared_directory_where_they_may_rename(self, mac: Other, shell: tuple[str, ...]) -> None:
        os.chown(mac.temporary, OTHER_USER, OTHER_USER)
        mac.temporary.chmod(0o777)

        assert mac.works(mac.start(*shell_command(shell), mac.ape), base=mac.folder / "home" / ".cache")
        assert everything(mac.temporary) == []


def plant(path: Path, owner: int) -> None:
    path.write_text("#!/bin/sh\necho planted\n")
    path.chmod(0o755)
    os.chown(path, owner, owner)
