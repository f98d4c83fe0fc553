"""Where the script puts the loader: the fallback folders, and the files that it refuses."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from runtime.builder.loaders import loader_bytes
from runtime.platforms import platform_named
from tests.apepack.format.home import USER, Home, loader_name
from tests.builders.ape import in_private_mounts, linked, probe_output
from tests.conftest import tool

pytestmark = pytest.mark.needs_compiler

OTHER_USER = 4711
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files that belong to another user")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class TestKept:
    def test_the_loader_is_kept_for_its_user_alone(self, home: Home) -> None:
        assert home.works(home.run())

        path = home.loader(home.temporary)
        assert everything(home.temporary) == [f".ape-{USER}", f".ape-{USER}/{path.name}"]
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.read_bytes().rstrip(b"\0") == loader_bytes(platform_named("linux-amd64")).rstrip(b"\0")

    @pytest.mark.parametrize("asks_uname", [False, True])
    @pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
    def test_the_next_start_runs_uname_at_most(self, home: Home, shell: str, *, asks_uname: bool) -> None:
        trace = home.root / "trace"
        program: list[str | Path] = [tool(shell), *(["sh"] if shell == "busybox" else []), home.program]
        if asks_uname:
            home.program.write_bytes(linked().replace(b"/proc/sys/kernel/arch", b"/none/sys/kernel/arch"))
        home.run()
        (home.root / "bin").mkdir()
        uname = home.root / "bin" / "uname"
        uname.write_text(f'#!/bin/sh\necho "$*" >> {home.root}/calls\nexec {tool("uname")} "$@"\n')
        uname.chmod(0o755)

        result = subprocess.run(
            [tool("strace"), "-f", "-e", "trace=fork,vfork,clone,clone3", "-o", trace, *program],
            check=False,
            capture_output=True,
            text=True,
            env=home.environment | {"PATH": str(home.root / "bin")},
        )

        assert (result.stderr, result.returncode) == ("", 7)
        forks = re.findall(r"^\d+ +(?:v?fork\(|clone3?\((?!.*CLONE_THREAD))", trace.read_text(), re.MULTILINE)
        if asks_uname or not Path("/proc/sys/kernel/arch").exists():
            assert len(forks) == 1
            assert (home.root / "calls").read_text() == "-sm\n"
        else:
            assert len(forks) == 0
            assert not (home.root / "calls").exists()

    def test_twenty_starts_at_once(self, home: Home) -> None:
        processes = [
            subprocess.Popen(["sh", home.program], env=home.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(20)
        ]
        results = [(*process.communicate(timeout=60), process.returncode) for process in processes]

        expected = probe_output([str(home.program)], str(home.program)).encode()
        assert set(results) == {(expected, b"", 7)}
        assert everything(home.temporary) == [f".ape-{USER}", f".ape-{USER}/{loader_name()}"]

    def test_what_an_interrupted_start_left_is_no_obstacle(self, home: Home) -> None:
        path = home.loader(home.temporary)
        path.parent.mkdir(mode=0o700)
        path.with_name(f"{path.name}.123456").write_bytes(b"half")

        assert home.works(home.run())


class TestNothingIsLeft:
    @pytest.mark.parametrize("signal", ["HUP", "INT", "TERM"])
    @pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "ksh", "mksh"])
    def test_by_a_start_that_was_interrupted(self, home: Home, shell: str, signal: str) -> None:
        program = tool(shell)
        (home.root / "bin").mkdir()
        cksum = home.root / "bin" / "cksum"
        cksum.write_text(f"#!/bin/sh\nkill -{signal} $(cat {home.root}/pid)\nexec /usr/bin/cksum\n")
        cksum.chmod(0o755)

        result = subprocess.run(
            ["sh", "-c", 'echo $$ > "$1/pid"; exec "$2" "$3"', "sh", home.root, program, home.program],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env=home.environment | {"PATH": f"{home.root}/bin:{os.environ['PATH']}"},
        )

        assert (result.stdout, result.returncode) == ("", 130)
        assert everything(home.temporary) == []

    @pytest.mark.parametrize("size", [100, 300, 0x800, 0x910, 0xFFF])
    def test_by_a_file_cut_off_in_the_prologue(self, home: Home, size: int) -> None:
        home.program.write_bytes(linked()[:size])
        for shell in ("dash", "bash", "busybox"):
            program: list[str | Path] = [tool(shell), *(["sh"] if shell == "busybox" else []), home.program]
            result = subprocess.run(program, check=False, capture_output=True, timeout=60, env=home.environment)

            assert result.stdout == b""
            assert everything(home.temporary) == []

    def test_by_a_file_cut_off_in_an_image(self, home: Home) -> None:
        home.program.write_bytes(linked()[:0x18000])

        result = home.run()

        assert (result.stdout, result.returncode) == ("", 127)
        assert result.stderr == f"ape: {home.program}: a segment lies outside of the file: is the file complete?\n"


class TestOtherPlaces:
    def test_without_tmpdir_the_cache_directory_is_used(self, home: Home) -> None:
        assert home.works(home.run(TMPDIR=None))
        assert home.loader(home.cache).exists()
        assert stat.S_IMODE(home.cache.stat().st_mode) == 0o700

    def test_xdg_cache_home_counts_before_home(self, home: Home) -> None:
        (home.root / "xdg").mkdir()

        assert home.works(home.run(TMPDIR=None, XDG_CACHE_HOME=f"{home.root}/xdg"))
        assert home.loader(home.root / "xdg").exists()
        assert not home.cache.exists()

    def test_then_the_runtime_directory(self, home: Home) -> None:
        (home.root / "run").mkdir()

        assert home.works(home.run(TMPDIR=None, HOME=None, XDG_RUNTIME_DIR=f"{home.root}/run"))
        assert home.loader(home.root / "run").exists()

    @pytest.mark.parametrize("name", [None, "", "a/b"])
    def test_a_user_without_a_usable_name_is_known_by_number(self, home: Home, name: str | None) -> None:
        (home.root / "bin").mkdir()
        (home.root / "bin" / "id").write_text(f'#!/bin/sh\necho "{USER}$*"\n')
        (home.root / "bin" / "id").chmod(0o755)

        assert home.works(home.run(LOGNAME=name, PATH=f"{home.root}/bin:{os.environ['PATH']}"))
        assert home.loader(home.temporary, f"{USER}-u").exists()

    def test_tmpdir_that_does_not_exist_is_not_made(self, home: Home) -> None:
        assert home.works(home.run(TMPDIR=f"{home.root}/nowhere"))
        assert not (home.root / "nowhere").exists()
        assert home.loader(home.cache).exists()

    @pytest.mark.parametrize(
        "options", ["noexec", "ro", "size=4k", "nr_inodes=2"], ids=["noexec", "read-only", "full", "no inodes"]
    )
    @pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "busybox sh", "ksh", "mksh", "posh", "yash"])
    def test_where_it_cannot_run_the_next_place_is_taken(self, home: Home, options: str, shell: str) -> None:
        tool(shell.split(maxsplit=1)[0])

        result = in_private_mounts(
            f'mount -t tmpfs -o {options} tmpfs "$1"; {shell} "$2" && exit; s=$?; ls -A "$1" >&2; exit $s',
            home.temporary,
            home.program,
            **home.environment,
        )

        assert home.works(result)
        assert home.loader(home.cache).exists()

    def test_nothing_set_at_all(self, home: Home) -> None:
        result = in_private_mounts(
            """mount --bind "$1" /mnt
            for place in /dev/shm /var/tmp /tmp; do mount -t tmpfs -o mode=1777 tmpfs $place; done
            sh /mnt/probe || cd /tmp
            find .ape-*""",
            home.program.parent,
        )

        assert result.stdout == probe_output(["/mnt/probe"], "/mnt/probe") + f".ape-0\n.ape-0/{loader_name()}\n"
        assert result.stderr == ""


def plant(path: Path, owner: int) -> None:
    """A program of another user where the loader would be."""
    path.write_text("#!/bin/sh\necho planted\n")
    path.chmod(0o755)
    os.chown(path, owner, owner)


@as_root
@pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "ksh", "mksh", "posh", "yash"])
class TestOtherUsers:
    def test_a_directory_of_another_user_is_not_used(self, home: Home, shell: str) -> None:
        path = home.loader(home.temporary)
        path.parent.mkdir(mode=0o777)
        os.chown(path.parent, OTHER_USER, OTHER_USER)
        plant(path, OTHER_USER)

        assert home.works(home.run(shell=tool(shell)))
        assert "planted" in path.read_text()
        assert home.loader(home.cache).exists()

    def test_a_symbolic_link_to_a_directory_is_not_used(self, home: Home, shell: str) -> None:
        path = home.loader(home.temporary)
        (home.root / "theirs").mkdir()
        plant(home.root / "theirs" / path.name, os.geteuid())
        path.parent.symlink_to(home.root / "theirs")

        assert home.works(home.run(shell=tool(shell)))
        assert home.loader(home.cache).exists()
        assert everything(home.root / "theirs") == [path.name]

    def test_a_file_of_another_user_is_replaced(self, home: Home, shell: str) -> None:
        path = home.loader(home.temporary)
        path.parent.mkdir(mode=0o777)
        plant(path, OTHER_USER)

        assert home.works(home.run(shell=tool(shell)))
        assert path.stat().st_uid == os.geteuid()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_a_place_where_others_may_rename_is_not_used(self, home: Home, shell: str) -> None:
        os.chown(home.temporary, OTHER_USER, OTHER_USER)
        home.temporary.chmod(0o777)

        assert home.works(home.run(shell=tool(shell)))
        assert everything(home.temporary) == []

    def test_the_sticky_bit_does_not_bind_the_places_owner(self, home: Home, shell: str) -> None:
        os.chown(home.temporary, OTHER_USER, OTHER_USER)
        home.temporary.chmod(0o1777)

        assert home.works(home.run(shell=tool(shell)))
        assert everything(home.temporary) == []

    def test_a_place_of_root_where_others_may_only_add_is_used(self, shell: str) -> None:
        # Not tmp_path: only root may enter that, and what is below it.
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a new folder
            home = Home(Path(folder))
            home.root.chmod(0o755)
            home.temporary.chmod(0o1777)

            assert home.works(home.run(shell=tool(shell), user=OTHER_USER))
            assert home.loader(home.temporary).stat().st_uid == OTHER_USER
