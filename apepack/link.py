"""Linking: native programs in, one APE out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from apepack.embed import embed, relocated_header
from apepack.errors import InputError, LayoutError, OutputError
from apepack.layout import Layout, Span, reserve
from apepack.prologue import Magic, render_prologue
from apepack.script import BLOCK_SIZE, ScriptProgram, render_script
from apepack.windows import check_windows, embed_windows, windows_headers
from runtime.errors import RuntimeBuildError
from runtime.image import Image, read_image
from runtime.image.elf import Elf, ElfHeader, Machine
from runtime.image.embedding import check_embeddable
from runtime.loaders import loader_bytes
from runtime.platforms import Launch
from zipalign.transaction import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from apepack.opening import OpeningMember
    from runtime.platforms import Platform

__all__ = ["Linked", "LinkedImage", "Program", "current_umask", "link", "plan", "read_program"]

# What `uname -m` prints, depending on the system's age.
_MACHINES = {Machine.X86_64: ("x86_64", "amd64"), Machine.AARCH64: ("aarch64", "arm64")}


@dataclass(frozen=True, slots=True)
class Program:
    """A native program to be linked."""

    path: Path
    image: Image
    data: bytes


@dataclass(frozen=True, slots=True)
class LinkedImage:
    """Where a program came to lie, and what starts it there."""

    path: Path
    platform: Platform
    span: Span
    loader: Span  # empty where the system itself starts the program
    header: ElfHeader | None  # what a loader starts it by


@dataclass(frozen=True, slots=True)
class Linked:
    """An APE: its parts as they are (or, for a plan, will be) in the file."""

    magic: Magic
    images: tuple[LinkedImage, ...]
    size: int


def read_program(path: Path) -> Program:
    """Read the program in the file PATH and check that it can be linked.

    Raises:
        InputError: it is not a program, is damaged, or cannot become part of an APE.
        OSError: it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise InputError(path, "not a regular file")
    data = path.read_bytes()
    try:
        image = read_image(data)
        if isinstance(image.headers, Elf):
            check_embeddable(image.headers)
        else:
            check_windows(image.headers)
    except RuntimeBuildError as error:
        raise InputError(path, str(error)) from error
    return Program(path, image, data)


def link(
    paths: Sequence[Path],
    output: Path,
    *,
    magic: Magic = Magic.MZ,
    opening: OpeningMember | None = None,
    loader_for: Callable[[Platform], bytes] = loader_bytes,
) -> Linked:
    """Link the native programs PATHS, at most one for each platform, into the APE OUTPUT.

    OUTPUT appears complete or not at all; its mode is that of a new executable. With OPENING it ends with an archive
    of that one member.

    Raises:
        InputError: a program cannot be linked, or two are for the same platform.
        OutputError: OUTPUT is one of the programs.
        RuntimeBuildError: the loader cannot be made.
    """
    for path in paths:
        if output.exists() and output.samefile(path):
            raise OutputError(output, "the output would replace one of the programs: name another file with -o")
    programs = _read(paths, magic)
    loaders = _loaders(programs, loader_for)
    linked, layout = _plan(programs, loaders, opening, magic)
    with replacing(output, 0o777 & ~current_umask()) as file:
        _emit(file, programs, loaders, opening, linked, layout)
        _expect_at(file, linked.size)
    return linked


def plan(
    paths: Sequence[Path],
    *,
    magic: Magic = Magic.MZ,
    opening: OpeningMember | None = None,
    loader_for: Callable[[Platform], bytes] = loader_bytes,
) -> Linked:
    """Return what link() would make, without writing anything.

    Raises:
        InputError: as link() does.
    """
    programs = _read(paths, magic)
    return _plan(programs, _loaders(programs, loader_for), opening, magic)[0]


