"""The code signature inside a Mach-O file: a hash of each page of the program, and hashes of what else was signed.

Specification: Apple's <kern/cs_blobs.h> (XNU); names are its own, numbers are big-endian. Whether a certificate is to
be trusted is not asked: that is for macOS to say. Nor can be checked here what lies in other files of a bundle.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

from runtime.image.errors import ImageFormatError, UnsignedImageError

if TYPE_CHECKING:
    from runtime.image.macho import Macho

__all__ = ["Blob", "CodeDirectory", "CodeSignature", "SignatureFlag", "Slot", "check_code_signature"]

_EMBEDDED_SIGNATURE: Final = 0xFADE0CC0
_CODE_DIRECTORY: Final = 0xFADE0C02
_PAGE_SIZE_LOG_MIN: Final = 12
_BLOBS_MAX: Final = 64  # three times the types that there are
_WITH_SCATTER: Final = 0x20100  # the versions that brought these fields
_WITH_TEAM: Final = 0x20200
_WITH_CODE_LIMIT_64: Final = 0x20300


class Slot(IntEnum):
    """Types of the blobs in a signature; those of the special slots are also where their hashes are."""

    CODE_DIRECTORY = 0
    REQUIREMENTS = 2
    ENTITLEMENTS = 5
    DER_ENTITLEMENTS = 7
    LAST_SPECIAL = 11
    ALTERNATE_CODE_DIRECTORIES = 0x1000  # for systems that know another hash
    ALTERNATE_CODE_DIRECTORIES_END = 0x1005
    CMS_SIGNATURE = 0x10000


class SignatureFlag(IntFlag):
    """Flags of a code directory."""

    ADHOC = 0x2  # hashes only, signed by nobody
    LINKER_SIGNED = 0x20000


class _Hash(NamedTuple):
    """A hash function, and how many bytes of its result are kept."""

    name: str
    size: int


_HASHES: Final = {1: _Hash("sha1", 20), 2: _Hash("sha256", 32), 3: _Hash("sha256", 20), 4: _Hash("sha384", 48)}
# What lies in the file itself, so that a hash of it without it is a fault. Others lie elsewhere in a bundle.
_INSIDE: Final = frozenset({Slot.REQUIREMENTS, Slot.ENTITLEMENTS, Slot.DER_ENTITLEMENTS})


@dataclass(frozen=True, slots=True)
class CodeDirectory:
    """A code directory: the hashes, and what they are of."""

    STRUCT: ClassVar = struct.Struct(">IIIIIIIIIBBBBI")
    SIZE: ClassVar = 44

    magic: int
    length: int
    version: int
    flags: int
    hash_offset: int  # of the first code slot; the special slots lie in front of it, the first one last
    ident_offset: int
    n_special_slots: int
    n_code_slots: int
    code_limit: int  # how far the program goes that the code slots are of
    hash_size: int
    hash_type: int
    platform: int
    page_size: int  # as a power of two
    spare2: int

    def pack(self) -> bytes:
        """Return the 44 bytes that every version begins with."""
        return self.STRUCT.pack(*(getattr(self, name) for name in self.__slots__))

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read the code directory at the start of DATA, which the caller has found to be long enough."""
        return cls(*cls.STRUCT.unpack_from(data))


class Blob(NamedTuple):
    """A part of a signature."""

    offset: int  # in the file
    data: bytes


@dataclass(frozen=True, slots=True)
class CodeSignature:
    """A signature whose hashes are those of the program."""

    identifier: str
    directories: tuple[CodeDirectory, ...]
    blobs: dict[int, Blob]  # by their slots

    @property
    def is_adhoc(self) -> bool:
        """Say whether nobody signed it: the hashes alone, as linkers make them."""
        return bool(self.directories[0].flags & SignatureFlag.ADHOC)


