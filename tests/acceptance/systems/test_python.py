"""The same file, run by Python: on processors without a program in it, assimilated, and where Python is too old."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assimilate.conversion import assimilate
from runtime.platforms import host_platform
from tests.acceptance.packaging.packing import packed
from tests.builders.foreign import ForeignPython
from tests.pipeline.conftest import run

ARGUMENTS = ("-p", "hello", "-n", "12")


@pytest.fixture(scope="module", params=["riscv64", "s390x"])
def foreign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ForeignPython:
    """Python with numpy. The second machine has its bytes the other way round."""
    return ForeignPython(str(request.param), tmp_path_factory.mktemp("foreign"))


@pytest.fixture
def llamafile(runtime: Path, tiny_model: Path, tmp_path: Path) -> Path:
    """A file with a model in it."""
    return packed(Path(shutil.copy(runtime, tmp_path / "my.llamafile")), tiny_model)


def test_a_processor_without_a_program(foreign: ForeignPython, llamafile: Path, bare: dict[str, str]) -> None:
    native = run(llamafile, *ARGUMENTS, env=bare)
    result = foreign.run(llamafile.name, *ARGUMENTS, cwd=llamafile.parent)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == native.stdout


def test_a_runtime_without_weights(foreign: ForeignPython, runtime: Path, tiny_model: Path) -> None:
    """`apepack -o llamafile`, and what `zipalign -j0` makes of it."""
    result = foreign.run(runtime, "-m", tiny_model, *ARGUMENTS, "--temp", "0")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("hello")
    nothing = foreign.run(runtime, *ARGUMENTS)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert f"{runtime} holds no weights; name a model with -m FILE.gguf" in nothing.stderr
    assert nothing.stderr.count("\n") == 1


def test_an_assimilated_one(foreign: ForeignPython, llamafile: Path, bare: dict[str, str]) -> None:
    before = run(llamafile, *ARGUMENTS, env=bare)
    assimilate(llamafile, host_platform())
    assert llamafile.read_bytes()[:4] == b"\x7fELF"
    after = foreign.run(llamafile, *ARGUMENTS)
    assert (after.returncode, after.stderr, after.stdout) == (0, "", before.stdout)


def of_this(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the Python of these tests, from this checkout."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
        cwd=Path(__file__).parents[3],
    )


def test_this_python(llamafile: Path, bare: dict[str, str]) -> None:
    """Since 3.13 Python finds the archive; before, it takes the file for a program of its own, and names line 1."""
    native = run(llamafile, *ARGUMENTS, env=bare)
    result = of_this(llamafile, *ARGUMENTS)
    if sys.version_info >= (3, 13):
        assert (result.returncode, result.stderr, result.stdout) == (0, "", native.stdout)
    else:
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.endswith("SyntaxError: unterminated string literal (detected at line 1)\n")
    module = of_this("-m", "runtime", llamafile, *ARGUMENTS)
    assert (module.returncode, module.stderr, module.stdout) == (0, "", native.stdout)
