"""What `python3 my.llamafile` runs: which modules are packed, how large they are, and how to do without."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from apepack.packing.lint import Severity
from apepack.packing.pack import PackInputs, link_runtime, pack
from apepack.packing.portable_part import portable_member_names, portable_members
from apepack.packing.runtime_part import read_runtime
from tests.builders.ape import names_in
from tests.builders.foreign import without_ours
from zipalign import Member, add_files, check_archive, read_archive
from zipalign.layout import END_RECORDS_SIZE

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [member.name for member in portable_members()]
PROMPT = ("-p", "hello", "-n", "4", "--temp", "0")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the modules need of others, and nothing of ours."""
    return without_ours(tmp_path_factory.mktemp("packages"), ("numpy", "gguf", "yaml"))


@pytest.fixture(scope="module")
def classic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The members in an archive of classic form, which every Python reads."""
    path = tmp_path_factory.mktemp("classic") / "classic.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in portable_members():
            assert isinstance(member.source, bytes)
            archive.writestr(member.name, member.source)
    return path


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run CODE by a Python that sees neither this checkout nor what is installed."""
    command = [sys.executable, "-IS", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=120)


RUN = """\
import runpy, sys
sys.path.append(sys.argv.pop(1))
sys.argv.pop(0)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] in {"runtime", "zipalign"}}
    assert all(module.__spec__.origin.startswith(sys.argv[0]) for module in ours.values()), ours
    print(sorted(ours), file=sys.stderr)
    raise
"""


def test_no_module_is_missing_and_none_is_idle(classic: Path, packages: Path, model: Path) -> None:
    result = python(RUN, packages, classic, "-m", model, *PROMPT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")
    packed = {name.removeprefix("portable/").removesuffix(".py") for name in NAMES} - {"__main__"}
    modules = sorted(name.removesuffix("/__init__").replace("/", ".") for name in packed)
    assert result.stderr == f"{modules}\n"


def test_what_is_not_installed_is_named(classic: Path, model: Path) -> None:
    """With the command that installs it; Python itself may be old, or on a system that the file starts by itself."""
    code = "import runpy, sys; sys.argv.pop(0); {}; runpy.run_path(sys.argv[0], run_name='__main__')"
    needed = f"there is no package numpy for this Python: {sys.executable} -m pip install numpy gguf\n"
    for before, sentence in (
        ("pass", f"llamafile: {needed}"),
        ("sys.version_info = (3, 9, 2)", "llamafile: this needs Python 3.11 or later, and here is 3.9\n"),
        (
            "import os; os.name = 'nt'",
            "llamafile: Python runs a llamafile on Unix systems only; start the file by itself\n",
        ),
    ):
        result = python(code.format(before), classic, "-m", model, *PROMPT)
        assert (result.stdout, result.stderr, result.returncode) == ("", sentence, 1)


def test_a_file_grows_by_less_than_100_kb(stub_build: Path, tmp_path: Path) -> None:
    """And is the same every time."""
    for name, portable in (("with", True), ("again", True), ("without", False)):
        link_runtime([stub_build], tmp_path / name, portable=portable)
    assert (tmp_path / "with").read_bytes() == (tmp_path / "again").read_bytes()
    assert [entry.name for entry in read_archive(tmp_path / "with").entries] == ["NOTICES", *NAMES, "manifest.json"]
    assert [entry.name for entry in read_archive(tmp_path / "without").entries] == ["NOTICES", "manifest.json"]
    assert (tmp_path / "with").stat().st_size - (tmp_path / "without").stat().st_size < 100_000


def test_what_is_no_runtime_comes_without(stub_build: Path, tmp_path: Path) -> None:
    """Other programs run no models: they have no licences beside them."""
    stub_build.with_name("NOTICES").unlink()
    assert link_runtime([stub_build], tmp_path / "hello").members == ()


@pytest.mark.parametrize("portable", [True, False])
def test_packed_with_the_runtime_linked_now(model: Path, stub_build: Path, tmp_path: Path, *, portable: bool) -> None:
    output = tmp_path / "my.llamafile"
    planned = pack(PackInputs(model), output, portable=portable, dry_run=True)
    packed = pack(PackInputs(model), output, portable=portable)
    assert (packed, packed.size) == (planned, output.stat().st_size)
    assert portable_member_names(entry.name for entry in read_archive(output).entries) == (NAMES if portable else [])
    assert names_in(output) == ["NOTICES", "tiny.gguf", ".args"]


@pytest.mark.parametrize("portable", [True, False])
def test_packed_with_a_runtime_that_has_it(model: Path, stub_build: Path, tmp_path: Path, *, portable: bool) -> None:
    output = tmp_path / "my.llamafile"
    link_runtime([stub_build], tmp_path / "llamafile")
    planned = pack(PackInputs(model), output, runtime=tmp_path / "llamafile", portable=portable, dry_run=True)
    packed = pack(PackInputs(model), output, runtime=tmp_path / "llamafile", portable=portable)
    assert (packed, packed.size) == (planned, output.stat().st_size)
    assert portable_member_names(entry.name for entry in read_archive(output).entries) == (NAMES if portable else [])
    assert names_in(output) == ["NOTICES", "tiny.gguf", ".args"]
    assert check_archive(output).ok


@pytest.mark.parametrize("portable", [True, False])
def test_packed_with_a_runtime_that_has_none(model: Path, stub_build: Path, tmp_path: Path, *, portable: bool) -> None:
    """It is taken as it is, and so is what it has of that name."""
    front = tmp_path / "llamafile"
    link_runtime([stub_build], front, portable=False)
    add_files(front, [Member("__main__.py", b"print('mine')\n")])
    size = front.stat().st_size
    packed = pack(PackInputs(model), tmp_path / "out", runtime=front, portable=portable)
    assert (packed.runtime.size, packed.runtime.members) == (size, ("NOTICES", "manifest.json", "__main__.py"))


def test_a_publishers_own_is_run_instead(model: Path, stub_build: Path, tmp_path: Path) -> None:
    own = tmp_path / "__main__.py"
    own.write_text("print('mine')\n")
    packed = pack(PackInputs(model, extra=[own]), tmp_path / "out")
    assert [(finding.severity, finding.kind) for finding in packed.findings] == [(Severity.NOTE, "name")]
    entry = read_archive(tmp_path / "out").entry("__main__.py")
    assert entry is not None
    assert (entry.is_stored, entry.size) == (True, len("print('mine')\n"))


def test_without_it_nothing_but_the_directory_is_added(stub_build: Path, tmp_path: Path) -> None:
    """Removed members stay in the file, outside of the directory."""
    link_runtime([stub_build], tmp_path / "llamafile")
    whole = read_runtime(tmp_path / "llamafile")
    less = read_runtime(tmp_path / "llamafile", portable=False)
    assert less.members == ("NOTICES",)
    assert 0 < less.size - whole.size < less.directory_size + END_RECORDS_SIZE + 64