def _read(paths: Sequence[Path], magic: Magic) -> list[Program]:
    """Read the programs; what is mapped comes first, because its address may limit how far back it can lie."""
    programs = sorted(map(read_program, paths), key=lambda program: program.image.platform.launch != Launch.MAPPED)
    seen: dict[str, Path] = {}
    for program in programs:
        name = program.image.platform.name
        if name in seen:
            raise InputError(program.path, f"a second program for {name}, {seen[name]} is the first: leave one out")
        if program.image.platform.launch == Launch.PE and magic != Magic.MZ:
            raise InputError(program.path, "Windows runs only what begins with MZ: leave out --no-windows or this")
        seen[name] = program.path
    return programs


def _loaders(programs: Sequence[Program], loader_for: Callable[[Platform], bytes]) -> list[bytes]:
    """Return each program's loader, padded for dd."""
    platforms = [program.image.platform for program in programs]
    loaders = [loader_for(platform) if platform.launch == Launch.MAPPED else b"" for platform in platforms]
    return [loader.ljust(-(-len(loader) // BLOCK_SIZE) * BLOCK_SIZE, b"\0") for loader in loaders]


def _plan(
    programs: Sequence[Program], loaders: Sequence[bytes], opening: OpeningMember | None, magic: Magic
) -> tuple[Linked, Layout]:
    layout = reserve(
        [len(loader) for loader in loaders],
        len(opening.pack()) if opening else 0,
        [program.image.headers.file_end for program in programs],
    )
    directory = opening.pack_directory(layout.opening.offset, layout.images_end) if opening else b""
    images = []
    for program, span, loader in zip(programs, layout.images, layout.loaders, strict=True):
        headers = program.image.headers
        header = relocated_header(headers, span.offset) if isinstance(headers, Elf) else None
        images.append(LinkedImage(program.path, program.image.platform, span, loader, header))
    return Linked(magic, tuple(images), layout.images_end + len(directory)), layout


def _emit(  # the parts of the file, in their order
    file: IO[bytes],
    programs: Sequence[Program],
    loaders: Sequence[bytes],
    opening: OpeningMember | None,
    linked: Linked,
    layout: Layout,
) -> None:
    file.write(render_prologue(linked.magic, _script(linked, loaders), _windows_headers(programs, linked)))
    for image, loader in zip(linked.images, loaders, strict=True):
        _emit_at(file, image.loader, loader)
    if opening:
        _emit_at(file, layout.opening, opening.pack())
    for image, program in zip(linked.images, programs, strict=True):
        headers = program.image.headers
        base = image.span.offset
        if isinstance(headers, Elf):
            _emit_at(file, image.span, embed(program.data, headers, base))
        else:
            _emit_at(file, image.span, embed_windows(program.data, headers, base))
    file.write(bytes(layout.images_end - file.tell()))
    if opening:
        file.write(opening.pack_directory(layout.opening.offset, layout.images_end))


def _script(linked: Linked, loaders: Sequence[bytes]) -> str:
    programs = [
        ScriptProgram(
            image.platform.system, _MACHINES[Machine(image.header.machine)], image.header, loader, image.loader.offset
        )
        for image, loader in zip(linked.images, loaders, strict=True)
        if image.header
    ]
    others = [image.platform.system for image in linked.images if not image.header]
    return render_script(programs, others)


def _windows_headers(programs: Sequence[Program], linked: Linked) -> bytes:
    for program, image in zip(programs, linked.images, strict=True):
        if not isinstance(program.image.headers, Elf):
            return windows_headers(program.image.headers, image.span.offset)
    return b""


def _emit_at(file: IO[bytes], span: Span, data: bytes) -> None:
    if not span.size:
        return
    file.write(bytes(span.offset - file.tell()))
    _expect_at(file, span.offset)
    file.write(data)
    _expect_at(file, span.end)


def _expect_at(file: IO[bytes], offset: int) -> None:
    if file.tell() != offset:
        raise LayoutError(f"something was written to {file.tell():#x} that was reserved to end at {offset:#x}")


def current_umask() -> int:
    """Return the umask, which the system tells only when it is set."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
