"""Vulkan for tests: the software device of Mesa, and loaders that fail."""

from __future__ import annotations

import ctypes.util
import tempfile
from pathlib import Path
from typing import Final

from runtime.builder.cache import cached, digest_of
from runtime.builder.compilation import run_tool
from runtime.builder.toolchain import find_toolchain
from tests.conftest import skip_without
from tools.gpu_check.model import RandomModel
from tools.gpu_inputs import LOST, are_lost
from tools.lost_inputs import debian_package

__all__ = [
    "FAILURES",
    "GPU",
    "MODEL",
    "PROMPT",
    "WEAKER",
    "failing_loader",
    "failing_windows_loader",
    "old_linker",
    "require_software_device",
]

MODEL: Final = RandomModel(
    embedding=256, feed_forward=768, layers=2, heads=8, heads_of_keys=4, vocabulary=512, context=512
)
PROMPT: Final = "The quick brown fox jumps over the lazy dog. The quick brown fox"
GPU: Final = ("--gpu", "vulkan", "-ngl", "99")
WEAKER: Final = "llamafile: the sandbox is weaker with a GPU: the driver of the GPU may "

FAILURES: Final = {"crash": 1, "hang": 2, "no functions": 3, "device lost": 4}
_FOLDER: Final = Path(__file__).parent
_LOADER: Final = "libvulkan.so.1"
_DRIVERS: Final = (Path("/usr/share/vulkan/icd.d"), Path("/etc/vulkan/icd.d"))


def require_software_device() -> None:
    """Skip the test where Mesa's software device or the loader is missing, or the product has no part for GPUs."""
    if are_lost():
        skip_without(LOST, "needs the part for GPUs")
    if ctypes.util.find_library("vulkan") is None:
        skip_without(debian_package("libvulkan1"), "needs a Vulkan loader (Debian package libvulkan1)")
    if not any(path.glob("lvp_icd*") for path in _DRIVERS if path.is_dir()):
        package = "mesa-vulkan-drivers"
        skip_without(debian_package(package), f"needs Mesa's software device (Debian package {package})")


def failing_loader(failure: str) -> Path:
    """Return a folder for LD_LIBRARY_PATH with a loader that fails as FAILURES say."""
    flags = ["-shared", "-fPIC", "-ldl", f"-DFAILURE={FAILURES[failure]}", f'-DREAL_LOADER="{_real_loader()}"']
    return _compiled("vulkan_loader.c", _LOADER, "x86_64-linux-gnu.2.28", flags).parent


def failing_windows_loader(failure: str) -> Path:
    """Return a vulkan-1.dll that fails as FAILURES say."""
    flags = ["-shared", f"-DFAILURE={FAILURES[failure]}"]
    return _compiled("vulkan_loader_windows.c", "vulkan-1.dll", "x86_64-windows-gnu", flags)


def _real_loader() -> str:
    places = [folder / _LOADER for folder in (Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib64"), Path("/usr/lib"))]
    return str(next((place for place in places if place.exists()), _LOADER))


def old_linker() -> Path:
    """Return a program that stands in for the dynamic linker of an old system."""
    return _compiled("interpreter.c", "interpreter", "x86_64-freestanding", ["-ffreestanding", "-nostdlib", "-fPIE"])


def _compiled(source: str, name: str, target: str, flags: list[str]) -> Path:
    toolchain = find_toolchain()
    options = ["-target", target, "-g0", "-O1", "-fno-sanitize=undefined", *flags]

    def fill(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            run_tool(
                [str(toolchain.zig), "cc", *options, "-o", str(folder / name), str(_FOLDER / source)],
                toolchain.environment(Path(scratch)),
                f"compiling {source}",
            )

    return cached("test-program", digest_of([toolchain.identity, *options, _FOLDER / source]), fill) / name
