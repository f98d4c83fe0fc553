"""Rows H1 to H4 and H6 of the promises: built, installed, taken away again, and described."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from apepack.commands.group import COMMANDS as SUB_COMMAND_NAMES
from tests.acceptance.docs.conftest import CHECKOUT, FILES, Checkout
from tests.builders.ape import in_private_mounts
from tests.conftest import tool
from tests.pipeline.conftest import run
from zipalign import read_archive

COMPANIONS: Final = {
    f"llamafile-{name}" for name in ("server", "quantize", "perplexity", "imatrix", "tokenize", "bench", "rpc-server")
}
COMMANDS: Final = {"apepack", "assimilate", "zipalign"}
PROGRAMS: Final = {"llamafile"} | COMPANIONS | COMMANDS
SUB_COMMANDS: Final = {f"apepack-{name}" for name in SUB_COMMAND_NAMES}
MANUALS: Final = {f"man1/{name}.1" for name in {*PROGRAMS, *SUB_COMMANDS}} | {"man5/ape.5", "man5/args.5"}
TOOLCHAIN: Final = "lib/llamafile-toolchain"

# Options that fetch a model, which llamafiles are not for.
ELSEWHERE: Final = {
    "-mu", "--model-url", "-dr", "--docker-repo", "-hf", "-hfr", "--hf-repo", "-hff", "--hf-file", "-hft", "--hf-token",
    "--offline",
}  # fmt: skip  # a list


@pytest.fixture(scope="session")
def prefix(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything is installed."""
    folder = tmp_path_factory.mktemp("prefix")
    checkout.make("-j8", "install", f"PREFIX={folder}")
    return folder


def files_below(folder: Path) -> dict[str, int]:
    """The mode of each file and link, by name."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return {str(path.relative_to(folder)): path.lstat().st_mode for path in paths}


def test_h1_installed_files(checkout: Checkout, tmp_path: Path) -> None:
    """Whatever the umask, and below whatever DESTDIR; a second time changes nothing."""
    destination = tmp_path / "package root"
    arguments = ["-j8", "install", "PREFIX=/opt/local", f"DESTDIR={destination}"]
    assert checkout.make(*arguments, umask=0o077).stderr == ""
    root = destination / "opt/local"
    files = files_below(root)
    own = {name for name in files if name.startswith(f"{TOOLCHAIN}/")}
    assert set(files) - own == {f"bin/{name}" for name in PROGRAMS} | {f"share/man/{name}" for name in MANUALS}
    assert {str((root / "bin" / name).readlink()) for name in COMPANIONS} == {"llamafile"}
    for name, mode in files.items():
        if not stat.S_ISLNK(mode):
            assert stat.S_IMODE(mode) == (0o755 if name.startswith("bin/") else 0o644), name
    assert {stat.S_IMODE(path.stat().st_mode) for path in destination.rglob("*") if path.is_dir()} == {0o755}
    assert checkout.make(*arguments).stderr == ""
    assert files_below(root) == files


def test_h1_the_folder_of_the_commands(checkout: Checkout, tmp_path: Path) -> None:
    """It holds what they import, and licences; nothing in it knows where it was made."""
    checkout.make("install", "prefix=/usr", f"DESTDIR={tmp_path}")
    folder = tmp_path / "usr" / TOOLCHAIN
    compiled = {path.name.partition("-")[0] for path in (folder / sys.implementation.cache_tag).iterdir()}
    assert compiled - {"zipfile_deflate64"} == {"isal", "lief"}
    names = {path.name.partition("-")[0] for path in folder.iterdir()}
    packages = {"zipalign", "apepack", "assimilate", "runtime", "click", "tqdm", "llamafile_toolchain"}
    assert names == packages | {"cpython", "installed"}
    assert (folder / "installed" / "llamafile").readlink() == Path("/usr/bin/llamafile")
    for package in ("zipalign", "apepack", "assimilate", "runtime"):
        suffixes = {path.suffix for path in (folder / package).rglob("*") if path.is_file()}
        assert suffixes <= {".py", ".pyc", ".json"}
    for path in (path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()):
        data = path.read_bytes()
        for place in (tmp_path, checkout.folder, CHECKOUT, Path(sys.prefix)):
            assert os.fsencode(place) + b"/" not in data, path


def test_h1_uninstall_leaves_other_files(checkout: Checkout, tmp_path: Path) -> None:
    neighbours = {"bin/llamafile-other", "bin/zip", "share/man/man1/zip.1", "lib/llamafile-toolchain-other/file"}
    for name in neighbours:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    directories = ["bindir=/bin", "libdir=/lib", "mandir=/share/man", f"DESTDIR={tmp_path}"]
    checkout.make("install", *directories)
    assert (tmp_path / "bin/zipalign").read_text().count('"/lib/llamafile-toolchain"') == 1
    assert len(files_below(tmp_path)) > len(PROGRAMS | MANUALS)
    checkout.make("uninstall", *directories)
    assert set(files_below(tmp_path)) == neighbours
    assert not (tmp_path / TOOLCHAIN).exists()
    assert checkout.make("uninstall", *directories).stderr == ""


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["card", "x.llamafile"], "hub"),
        (["sbom", "x.llamafile"], "sbom"),
        (["sign", "--key", "private.pem", "x.llamafile"], "sign"),
        (["sign", "--keyless", "x.llamafile"], "sigstore"),
        (["publish", "x.llamafile", "me/x"], "hub"),
        (["-o", "y", "hf://me/x/x.gguf"], "hub"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_h1_what_needs_more_packages_says_where_they_are(
    prefix: Path, tiny_model: Path, tmp_path: Path, arguments: list[str], extra: str
) -> None:
    apepack = prefix / "bin/apepack"
    subprocess.run([apepack, "-q", "-o", tmp_path / "x.llamafile", tiny_model], check=True)
    (tmp_path / "private.pem").touch()
    result = subprocess.run([apepack, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert f"install the toolchain as a package with the extra '{extra}'" in result.stderr


def test_h1_root_builds_nothing(checkout: Checkout, tmp_path: Path) -> None:
    """After `make`, `sudo make install` needs neither cache nor network, and creates no file in the checkout."""
    before = {path: path.stat().st_mtime_ns for path in (checkout.folder / "build").rglob("*")}
    said = checkout.make("install", f"DESTDIR={tmp_path}", "XDG_CACHE_HOME=/nonexistent", "HOME=/nonexistent")
    assert (said.stdout, said.stderr) == ("", "")
    assert {path: path.stat().st_mtime_ns for path in (checkout.folder / "build").rglob("*")} == before
    assert "llamafile-build" in checkout.make("-n").stdout


def test_h2_the_installed_llamafile_is_where_one_begins(
    prefix: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str]
) -> None:
    """Without checkout, environment, network and cache: copied and filled by hand, and by one command."""
    script = """\
