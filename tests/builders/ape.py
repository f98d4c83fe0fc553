"""Test programs compiled once for all tests, and APE files: ours, and as other makers write them."""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from apepack.format.first_member import FirstMember
from apepack.format.link import link
from apepack.format.prologue import Magic
from runtime.builder.loaders import loader_bytes
from runtime.platforms import platform_named
from tests.builders.compiled import compiled_program
from tests.builders.elf import AARCH64, X86_64, exit_program, note, with_interpreter, with_notes
from tests.builders.macho import AMD64, ARM64, macho_program
from tests.builders.pe import pe_program
from zipalign import read_archive

__all__ = [
    "LINUX",
    "SHELLS",
    "compiled",
    "foreign_ape",
    "foreign_octal",
    "in_private_mounts",
    "linked",
    "loader",
    "names_in",
    "private_mounts",
    "probe_output",
    "small_ape",
    "small_program",
]

LINUX: Final = ("linux-amd64", "linux-arm64")

# Every shell that may meet an APE: as /bin/sh somewhere, or as what a user types into.
SHELLS: Final = (
    ("dash",), ("bash",), ("bash", "--posix"), ("zsh",), ("busybox", "sh"), ("ksh",), ("mksh",), ("posh",), ("yash",),
)  # fmt: skip  # a list

_PROGRAMS: Final = Path(__file__).parents[1] / "apepack" / "format" / "programs"
_FOREIGN_BASE: Final = 0x10000
_FOREIGN_PHOFF: Final = 0xB48


@cache
def compiled(source: str, platform_name: str, *flags: str) -> Path:
    """A program of tests/apepack/programs for a platform, from the toolchain's cache if it was compiled before."""
    return compiled_program(platform_named(platform_name), [_PROGRAMS / source], ["-static", *flags])


@cache
def linked(magic: Magic = Magic.MZ, source: str = "probe.cpp", platforms: tuple[str, ...] = LINUX) -> bytes:
    """The APE of a test program for these platforms."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "probe"
        link([compiled(source, name) for name in platforms], output, magic=magic)
        return output.read_bytes()


def small_program(platform_name: str) -> bytes:
    """A program of a few pages for a platform, which linkers of APE files take for one; only Linux would run it."""
    machine = AARCH64 if platform_name.endswith("arm64") else X86_64
    match platform_name.partition("-")[0]:
        case "windows":
            return pe_program()
        case "macos":
            return macho_program(ARM64, signature=True) if machine == AARCH64 else macho_program(AMD64)
        case "freebsd":
            return with_interpreter(with_notes(exit_program(), note("FreeBSD")), "/libexec/ld-elf.so.1")
        case "netbsd":
            return with_interpreter(with_notes(exit_program(), note("NetBSD")), "/usr/libexec/ld.elf_so")
        case "openbsd":
            return with_interpreter(with_notes(exit_program(), note("OpenBSD")), "/usr/libexec/ld.so")
    return exit_program(machine, status=5)


@cache
def small_ape(*platforms: str, magic: Magic = Magic.MZ, notices: bytes = b"the licence texts" * 20) -> bytes:
    """The APE of such programs, with an archive that has one member before the images, unless that is empty."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in platforms:
            (folder / name).write_bytes(small_program(name))
        first_member = FirstMember.of("NOTICES", notices) if notices else None
        link([folder / name for name in platforms], folder / "ape", magic=magic, first_member=first_member)
        return (folder / "ape").read_bytes()


def names_in(path: Path) -> list[str]:
    """The members of a llamafile, but for what is in each: the manifest, the page, and what Python runs."""
    brought = ("gpu/", "pages/", "portable/", "__main__.py", "manifest.json")
    return [entry.name for entry in read_archive(path).entries if not entry.name.startswith(brought)]


def loader(folder: Path, platform_name: str = "linux-amd64") -> Path:
    """The loader for a platform as a program in `folder`."""
    path = folder / f"ape-{platform_name}"
    path.write_bytes(loader_bytes(platform_named(platform_name)))
    path.chmod(0o755)
    return path


def probe_output(arguments: list[str], path: str, *, name: str | None = None, probe: str = "unset") -> str:
    """What probe.cpp prints when all is well.

    `arguments` with argv[0]; `path` is what it was started by, `name` the base name of that unless given.
    """
    lines = [f"argv {argument}" for argument in arguments]
    lines += [f"AT_EXECFN {path}", "AT_PHDR good", "AT_BASE 0 AT_FLAGS 0 AT_PHENT 56"]
    lines += [f"name {(name or Path(path).name)[:15]}", f"environment {probe}"]
    lines += [f"{what} good" for what in ("data", "bss", "constructors", "exceptions", "threads", "stack")]
    return "\n".join([*lines, "atexit ran", ""])


def foreign_octal(data: bytes) -> str:
    r"""Bytes as the widespread generator prints them: shortest escapes, some of nine bits, such as \720 for \320."""
    text = ""
    for index, byte in enumerate(data):
        following = data[index + 1 : index + 2]
        if byte < 128 and chr(byte).isalnum() and chr(byte) not in "01234567":
            text += chr(byte)
        elif byte > 0o77:
            text += f"\\{byte | (0o400 if byte % 3 == 0 else 0):o}"
        else:
            text += f"\\{byte:03o}" if following.isdigit() else f"\\{byte:o}"
    return text


def foreign_ape(image: bytes, *, magic: bytes = b"MZqFpD='", before: bytes = b"", padding: int = 0) -> bytes:
    """An APE of another maker around one ELF program.

    As theirs are: NUL bytes behind the magic, a here-document, the program headers in the prologue outside of any
    segment, and in the order of the linker.

    Args:
        image: the program.
        magic: the first eight bytes.
        before: goes in front of the printf statement.
        padding: spaces in front of it.
    """
    phoff, phnum = struct.unpack_from("<Q", image, 32)[0], struct.unpack_from("<H", image, 56)[0]
    table = bytearray(image[phoff : phoff + phnum * 56])
    for at in range(0, len(table), 56):
        (offset,) = struct.unpack_from("<Q", table, at + 8)
        struct.pack_into("<Q", table, at + 8, offset + _FOREIGN_BASE)
    header = bytearray(image[:64])
    header[7] = 9
    struct.pack_into("<QQIHHHHHH", header, 32, _FOREIGN_PHOFF, 0, 0, 64, 56, phnum, 0, 0, 0)
    head = (magic + b"\n\n\0\x10\0\xf8").ljust(0x28, b"\0") + b"' <<'justine123abc'\n\xc8\x0c\x01\0"
    script = b"\njustine123abc\n#'\"\n\n" + before + b" " * padding
    script += b'exec 7<> "$o" || exit 121\nprintf \'' + foreign_octal(bytes(header)).encode() + b"' >&7\nexec 7<&-\n"
    prologue = (head + script).ljust(_FOREIGN_PHOFF if not padding else 0x3000, b"\0")
    if not padding:
        prologue = prologue[:_FOREIGN_PHOFF]
        prologue += bytes(table)
    return prologue.ljust(_FOREIGN_BASE, b"\0") + image


def private_mounts() -> list[str]:
    """Return what stands before a command that may mount file systems; skip where the system forbids that."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs user and mount namespaces (unshare -rm)")
    return unshare


def in_private_mounts(script: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script where it may mount file systems of its own; skip where the system forbids that."""
    environment = {"PATH": os.environ["PATH"]} | environment
    command = [*private_mounts(), "sh", "-euc", script, "sh", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)
