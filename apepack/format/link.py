"""Linking: combines native programs into one APE."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from apepack.errors import InputError, LayoutError, OutputError
from apepack.format.cksum import posix_cksum
from apepack.format.embed import embed_elf, relocated_elf_header
from apepack.format.layout import Layout, Span, plan_layout
from apepack.format.prologue import Magic, render_prologue
from apepack.format.script import BLOCK_SIZE, SECOND_PART, MappedProgram, UnpackedProgram, cache_name, render_script
from apepack.format.unpacked import UnpackedImage
from apepack.format.windows import check_pe, embed_pe, relocated_pe_headers
from runtime.builder.loaders import loader_bytes
from runtime.errors import RuntimePackageError
from runtime.image import Image, read_image
from runtime.image.elf import Elf, ElfHeader, Machine
from runtime.image.embedding import check_embeddable, check_image_offset
from runtime.image.errors import NotEmbeddableError
from runtime.image.pe import Pe
from runtime.image.stream import compress_image, expand_image, is_stream
from runtime.image.unpacking import check_unpackable
from runtime.platforms import Launch
from zipalign.alignment import align_up
from zipalign.replacement import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from apepack.format.first_member import FirstMember
    from runtime.platforms import Platform

__all__ = [
    "LinkedApe",
    "LinkedImage",
    "Program",
    "current_umask",
    "embedded_bytes",
    "link",
    "plan_link",
    "read_program",
]

# Mapped programs come first, because their addresses may limit their offsets.
_LAUNCH_ORDER = (Launch.MAPPED, Launch.PE, Launch.UNPACKED)
# The names that `uname -m` prints, which differ between versions of systems.
_UNAME_MACHINES = {Machine.X86_64: ("x86_64", "amd64"), Machine.AARCH64: ("aarch64", "arm64")}
_NO_LOADER = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Program:
    """A native program to link."""

    path: Path
    image: Image
    data: bytes
    stream: bytes = b""  # the compressed program, if the script unpacks it

    @property
    def platform(self) -> Platform:
        """The platform of the program."""
        return self.image.platform


@dataclass(frozen=True, slots=True)
class LinkedImage:
    """The place of a program in an APE, and the data that starts it."""

    path: Path
    platform: Platform
    span: Span
    loader: Span  # empty without a loader
    header: ElfHeader | None = None  # for a loader
    unpacked: UnpackedImage | None = None  # for the script, which unpacks it


@dataclass(frozen=True, slots=True)
class LinkedApe:
    """The parts of an APE, linked or planned."""

    magic: Magic
    images: tuple[LinkedImage, ...]
    size: int


def read_program(path: Path) -> Program:
    """Read the program in the file PATH, which may be compressed already, and check that it can be linked.

    Raises:
        InputError: the file is not a program, is damaged, or cannot become part of an APE.
        OSError: the file cannot be read.
    """
    if path.exists() and not path.is_file():
        raise InputError(path, "not a regular file")
    stored = path.read_bytes()
    try:
        data = expand_image(stored) if is_stream(stored) else stored
        image = read_image(data)
        if isinstance(image.headers, Pe):
            check_pe(image.headers)
        elif isinstance(image.headers, Elf) and image.platform.launch == Launch.MAPPED:
            check_embeddable(image.headers)
        else:
            check_unpackable(image, data)
    except RuntimePackageError as error:
        raise InputError(path, str(error)) from error
    if image.platform.launch != Launch.UNPACKED:
        return Program(path, image, data)
    return Program(path, image, data, stored if is_stream(stored) else compress_image(data))


def link(
    paths: Sequence[Path],
    output: Path,
    *,
    magic: Magic = Magic.MZ,
    first_member: FirstMember | None = None,
    loader_for: Callable[[Platform], bytes] = loader_bytes,
) -> LinkedApe:
    """Link the native programs PATHS, at most one for each platform, into the APE OUTPUT.

    OUTPUT is created completely or not at all, with the mode of a new executable. With FIRST_MEMBER it ends with
    an archive of that member.

    Raises:
        InputError: a program cannot be linked, or two are for the same platform.
        OutputError: OUTPUT is one of the programs.
        BuildError: the loader cannot be built.
    """
    for path in paths:
        if output.exists() and output.samefile(path):
            raise OutputError(output, "the output would replace one of the programs: name another file with -o")
    programs = _read_programs(paths, magic)
    loaders = _padded_loaders(programs, loader_for)
    linked, layout = _lay_out(programs, loaders, first_member, magic)
    with replacing(output, 0o777 & ~current_umask()) as file:
        _emit(file, programs, loaders, first_member, linked, layout)
        _assert_offset(file, linked.size)
    return linked


def plan_link(
    paths: Sequence[Path],
    *,
    magic: Magic = Magic.MZ,
    first_member: FirstMember | None = None,
    loader_for: Callable[[Platform], bytes] = loader_bytes,
) -> LinkedApe:
    """Return the result of link() without writing a file.

    Raises:
        InputError: as link() does.
    """
    programs = _read_programs(paths, magic)
    return _lay_out(programs, _padded_loaders(programs, loader_for), first_member, magic)[0]


def _read_programs(paths: Sequence[Path], magic: Magic) -> list[Program]:
    programs = sorted(map(read_program, paths), key=lambda program: _LAUNCH_ORDER.index(program.platform.launch))
    seen: dict[str, Path] = {}
    for program in programs:
        name = program.platform.name
        if name in seen:
            raise InputError(program.path, f"a second program for {name}, {seen[name]} is the first: leave one out")
        if program.platform.launch == Launch.PE and magic != Magic.MZ:
            raise InputError(program.path, "Windows runs only what begins with MZ: leave out --no-windows or this")
        seen[name] = program.path
    return programs


def _padded_loaders(programs: Sequence[Program], loader_for: Callable[[Platform], bytes]) -> list[bytes]:
    """Return the loaders of the mapped programs, padded to dd's block size."""
    loaders = [loader_for(program.platform) for program in programs if program.platform.launch == Launch.MAPPED]
    return [loader.ljust(align_up(len(loader), BLOCK_SIZE), b"\0") for loader in loaders]


