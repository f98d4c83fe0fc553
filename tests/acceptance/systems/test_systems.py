"""Rows F1 to F8 (F5: test_gotchas.py), A2, D5 and E6 of the promises: the systems and processors that it runs on.

Of systems that are not here, files say what they need: the small program that tests compile for every platform, by the
same toolchain with the same targets as the runtime, and the claims of docs/platforms.md.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from apepack.format.inspect import read_platforms
from runtime.builder.loaders import loader_bytes
from runtime.image import read_image
from runtime.image.elf import Elf
from runtime.image.load_commands import BuildVersion
from runtime.image.macho import Macho
from runtime.image.os_brand import read_brand, read_notes
from runtime.image.pe import read_pe
from runtime.platforms import PLATFORMS, Evidence, Launch, platform_named
from tests.acceptance.docs.readme import platform_rows, section
from tests.builders.programs import everywhere, everywhere_ape
from tests.conftest import tool
from tests.pipeline.conftest import QEMU

if TYPE_CHECKING:
    from pathlib import Path

X86_64 = "qemu-x86_64-static"
REFUSAL = (
    "llamafile: this processor has no SSSE3, which Intel's have had since 2006 and AMD's since 2011; "
    "it cannot run this program"
)


def complete(*command: str | Path, model: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "-m", model, "-p", "hello", "-n", "4", "--temp", "0"],
        capture_output=True, text=True, errors="replace", check=False, timeout=300,
    )  # fmt: skip  # the command, then how it is run


def test_f1_a_kernel_of_2006(amd64: Path, tiny_model: Path) -> None:
    result = complete(tool(X86_64), "-r", "2.6.18", "-cpu", "max", amd64, model=tiny_model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")


# Later than Linux 2.6.18; where one is missing, something else must do.
YOUNG_CALLS = ("getrandom", "statx", "rseq", "membarrier", "clone3", "openat2", "prlimit64", "pipe2", "preadv2")


@pytest.mark.parametrize("call", YOUNG_CALLS)
def test_f1_a_kernel_without_a_call(amd64: Path, tiny_model: Path, tmp_path: Path, call: str) -> None:
    strace = [tool("strace"), "-f", "-qq", "-o", str(tmp_path / "log"), "-e", f"inject={call}:error=ENOSYS"]
    result = complete(*strace, amd64, model=tiny_model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")


@pytest.mark.parametrize("processor", ["qemu64", "qemu64,-sse3", "Opteron_G3"])
def test_f6_a_processor_that_is_too_old_is_refused(amd64: Path, processor: str) -> None:
    """In a sentence, instead of by an illegal instruction, whatever it is asked to do."""
    result = subprocess.run(
        [tool(X86_64), "-cpu", processor, amd64, "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    said = [line for line in result.stderr.splitlines() if not line.startswith("qemu")]
    assert (result.returncode, result.stdout) == (1, "")
    assert said == [REFUSAL]


def test_f6_so_it_is_by_the_loader(runtime: Path, tmp_path: Path) -> None:
    """The loader itself runs on any amd64 processor."""
    loader = tmp_path / "ape"
    loader.write_bytes(loader_bytes(platform_named("linux-amd64")))
    loader.chmod(0o755)
    command = [tool(X86_64), "-cpu", "qemu64", str(loader), str(runtime), "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "has no SSSE3" in result.stderr


def test_f6_the_oldest_that_will_do(amd64: Path, tiny_model: Path) -> None:
    result = complete(tool(X86_64), "-cpu", "core2duo", amd64, model=tiny_model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")


def test_e6_an_address_space_of_39_bits(arm64: Path, tiny_model: Path) -> None:
    result = complete(tool(QEMU), "-R", "0x8000000000", arm64, model=tiny_model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")


# The words of docs/platforms.md, in the order of its columns: how it starts, and what the tests run.
STARTS = {
    Launch.MAPPED: "mapped where it lies in the file",
    Launch.PE: "the file itself is the program",
    Launch.UNPACKED: "unpacked once, then executed",
}
RUN = {
    Evidence.NATIVE: "natively",
    Evidence.QEMU: "under qemu-user",
    Evidence.WINE: "under wine64",
    Evidence.STRUCTURE: "nothing of",
}


def rows_by_platform() -> dict[str, list[str]]:
    """The rows of the table in docs/platforms.md; `freebsd-, netbsd-, openbsd-amd64` are three of them."""
    rows = {}
    for names, *cells in platform_rows():
        ending = names.rpartition("-")[2]
        for name in names.split(", "):
            rows[name if not name.endswith("-") else name + ending] = cells
    return rows


def test_a2_the_readme_says_where_it_runs_and_how_that_is_known() -> None:
    """Neither a platform too few nor one too many, and no claim to have run what was only looked at."""
    rows = rows_by_platform()
    assert list(rows) == [platform.name for platform in PLATFORMS]
    for platform in PLATFORMS:
        _, starts, was_run, _ = rows[platform.name]
        assert starts == STARTS[platform.launch]
        assert RUN[platform.evidence] in was_run
        assert ("nothing of" in was_run) is (platform.evidence is Evidence.STRUCTURE)


def test_a2_the_readme_has_the_same_evidence_in_short() -> None:
    rows = re.findall(r"^\| (.*) \| (.*) \| (.*) \|$", section("README.md", "Platforms"), re.MULTILINE)
    shown = {
        (system, processor): evidence
        for systems, processors, evidence in rows
        for system in re.findall("Linux|Windows|macOS|FreeBSD|NetBSD|OpenBSD", systems)
        for processor in processors.split(", ")
    }
    words = {
        Evidence.NATIVE: "natively",
        Evidence.QEMU: "qemu-user",
        Evidence.WINE: "Wine",
        Evidence.STRUCTURE: "never run",
    }
    for platform in PLATFORMS:
        system, _, processor = platform.name.partition("-")
        (evidence,) = [value for key, value in shown.items() if (key[0].lower(), key[1]) == (system, processor)]
        assert words[platform.evidence] in evidence
    assert len(shown) == len(PLATFORMS)


@pytest.mark.needs_compiler
def test_d5_one_file_for_six_systems() -> None:
    carried = read_platforms(memoryview(everywhere_ape()))
    assert sorted(carried) == sorted(platform.name for platform in PLATFORMS)
    systems = {platform_named(name).system for name in carried}
    assert systems == {"Linux", "Windows", "Darwin", "FreeBSD", "NetBSD", "OpenBSD"}


@pytest.mark.needs_compiler
@pytest.mark.parametrize("name", ["macos-arm64", "macos-amd64"])
def test_f2_the_oldest_macos(name: str) -> None:
    """Darwin 22 and later; the README of llamafile promises 23.1."""
    macho = read_image(everywhere(platform_named(name)).read_bytes()).headers
    assert isinstance(macho, Macho)
    (version,) = macho.of_kind(BuildVersion)
    assert version.minos == 13 << 16
    assert "macOS 13.0" in rows_by_platform()[name][0]


# Of the functions that Windows has since 8.1 or later, those that a port like ours may come to call without noticing.
YOUNG_FUNCTIONS = {
    "ClosePseudoConsole", "CreateFile3", "CreatePseudoConsole", "DiscardVirtualMemory", "GetMachineTypeAttributes",
    "GetSystemCpuSetInformation", "GetTempPath2W", "GetThreadDescription", "IsWow64Process2", "MapViewOfFile2",
    "MapViewOfFile3", "OfferVirtualMemory", "OpenFileMappingFromApp", "QueryInterruptTime",
    "QueryUnbiasedInterruptTimePrecise", "ReclaimVirtualMemory", "ResizePseudoConsole", "SetProcessDefaultCpuSets",
    "SetThreadDescription", "SetThreadSelectedCpuSets", "UnmapViewOfFile2", "VirtualAlloc2", "VirtualAllocFromApp",
    "VirtualProtectFromApp",
}  # fmt: skip  # a list
# The last one has WaitOnAddress, since Windows 8.
WINDOWS_LIBRARIES = {
    "kernel32.dll", "ws2_32.dll", "shell32.dll", "advapi32.dll", "api-ms-win-core-synch-l1-2-0.dll",
}  # fmt: skip  # a list


def imports(path: Path) -> dict[str, set[str]]:
    """The names that a Windows program wants, by the library that it wants them from."""
    import lief

    program: Any = lief.PE.parse(str(path))
    return {library.name.lower(): {entry.name for entry in library.entries} for library in program.imports}


def test_f3_windows_8_has_all_that_it_wants(windows: Path) -> None:
    """By its headers and the names of what it imports. The C runtime is part of Windows 10, an update before that."""
    pe = read_pe(windows.read_bytes())
    assert (pe.optional.major_subsystem_version, pe.optional.minor_subsystem_version) <= (6, 2)
    assert (pe.optional.major_operating_system_version, pe.optional.minor_operating_system_version) <= (6, 2)
    found = imports(windows)
    assert "CreateFileW" in found["kernel32.dll"]
    libraries = {library for library in found if not library.startswith("api-ms-win-crt-")}
    assert libraries <= WINDOWS_LIBRARIES
    assert set[str]().union(*found.values()) & YOUNG_FUNCTIONS == set()
    assert "Windows 8 with the Universal C Runtime" in rows_by_platform()["windows-amd64"][0]


def noted_version(owner: bytes, data: bytes, elf: Elf) -> int:
    (note,) = [note for note in read_notes(data, elf) if note.owner == owner and note.type == 1]
    return int.from_bytes(note.description, "little")


@pytest.mark.needs_compiler
@pytest.mark.parametrize(
    ("system", "linker"),
    [("FreeBSD", "/libexec/ld-elf.so.1"), ("NetBSD", "/libexec/ld.elf_so"), ("OpenBSD", "/usr/libexec/ld.so")],
)
def test_f4_the_bsds_know_it_for_theirs(system: str, linker: str) -> None:
    """By the note that their kernels go by, which also says for which release it was made, and the dynamic linker."""
    platform = platform_named(f"{system.lower()}-amd64")
    data = everywhere(platform).read_bytes()
    elf = read_image(data).headers
    assert isinstance(elf, Elf)
    brand = read_brand(data, elf)
    assert (brand.system, brand.has_note, brand.interpreter) == (system, True, linker)
    number = noted_version(system.encode() + b"\0", data, elf)
    # 1400500 and 1001000000 are how FreeBSD's and NetBSD's headers number releases; OpenBSD's note has a zero.
    stated = {
        "FreeBSD": f"FreeBSD {number // 100000}.{number // 1000 % 100}",
        "NetBSD": f"NetBSD {number // 10**8}.{number // 10**6 % 100}",
        "OpenBSD": "OpenBSD 7.8 (linked with its libraries; the file states no version)",
    }
    assert stated[system] in rows_by_platform()[platform.name][0]
    assert (number == 0) is (system == "OpenBSD")