for folder in "$1" "$2"; do [ ! -d "$folder" ] || mount -t tmpfs none "$folder"; done
PATH=$3/bin:/usr/bin:/bin
cd "$4"
cp "$3/bin/llamafile" my.llamafile
zipalign -j0 my.llamafile tiny.gguf
apepack -q -o packed.llamafile tiny.gguf -- --temp 0
apepack --loader host -o loader
assimilate -o native packed.llamafile
assimilate --verify --check my.llamafile
"""
    shutil.copy(tiny_model, tmp_path / "tiny.gguf")
    made = in_private_mounts(script, CHECKOUT, sys.prefix, prefix, tmp_path, HOME=bare["HOME"])
    assert (made.returncode, made.stderr) == (0, "")
    assert os.access(tmp_path / "my.llamafile", os.X_OK)
    for name in ("my.llamafile", "packed.llamafile"):
        assert {"__main__.py", "portable/runtime/portable/cli.py"} <= {
            entry.name for entry in read_archive(tmp_path / name).entries
        }
    assert (tmp_path / "loader").read_bytes()[:4] == b"\x7fELF"
    answers = {
        run(tmp_path / name, "-p", "hello", "-n", "4", "--temp", "0", env=bare).stdout
        for name in ("my.llamafile", "packed.llamafile")
    }
    native = [str(tmp_path / "native"), "-p", "hello", "-n", "4", "--temp", "0"]
    by_itself = subprocess.run(native, env=bare, capture_output=True, check=True, timeout=60).stdout
    (answer,) = answers | {by_itself.decode(errors="replace")}
    assert answer.startswith("hello")


def test_h2_the_commands_see_only_installed_files(prefix: Path, tmp_path: Path, bare: dict[str, str]) -> None:
    """Neither where they are started, nor what the user installed, nor PYTHONPATH."""
    for name in ("click.py", "zipalign.py"):
        (tmp_path / name).write_text("raise SystemExit('not this one')\n")
    environment = bare | {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent"}
    for command in sorted(COMMANDS):
        line = [str(prefix / "bin" / command), "--version"]
        said = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (said.returncode, said.stderr) == (0, "")
        assert said.stdout.startswith(f"{command} (llamafile-toolchain) ")


def test_h2_the_installed_runtime_begins_as_the_built_one(
    prefix: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str]
) -> None:
    command = [str(prefix / "bin" / "apepack"), "--no-windows", str(tiny_model)]
    said = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert f"{prefix}/bin/llamafile begins as it does" in said.stderr


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_h3_a_manual_for_each_program(prefix: Path, name: str) -> None:
    command = [tool("mman"), "-M", str(prefix / "share" / "man")]
    found = subprocess.run([*command, "-w", "1", name], capture_output=True, text=True, check=True)
    assert found.stdout == f"{prefix}/share/man/man1/{name}.1\n"
    text = subprocess.run([*command, "1", name], capture_output=True, text=True, check=True).stdout
    plain = re.sub(".\b", "", text)
    assert re.search(rf"^NAME\n +{name} . ", plain, re.MULTILINE)


def options_in(manual: Path) -> set[str]:
    return {f"-{option}" for option in re.findall(r"\bFl (\S+)", manual.read_text(encoding="utf-8"))}


def options_of(text: str) -> set[str]:
    """The options that lines of a --help begin with."""
    lists = re.findall(r"^ {0,2}(--?[a-zA-Z][\w-]*(?:,? +--?[a-zA-Z][\w-]*)*)", text, re.MULTILINE)
    return {option for names in lists for option in re.split(r",? +", names)} | {"--help"}


@pytest.mark.parametrize("name", sorted(COMPANIONS))
def test_h3_companions_and_their_manuals_have_the_same_options(prefix: Path, bare: dict[str, str], name: str) -> None:
    """All of a companion's own; of those that the engine has for every program, what the manual has is there."""
    result = run(prefix / "bin" / name, "--help", env=bare)
    assert result.returncode == 0, result.stderr
    documented = options_in(prefix / "share" / "man" / "man1" / f"{name}.1")
    assert documented - options_of(result.stdout) == set()
    _, found, own = result.stdout.partition("----- example-specific params -----")
    if name != "llamafile-server":
        assert options_of(own if found else result.stdout) - documented <= ELSEWHERE