def _lay_out(
    programs: Sequence[Program], loaders: Sequence[bytes], first_member: FirstMember | None, magic: Magic
) -> tuple[LinkedApe, Layout]:
    in_place = [program for program in programs if not program.stream]
    unpacked = [program for program in programs if program.stream]
    layout = plan_layout(
        [len(loader) for loader in loaders],
        len(SECOND_PART) if loaders else 0,
        len(first_member.pack()) if first_member else 0,
        [program.image.headers.file_end for program in in_place],
        [len(program.stream) for program in unpacked],
        max([len(program.data) for program in unpacked], default=0),
    )
    directory = first_member.pack_directory(layout.first_member.offset, layout.images_end) if first_member else b""
    images = []
    loader_spans = iter(layout.loaders)
    for program, span in zip(in_place, layout.images, strict=True):
        headers = program.image.headers
        if isinstance(headers, Elf):
            _check_offset(program.path, headers, span.offset)
            header = relocated_elf_header(headers, span.offset)
            images.append(LinkedImage(program.path, program.platform, span, next(loader_spans), header))
        else:
            images.append(LinkedImage(program.path, program.platform, span, _NO_LOADER))
    for program, span in zip(unpacked, layout.streams, strict=True):
        image = UnpackedImage(
            program.platform.name, span.offset, span.size, posix_cksum(program.data), len(program.data)
        )
        images.append(LinkedImage(program.path, program.platform, span, _NO_LOADER, unpacked=image))
    return LinkedApe(magic, tuple(images), layout.images_end + len(directory)), layout


def _check_offset(path: Path, elf: Elf, image_offset: int) -> None:
    try:
        check_image_offset(elf, image_offset)
    except NotEmbeddableError as error:
        raise InputError(path, str(error)) from error


def _emit(  # in the order of the file
    file: IO[bytes],
    programs: Sequence[Program],
    loaders: Sequence[bytes],
    first_member: FirstMember | None,
    linked: LinkedApe,
    layout: Layout,
) -> None:
    script = _render_script(programs, loaders, linked, layout)
    file.write(render_prologue(linked.magic, script, _pe_headers(programs, linked)))
    for span, loader in zip(layout.loaders, loaders, strict=True):
        _emit_at(file, span, loader)
    _emit_at(file, layout.second_part, SECOND_PART)
    if first_member:
        _emit_at(file, layout.first_member, first_member.pack())
    for image, program in zip(linked.images, programs, strict=True):
        _emit_at(file, image.span, embedded_bytes(program, image.span.offset))
    file.write(bytes(layout.images_end - file.tell()))
    if first_member:
        file.write(first_member.pack_directory(layout.first_member.offset, layout.images_end))


def embedded_bytes(program: Program, base: int) -> bytes:
    """Return the bytes of PROGRAM for storage at the offset BASE.

    Raises:
        NotEmbeddableError: it cannot be stored there.
    """
    headers = program.image.headers
    if program.stream:
        return program.stream
    if isinstance(headers, Elf):
        return embed_elf(program.data, headers, base)
    if isinstance(headers, Pe):
        return embed_pe(program.data, headers, base)
    raise LayoutError(f"{program.path}: {program.platform.name} has no program that lies in the file as it is")


def _render_script(programs: Sequence[Program], loaders: Sequence[bytes], linked: LinkedApe, layout: Layout) -> str:
    names = {program.platform.name for program in programs}
    mapped: list[MappedProgram] = []
    unpacked: list[UnpackedProgram] = []
    others: list[str] = []
    for image, program in zip(linked.images, programs, strict=True):
        patterns = _uname_patterns(image, names)
        if image.header:
            mapped.append(MappedProgram(patterns, image.header, loaders[len(mapped)], image.loader.offset))
        elif image.unpacked:
            unpacked.append(UnpackedProgram(patterns, image.unpacked, cache_name(program.data)))
        else:
            others.append(image.platform.system)
    return render_script(mapped, unpacked, others, layout.second_part.offset)


def _uname_patterns(image: LinkedImage, names: Collection[str]) -> tuple[str, ...]:
    """Return the output of `uname -sm` on systems that run IMAGE, in an APE for the platforms NAMES."""
    system = image.platform.system
    if image.header:
        return tuple(f"{system} {machine}" for machine in _UNAME_MACHINES[Machine(image.header.machine)])
    rosetta = (f"{system} arm64",) if image.platform.name == "macos-amd64" and "macos-arm64" not in names else ()
    return (f"{system} {image.platform.processor}", *rosetta)


def _pe_headers(programs: Sequence[Program], linked: LinkedApe) -> bytes:
    for program, image in zip(programs, linked.images, strict=True):
        if isinstance(program.image.headers, Pe):
            return relocated_pe_headers(program.image.headers, image.span.offset)
    return b""


def _emit_at(file: IO[bytes], span: Span, data: bytes) -> None:
    if not span.size:
        return
    file.write(bytes(span.offset - file.tell()))
    _assert_offset(file, span.offset)
    file.write(data)
    _assert_offset(file, span.end)


def _assert_offset(file: IO[bytes], offset: int) -> None:
    if file.tell() != offset:
        raise LayoutError(f"something was written to {file.tell():#x} that was reserved to end at {offset:#x}")


def current_umask() -> int:
    """Return the umask. The system returns it only from setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