def check_code_signature(data: bytes | memoryview, macho: Macho) -> CodeSignature:
    """Recompute each hash in the signature of the program MACHO, whose bytes are DATA, and return the signature.

    Raises:
        UnsignedImageError: it has none.
        ImageFormatError: the signature is damaged, or the program was changed after it was signed.
    """
    place = macho.code_signature
    if place is None:
        raise UnsignedImageError
    blobs = _read_blobs(bytes(data[place.dataoff : place.file_end]), place.dataoff)
    found = [blob for slot, blob in sorted(blobs.items()) if _is_code_directory(slot)]
    if Slot.CODE_DIRECTORY not in blobs:
        raise _wrong("there is no code directory", "count", place.dataoff + 8)
    directories = tuple(_read_directory(blob) for blob in found)
    for blob, directory in zip(found, directories, strict=True):
        _check_directory(blob, directory, macho.page_size)
        _check_pages(blob, directory, data, place.dataoff)
        _check_special_slots(blob, directory, blobs)
    cms = blobs.get(Slot.CMS_SIGNATURE)
    if not directories[0].flags & SignatureFlag.ADHOC and (cms is None or len(cms.data) <= 8):
        raise _wrong("neither ad-hoc nor signed with a certificate", "flags", found[0].offset + 12)
    return CodeSignature(_identifier(found[0], directories[0]), directories, blobs)


def _is_code_directory(slot: int) -> bool:
    return slot == Slot.CODE_DIRECTORY or Slot.ALTERNATE_CODE_DIRECTORIES <= slot < Slot.ALTERNATE_CODE_DIRECTORIES_END


