"""The comparison of our codecs with LIEF: both must read the same values from a native program.

LIEF alone is no check: it accepts files that no system runs, and truncated ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assimilate.errors import ForeignFileError, MissingLiefError, VerificationError
from runtime.image.elf import Elf, read_elf
from runtime.image.errors import ImageFormatError
from runtime.image.load_commands import EntryPoint, ThreadState
from runtime.image.mach_header import MACHINES
from runtime.image.macho import Macho, read_macho
from runtime.image.pe import Pe, read_pe
from runtime.platforms import ImageFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Facts = dict[str, int]

__all__ = ["READERS", "load_lief", "verify_with_lief"]

READERS: Final[dict[ImageFormat, Callable[[bytes | memoryview], Elf | Pe | Macho]]] = {
    ImageFormat.ELF: read_elf,
    ImageFormat.PE: read_pe,
    ImageFormat.MACHO: read_macho,
}


def load_lief() -> Any:
    """Return the module lief, without its log messages.

    Raises:
        MissingLiefError: it is not installed.
    """
    try:
        import lief  # noqa: PLC0415  # takes half a second, and is rarely needed
    except ImportError as error:
        raise MissingLiefError from error
    lief.logging.disable()
    return lief


def verify_with_lief(data: bytes | memoryview, image_format: ImageFormat) -> None:
    """Compare the values that LIEF and our codecs read from the program at the start of DATA.

    Raises:
        MissingLiefError: LIEF is not installed.
        VerificationError: they differ.
        ForeignFileError: our codecs do not accept it as a program.
    """
    lief = load_lief()
    try:
        headers = READERS[image_format](data)
    except ImageFormatError as error:
        raise ForeignFileError.damaged(error) from error
    # Not by the file's name: LIEF would read the weights, too.
    parsed = _PARSERS[image_format](lief, bytes(data[: headers.file_end]))
    if parsed is None:
        raise VerificationError("the format", "no program", image_format.value)
    expected = _facts(headers)
    for field in sorted(expected.keys() | parsed.keys()):
        if parsed.get(field) != expected.get(field):
            raise VerificationError(field, _shown(parsed.get(field)), _shown(expected.get(field)))


def _shown(value: int | None) -> str:
    return "nothing" if value is None else f"{value:#x}"


def _facts(headers: Elf | Pe | Macho) -> Facts:
    if isinstance(headers, Elf):
        return _elf_facts(headers)
    if isinstance(headers, Pe):
        return _pe_facts(headers)
    return _macho_facts(headers)


def _numbered(kind: str, names: tuple[str, ...], rows: Sequence[tuple[int, ...]]) -> Facts:
    return {
        f"{name} of {kind} {index}": value
        for index, row in enumerate(rows)
        for name, value in zip(names, row, strict=True)
    }


_LOAD: Final = ("p_offset", "p_vaddr", "p_filesz", "p_memsz", "p_flags")
_SECTION: Final = ("VirtualAddress", "VirtualSize", "PointerToRawData", "SizeOfRawData")
_SEGMENT: Final = ("vmaddr", "vmsize", "fileoff", "filesize", "initprot")


def _elf_facts(elf: Elf) -> Facts:
    rows = [(load.offset, load.vaddr, load.filesz, load.memsz, load.flags) for load in elf.loads]
    header = elf.header
    return {"e_entry": header.entry, "e_machine": header.machine, "e_type": header.type, "EI_OSABI": header.osabi,
            "e_phnum": header.phnum, **_numbered("PT_LOAD", _LOAD, rows)}  # fmt: skip  # the header, then the segments


def _lief_elf(lief: Any, data: bytes) -> Facts | None:
    binary = lief.ELF.parse(data)
    if binary is None:
        return None
    rows = [
        (one.file_offset, one.virtual_address, one.physical_size, one.virtual_size, int(one.flags))
        for one in binary.segments
        if one.type == lief.ELF.Segment.TYPE.LOAD and one.virtual_size
    ]
    header = binary.header
    return {"e_entry": header.entrypoint, "e_machine": header.machine_type.value, "e_type": header.file_type.value,
            "EI_OSABI": header.identity_os_abi.value, "e_phnum": header.numberof_segments,
            **_numbered("PT_LOAD", _LOAD, rows)}  # fmt: skip  # the header, then the segments


def _pe_facts(pe: Pe) -> Facts:
    rows = [
        (one.virtual_address, one.virtual_size, one.pointer_to_raw_data, one.size_of_raw_data) for one in pe.sections
    ]
    optional = pe.optional
    return {"AddressOfEntryPoint": optional.address_of_entry_point, "ImageBase": optional.image_base,
            "Machine": pe.coff.machine, **_numbered("section", _SECTION, rows)}  # fmt: skip  # as above


def _lief_pe(lief: Any, data: bytes) -> Facts | None:
    binary = lief.PE.parse(data)
    if binary is None:
        return None
    rows = [
        (one.virtual_address, one.virtual_size, one.pointerto_raw_data, one.sizeof_raw_data) for one in binary.sections
    ]
    optional = binary.optional_header
    return {"AddressOfEntryPoint": optional.addressof_entrypoint, "ImageBase": optional.imagebase,
            "Machine": binary.header.machine.value, **_numbered("section", _SECTION, rows)}  # fmt: skip  # as above


def _macho_facts(macho: Macho) -> Facts:
    rows = [(one.vmaddr, one.vmsize, one.fileoff, one.filesize, one.initprot) for one in macho.segments]
    facts = {"cputype": macho.header.cputype, "ncmds": macho.header.ncmds, **_numbered("segment", _SEGMENT, rows)}
    for main in macho.of_kind(EntryPoint):
        facts["entryoff"] = main.entryoff
    for thread in macho.of_kind(ThreadState):
        facts["the program counter"] = thread.register(MACHINES[macho.header.cputype].program_counter_index)
    if macho.code_signature is not None:
        facts["dataoff"], facts["datasize"] = macho.code_signature.dataoff, macho.code_signature.datasize
    return facts


def _lief_macho(lief: Any, data: bytes) -> Facts | None:
    fat = lief.MachO.parse(data)
    if fat is None or fat.size != 1:
        return None
    binary = fat.at(0)
    rows = [
        (one.virtual_address, one.virtual_size, one.file_offset, one.file_size, int(one.init_protection))
        for one in binary.segments
    ]
    header = binary.header
    facts = {"cputype": header.cpu_type.value, "ncmds": header.nb_cmds, **_numbered("segment", _SEGMENT, rows)}
    if binary.has_main_command:
        facts["entryoff"] = binary.main_command.entrypoint
    if binary.has_thread_command:
        facts["the program counter"] = binary.thread_command.pc
    if binary.has_code_signature:
        facts["dataoff"] = binary.code_signature.data_offset
        facts["datasize"] = binary.code_signature.data_size
    return facts


_PARSERS: Final[dict[ImageFormat, Callable[[Any, bytes], Facts | None]]] = {
    ImageFormat.ELF: _lief_elf,
    ImageFormat.PE: _lief_pe,
    ImageFormat.MACHO: _lief_macho,
}
