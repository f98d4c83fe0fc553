"""The code that computes: complete for each processor, and out of reach of the older ones."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from runtime.builder.cpu_variants import BASELINE, variants_of
from runtime.builder.engine import Engine, build_engine
from runtime.builder.gpu_platform import gpu_program
from runtime.builder.toolchain import find_toolchain
from runtime.platforms import PLATFORMS, Platform, platform_named
from tests.builders.hosts import windows_command
from tests.conftest import tool

SHIM = Path(__file__).parents[3] / "runtime" / "shim" / "cpu" / "cpu_variant.cpp"
# Compiled for every processor (builder/cmake/CMakeLists.txt).
REGISTRATION = "ggml-cpu.cpp"
DATA = "DW.ref."  # where a function for exceptions is; the same in all
STANDARD = re.compile(r"_ZN?K?St|_ZT[VIS]|__|.*:$")


@pytest.fixture(scope="module", params=["host", "linux-arm64", "windows-amd64"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine for a platform that tests run, as the runtime has it."""
    if request.param == "linux-arm64":
        tool("qemu-aarch64-static")
    if request.param == "windows-amd64":
        windows_command()
    return build_engine(platform_named(request.param), find_toolchain())


def variants_in_table(processor: str, *, few: bool) -> set[str]:
    """Return the names in the shim's table for PROCESSOR, without the baseline; FEW: in the program for GPUs."""
    table = SHIM.read_text(encoding="utf-8").partition("VARIANTS[] =")[2].partition("#undef")[0]
    conditional = r"^#(ifn?def) LLAMAFILE_FEW_VARIANTS\n(.*?)(?:^#else\n(.*?))?^#endif\n"

    def selected(part: re.Match[str]) -> str:
        return part[2] if (part[1] == "ifdef") == few else part[3] or ""

    table = re.sub(conditional, selected, table, flags=re.MULTILINE | re.DOTALL)
    amd64, apple, others = re.split(r"^#(?:elif|else).*\n", table, flags=re.MULTILINE)
    block = {"arm64": apple, "aarch64": others}.get(processor, amd64)
    return set(re.findall(r"VARIANT\((\w+),", block)) - {BASELINE}


def test_the_shim_knows_every_variant_and_no_other() -> None:
    for platform in PLATFORMS:
        names = {variant.name for variant in variants_of(platform)}
        assert variants_in_table(platform.processor, few=False) == names, platform.name
        if second := gpu_program(platform):
            names = {variant.name for variant in variants_of(second)}
            assert variants_in_table(platform.processor, few=True) == names, second.name


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_names_are_prefixes_that_mean_one_variant(platform: Platform) -> None:
    names = [variant.name for variant in variants_of(platform)]
    assert len({*names, BASELINE}) == len(names) + 1
    assert all(name.isidentifier() for name in names)


def test_what_a_variant_defines_has_its_name(engine: Engine) -> None:
    """A linker may take a template from any variant; an old processor would execute unknown instructions."""
    nm = [tool("llvm-nm"), "-A", "-P", "--defined-only", "--extern-only"]
    for variant in variants_of(engine.platform):
        library = engine.folder / f"libggml-cpu-{variant.name}.a"
        lines = subprocess.run([*nm, str(library)], capture_output=True, text=True, check=True).stdout.splitlines()
        names = [line.partition("]: ")[2].split()[0] for line in lines if f"[{REGISTRATION}" not in line]
        assert len(names) > 200
        assert [name for name in names if f"{variant.name}_" not in name and not name.startswith(DATA)] == []


def test_only_one_function_is_known_outside(engine: Engine) -> None:
    """A call of another name would use the baseline in every variant."""
    inside = [str(library) for library in engine.libraries if library.stem.startswith("libggml-cpu")]
    outside = [str(library) for library in engine.libraries if str(library) not in inside]
    defined = names_in("--defined-only", *inside)
    wanted = names_in("--undefined-only", *outside)
    assert "baseline_ggml_backend_cpu_reg" in defined
    assert "ggml_backend_cpu_reg" in wanted
    assert {name for name in defined & wanted if not STANDARD.match(name)} == set()


def names_in(*arguments: str) -> set[str]:
    command = [tool("llvm-nm"), "--format=just-symbols", "--extern-only", *arguments]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
