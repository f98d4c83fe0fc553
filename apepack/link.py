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
from runtime.errors import RuntimeBuildError
from runtime.image import Image, read_image
from runtime.image.elf import ElfHeader, Machine
from runtime.image.embedding import check_embeddable
from runtime.loaders import loader_bytes
from zipalign.transaction import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from apepack.opening import OpeningMember
    from runtime.platforms import Platform

__all__ = ["Linked", "LinkedImage", "Program", "link", "plan", "read_program"]

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
    loader: Span
    header: ElfHeader


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
        check_embeddable(image.elf)
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
    programs = [read_program(path) for path in paths]
    loaders = _loaders(programs, loader_for)
    linked, layout = _plan(programs, loaders, opening, magic)
    with replacing(output, 0o777 & ~_umask()) as file:
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
    programs = [read_program(path) for path in paths]
    return _plan(programs, _loaders(programs, loader_for), opening, magic)[0]


def _loaders(programs: Sequence[Program], loader_for: Callable[[Platform], bytes]) -> list[bytes]:
    """Return each program's loader, padded for dd."""
    seen: dict[str, Path] = {}
    for program in programs:
        name = program.image.platform.name
        if name in seen:
            raise InputError(program.path, f"a second program for {name}, {seen[name]} is the first: leave one out")
        seen[name] = program.path
    loaders = [loader_for(program.image.platform) for program in programs]
    return [loader.ljust(-(-len(loader) // BLOCK_SIZE) * BLOCK_SIZE, b"\0") for loader in loaders]


def _plan(
    programs: Sequence[Program], loaders: Sequence[bytes], opening: OpeningMember | None, magic: Magic
) -> tuple[Linked, Layout]:
    layout = reserve(
        [len(loader) for loader in loaders],
        len(opening.pack()) if opening else 0,
        [program.image.elf.file_end for program in programs],
    )
    directory = opening.pack_directory(layout.opening.offset, layout.images_end) if opening else b""
    images = tuple(
        LinkedImage(
            program.path,
            program.image.platform,
            span,
            loader,
            relocated_header(program.image.elf, span.offset),
        )
        for program, span, loader in zip(programs, layout.images, layout.loaders, strict=True)
    )
    return Linked(magic, images, layout.images_end + len(directory)), layout


def _emit(  # the parts of the file, in their order
    file: IO[bytes],
    programs: Sequence[Program],
    loaders: Sequence[bytes],
    opening: OpeningMember | None,
    linked: Linked,
    layout: Layout,
) -> None:
    script = render_script(
        [
            ScriptProgram(
                image.platform.system,
                _MACHINES[Machine(image.header.machine)],
                image.header,
                loader,
                image.loader.offset,
            )
            for image, loader in zip(linked.images, loaders, strict=True)
        ]
    )
    file.write(render_prologue(linked.magic, script))
    for image, loader in zip(linked.images, loaders, strict=True):
        _emit_at(file, image.loader, loader)
    if opening:
        _emit_at(file, layout.opening, opening.pack())
    for image, program in zip(linked.images, programs, strict=True):
        _emit_at(file, image.span, embed(program.data, program.image.elf, image.span.offset))
    file.write(bytes(layout.images_end - file.tell()))
    if opening:
        file.write(opening.pack_directory(layout.opening.offset, layout.images_end))


def _emit_at(file: IO[bytes], span: Span, data: bytes) -> None:
    file.write(bytes(span.offset - file.tell()))
    _expect_at(file, span.offset)
    file.write(data)
    _expect_at(file, span.end)


def _expect_at(file: IO[bytes], offset: int) -> None:
    if file.tell() != offset:
        raise LayoutError(f"something was written to {file.tell():#x} that was reserved to end at {offset:#x}")


def _umask() -> int:
    """Return the umask, which the system tells only when it is set."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
