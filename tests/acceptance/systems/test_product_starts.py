"""The product for all platforms that tests can run starts in each way, whatever the order of its programs.

tests/apepack/format/test_programs.py tests a small program so. The sizes of the product's programs decide their
offsets in the file, and emulators do not run a program at every offset.
"""

from __future__ import annotations

import shutil
from itertools import permutations
from pathlib import Path

import pytest

from apepack.format.binfmt import BINFMT_CONFIGURATION, INTERPRETER
from apepack.packing.pack import link_runtime
from assimilate.conversion import assimilate
from runtime.platforms import platform_named
from tests.builders.ape import loader
from tests.builders.home import new_name
from tests.builders.hosts import Host, under_wine
from tests.conftest import tool
from tests.pipeline.conftest import QEMU
from tests.workers import shared_file

AMD64, ARM64, WINDOWS = (platform_named(name) for name in ("linux-amd64", "linux-arm64", "windows-amd64"))
EMULATORS = {AMD64: "qemu-x86_64-static", ARM64: QEMU}


@pytest.fixture(scope="session")
def programs(amd64: Path, arm64: Path, windows: Path) -> dict[str, Path]:
    return {"amd64": amd64, "arm64": arm64, "windows": windows}


@pytest.fixture(params=["amd64 arm64 windows", "arm64 amd64 windows"], ids=["amd64 first", "arm64 first"])
def product(
    request: pytest.FixtureRequest, programs: dict[str, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of the runtime for these platforms, with its programs in this order."""
    order: str = request.param
    ape = shared_file(
        tmp_path_factory,
        f"product/{order}",
        lambda output: link_runtime([programs[name] for name in order.split()], output),
    )
    (tmp_path / "temporary").mkdir()
    return Path(shutil.copy(ape, tmp_path / "product.exe"))


@pytest.fixture(params=[AMD64, ARM64], ids=lambda platform: platform.name)
def linux(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    return Host(tmp_path, request.param)


def check_version(host: Host, *command: str | Path, registrations: tuple[str, ...] = ()) -> None:
    result = host.run(
        *command, "--version", registrations=registrations, TMPDIR=f"{host.folder}/temporary", LOGNAME=new_name()
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert f" {host.platform.name})\n" in result.stdout


def test_all_orders_give_one_of_these_files(programs: dict[str, Path], tmp_path: Path) -> None:
    files = set()
    for order in permutations(programs):
        output = tmp_path / "ape"
        link_runtime([programs[name] for name in order], output)
        files.add(output.read_bytes())
    assert len(files) == 2


def test_by_the_shell(linux: Host, product: Path) -> None:
    check_version(linux, "sh", product)


def test_by_the_loader(linux: Host, product: Path) -> None:
    check_version(linux, loader(linux.folder, linux.platform.name), product)


def test_by_binfmt_misc(linux: Host, product: Path) -> None:
    lines = [line for line in BINFMT_CONFIGURATION.splitlines() if line.startswith(":")]
    interpreter = str(loader(linux.folder, linux.platform.name))
    lines = [line.replace(INTERPRETER, interpreter) for line in lines]
    if linux.platform == ARM64:  # qemu does not pass the kernel's flag P on
        lines = [line.removesuffix("P") for line in lines]
    product.chmod(0o755)
    check_version(linux, product, registrations=tuple(lines))


@pytest.mark.parametrize("maker", ["the tool", "itself"])
def test_assimilated(linux: Host, product: Path, maker: str) -> None:
    """Natively, or as binfmt_misc runs arm64 programs, and by an emulator for each of the two."""
    if maker == "itself":
        assert linux.run("sh", product, "--assimilate").returncode == 0
    else:
        assimilate(product, linux.platform)
    product.chmod(0o755)
    check_version(linux, product)
    check_version(linux, tool(EMULATORS[linux.platform]), product)


def test_by_windows(product: Path) -> None:
    result = under_wine(product, "--version")
    assert result.returncode == 0
    assert f" {WINDOWS.name})\n" in result.stdout.replace("\r", "")