def _read_blobs(signature: bytes, base: int) -> dict[int, Blob]:
    """Read the SuperBlob, which begins at offset BASE of the file: the parts of the signature by their slots."""
    if len(signature) < 12:
        raise _wrong(f"{len(signature)} bytes are no signature", "length", base)
    magic, length, count = struct.unpack_from(">III", signature)
    _expect(magic, _EMBEDDED_SIGNATURE, "magic", base)
    if not 12 <= length <= len(signature):
        raise _wrong(f"got {length}, expected 12 to {len(signature)}", "length", base + 4)
    if count > min(_BLOBS_MAX, (length - 12) // 8):
        raise _wrong(f"got {count}, in {length} bytes at most {min(_BLOBS_MAX, (length - 12) // 8)}", "count", base + 8)
    blobs: dict[int, Blob] = {}
    for at in range(12, 12 + 8 * count, 8):
        slot, offset = struct.unpack_from(">II", signature, at)
        if slot in blobs:
            raise _wrong(f"a second blob of the type {slot:#x}", "type", base + at)
        if offset + 8 > length:
            raise _wrong(f"got {offset:#x}, the signature ends at {length:#x}", "offset", base + at + 4)
        (size,) = struct.unpack_from(">I", signature, offset + 4)
        if not 8 <= size <= length - offset:
            raise _wrong(f"got {size}, expected 8 to {length - offset}", "length", base + offset + 4)
        blobs[slot] = Blob(base + offset, signature[offset : offset + size])
    return blobs


def _read_directory(blob: Blob) -> CodeDirectory:
    if len(blob.data) < CodeDirectory.SIZE:
        raise _wrong(f"got {len(blob.data)}, expected {CodeDirectory.SIZE} at least", "length", blob.offset + 4)
    directory = CodeDirectory.unpack(blob.data)
    _expect(directory.magic, _CODE_DIRECTORY, "magic", blob.offset)
    return directory


def _check_directory(blob: Blob, directory: CodeDirectory, page_size: int) -> None:
    """Check what the kernel checks before it looks at any hash."""
    at = blob.offset
    if directory.hash_type not in _HASHES:
        raise _wrong(f"got {directory.hash_type}, expected 1 to 4", "hashType", at + 37)
    size = _HASHES[directory.hash_type].size
    _expect(directory.hash_size, size, "hashSize", at + 36)
    if not _PAGE_SIZE_LOG_MIN <= directory.page_size <= page_size.bit_length() - 1:
        most = page_size.bit_length() - 1
        raise _wrong(f"got {directory.page_size}, expected {_PAGE_SIZE_LOG_MIN} to {most}", "pageSize", at + 39)
    if directory.hash_offset < CodeDirectory.SIZE + directory.n_special_slots * size:
        raise _wrong(f"{directory.n_special_slots} hashes do not fit in front", "nSpecialSlots", at + 24)
    if directory.hash_offset + directory.n_code_slots * size > len(blob.data):
        raise _wrong(f"{directory.n_code_slots} hashes end behind the code directory", "nCodeSlots", at + 28)
    if _later_field(blob, directory, _WITH_SCATTER, ">I", 44):
        raise _wrong("pages in another order are not supported", "scatterOffset", at + 44)
    _identifier(blob, directory)
    team_offset = _later_field(blob, directory, _WITH_TEAM, ">I", 48)
    if team_offset and b"\0" not in blob.data[team_offset:]:
        raise _wrong(f"got {team_offset:#x}, where no text ends", "teamOffset", at + 48)


def _later_field(blob: Blob, directory: CodeDirectory, version: int, kind: str, offset: int) -> int:
    """Return a field that came with a later version, 0 in an earlier one."""
    if directory.version < version:
        return 0
    if offset + struct.calcsize(kind) > len(blob.data):
        raise _wrong(f"got {len(blob.data)}, too few for version {directory.version:#x}", "length", blob.offset + 4)
    value: int = struct.unpack_from(kind, blob.data, offset)[0]
    return value


def _identifier(blob: Blob, directory: CodeDirectory) -> str:
    if not directory.ident_offset:
        return ""
    end = blob.data.find(b"\0", directory.ident_offset)
    if end < 0:
        raise _wrong(f"got {directory.ident_offset:#x}, where no text ends", "identOffset", blob.offset + 20)
    return blob.data[directory.ident_offset : end].decode(errors="replace")


def _check_pages(blob: Blob, directory: CodeDirectory, data: bytes | memoryview, limit: int) -> None:
    code_limit = _later_field(blob, directory, _WITH_CODE_LIMIT_64, ">Q", 56) or directory.code_limit
    if code_limit != limit:
        raise _wrong(f"got {code_limit:#x}, the signature begins at {limit:#x}", "codeLimit", blob.offset + 32)
    page_size = 1 << directory.page_size
    _expect(directory.n_code_slots, -(-limit // page_size), "nCodeSlots", blob.offset + 28)
    view = memoryview(data)
    for index, start in enumerate(range(0, limit, page_size)):
        slot = directory.hash_offset + index * directory.hash_size
        if blob.data[slot : slot + directory.hash_size] != _hash(
            directory, view[start : min(start + page_size, limit)]
        ):
            raise _wrong(
                f"not the hash of the page at {start:#x}: the program was changed after it was signed",
                f"code slot {index}",
                blob.offset + slot,
            )


def _check_special_slots(blob: Blob, directory: CodeDirectory, blobs: dict[int, Blob]) -> None:
    for slot in range(1, max(directory.n_special_slots, Slot.LAST_SPECIAL) + 1):
        part = blobs.get(slot)
        at = directory.hash_offset - slot * directory.hash_size
        if slot > directory.n_special_slots:
            if part is not None:
                raise _wrong(f"there is no hash of the blob of the type {slot}", "nSpecialSlots", blob.offset + 24)
            continue
        stored = blob.data[at : at + directory.hash_size]
        if part is None:
            if slot in _INSIDE and any(stored):
                raise _wrong("the hash of a blob that is missing", f"special slot {slot}", blob.offset + at)
        elif stored != _hash(directory, part.data):
            raise _wrong("not the hash of the blob of this type", f"special slot {slot}", blob.offset + at)


def _hash(directory: CodeDirectory, data: bytes | memoryview) -> bytes:
    function = _HASHES[directory.hash_type]
    return hashlib.new(function.name, data, usedforsecurity=False).digest()[: function.size]


def _expect(got: int, expected: int, field: str, offset: int) -> None:
    if got != expected:
        raise _wrong(f"got {got:#x}, expected {expected:#x}", field, offset)


def _wrong(message: str, field: str, offset: int) -> ImageFormatError:
    return ImageFormatError(f"{message}, in the code signature", field=field, offset=offset)