def test_h3_quantize_and_its_manual_have_the_same_types(prefix: Path, bare: dict[str, str]) -> None:
    shown = re.findall(
        r"^ +(?:\d+ +or +)?([A-Z][A-Z0-9_]+) +: ",
        run(prefix / "bin" / "llamafile-quantize", "--help", env=bare).stdout,
        re.MULTILINE,
    )
    manual = (prefix / "share" / "man" / "man1" / "llamafile-quantize.1").read_text()
    documented = re.findall(r"\b[A-Z]+\d\w*\b|\bCOPY\b", manual.partition(".Sh TYPES\n")[2].partition(".Sh ")[0])
    assert set(shown) == set(documented)


def test_h4_manuals_to_print(checkout: Checkout) -> None:
    tool("mandoc")
    checkout.make("-j8", "pdf")
    manuals = {path.name for path in (checkout.folder / "man").rglob("*.?")}
    printed = {
        path.name.removesuffix(".pdf"): path.read_bytes() for path in (checkout.folder / "build" / "man").iterdir()
    }
    assert set(printed) == manuals
    for name, data in printed.items():
        assert data.startswith(b"%PDF-1."), name
        assert data.rstrip().endswith(b"%%EOF"), name
        (start,) = re.findall(rb"startxref\n(\d+)\n", data)
        assert data[int(start) :].startswith(b"xref\n"), name
        (count,) = re.findall(rb"/Count (\d+)", data)
        assert 1 <= int(count) == len(re.findall(rb"/Type /Page\s", data)) <= 20, name
        assert b"(NAME) Tj" in data, name


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["PYTHON=/nonexistent/python3"], "needs Python 3.11 or later, and /nonexistent/python3 is not"),
        (["PYTHON=./old"], "needs Python 3.11 or later, and ./old is not"),
        (["PYTHON=./alone"], "needs pip for ./alone (Debian package python3-pip)"),
        (["install", "PYTHON=./old"], "needs Python 3.11 or later, and ./old is not"),
        (["pdf", "PATH=/nonexistent"], "needs mandoc (Debian package mandoc)"),
    ],
)
def test_h6_missing_tools_are_named_in_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    (tmp_path / "runtime").mkdir()
    for name in (*FILES, "runtime/__init__.py"):
        shutil.copy(CHECKOUT / name, tmp_path / name)
    shutil.copytree(CHECKOUT / "man", tmp_path / "man")
    (tmp_path / "old").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "alone").write_text("#!/bin/sh\ncase $1 in -c) exit 0 ;; *) exit 1 ;; esac\n")
    for name in ("old", "alone"):
        (tmp_path / name).chmod(0o755)
    said = Checkout(tmp_path).make(*arguments, check=False)
    assert said.returncode == 2
    assert sentence in said.stderr.splitlines()[0]
    assert not (tmp_path / ".venv").exists()


def test_h6_requirements_of_a_build_are_documented() -> None:
    text = (CHECKOUT / "CONTRIBUTING.md").read_text() + (CHECKOUT / "README.md").read_text()
    for need in ("Python 3.11", "pip", "GNU make", "Node", "mandoc", "C compiler"):
        assert need in text
