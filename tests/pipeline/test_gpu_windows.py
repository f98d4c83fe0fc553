"""GPUs on Windows, under Wine: what is computed by its Vulkan, and drivers that fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtime.platforms import host_platform
from tests.builders.hosts import under_wine, windows_command
from tests.builders.vulkan import GPU, PROMPT, failing_windows_loader
from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(host_platform().name != "linux-amd64", reason="needs a machine with wine64")

GENERATION = ("-m", "model.gguf", "--unsecure", "-n", "8", "--temp", "0", "-p", PROMPT)


@dataclass(frozen=True)
class Windows:
    """The product in a folder with a model, and what Wine needs."""

    program: Path
    variables: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return under_wine(self.program, *arguments, folder=self.program.parent, variables=self.variables)


def said(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Without the lines of Wine itself: `sendmsg: Socket operation on non-socket` in some runs, while all is well."""
    return [line for line in result.stderr.splitlines() if not line.startswith(("wine client error:", "wine: "))]


@pytest.fixture
def windows_host(runtime: Path, model: Path, tmp_path: Path) -> Windows:
    program = tmp_path / "x.exe"
    program.symlink_to(runtime)
    shutil.copyfile(model, tmp_path / "model.gguf")
    # A copy of Wine's folder: in a common one, a program of another test may have begun the session without a screen.
    prefix = tmp_path / "wine"
    shutil.copytree(windows_command()[1]["WINEPREFIX"], prefix, symlinks=True, copy_function=os.link)
    return Windows(program, {"WINEPREFIX": str(prefix)})


@pytest.fixture
def display() -> Iterator[str]:
    """A screen for Wine, whose Vulkan needs one."""
    reader, writer = os.pipe()
    with subprocess.Popen(
        [tool("Xvfb"), "-displayfd", str(writer)], pass_fds=[writer], stderr=subprocess.DEVNULL
    ) as server:
        os.close(writer)
        with os.fdopen(reader) as number:
            yield f":{number.readline().strip()}"
        server.terminate()


def test_windows_uses_the_same_shaders(windows_host: Windows, shader_cache: Path, display: str) -> None:
    """By Wine's vulkan-1.dll, which passes everything on to the loader of Linux."""
    windows_host.variables.update({"DISPLAY": display, "XDG_CACHE_HOME": str(shader_cache)})
    assert "computes with Vulkan0: llvmpipe" in windows_host.run("--gpu", "vulkan", "--version").stdout
    result = windows_host.run(*GENERATION, *GPU)
    assert (result.returncode, said(result)) == (0, [])
    assert result.stdout.startswith(PROMPT)


@pytest.mark.needs_compiler
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("crash", "a driver crashes"),
        ("hang", "a driver gives no answer for 5 seconds"),
        ("no functions", "no driver for Vulkan works"),
    ],
)
def test_a_bad_driver_costs_a_line(windows_host: Windows, failure: str, reason: str) -> None:
    """The DLL of the failing driver is in the system's folder."""
    plain = windows_host.run(*GENERATION)
    library = Path(windows_host.variables["WINEPREFIX"]) / "drive_c" / "windows" / "system32" / "vulkan-1.dll"
    library.unlink(missing_ok=True)
    shutil.copyfile(failing_windows_loader(failure), library)
    windows_host.variables.update({"WINEDLLOVERRIDES": "vulkan-1=n;winedbg.exe=d", "LLAMAFILE_GPU_SECONDS": "5"})
    result = windows_host.run(*GENERATION, "-ngl", "99")
    assert (result.returncode, result.stdout) == (0, plain.stdout), result.stderr
    assert len(said(result)) == 1
    assert f"there is no GPU that this program can use: {reason}" in said(result)[0]
