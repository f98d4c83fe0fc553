"""The code signature inside a Mach-O file: a hash of each page of the program, and hashes of the other signed parts.

Specification: Apple's <kern/cs_blobs.h> (XNU), with its names; numbers are big-endian. Certificates and the other files
of a bundle are not checked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from runtime.image.errors import ImageFormatError, UnsignedImageError
from runtime.image.record import ImageRecord, image_damaged
from zipalign.cursor import Cursor
from zipalign.record import U8, U32, U64

if TYPE_CHECKING:
    from runtime.image.macho import Macho

__all__ = ["Blob", "CodeDirectory", "CodeSignature", "SignatureFlag", "Slot", "check_code_signature"]

_PAGE_SIZE_LOG_MIN: Final = 12
_BLOBS_MAX: Final = 64  # three times the number of types
# The first versions of a code directory with these fields, and where the fields end.
_LATER_FIELDS: Final = (("scatter_offset", 0x20100, 48), ("team_offset", 0x20200, 52), ("code_limit_64", 0x20300, 64))


class Slot(IntEnum):
    """Types of the blobs in a signature; for special slots, also the index of their hash."""

    CODE_DIRECTORY = 0
    REQUIREMENTS = 2
    ENTITLEMENTS = 5
    DER_ENTITLEMENTS = 7
    LAST_SPECIAL = 11
    ALTERNATE_CODE_DIRECTORIES = 0x1000  # for systems with another hash
    ALTERNATE_CODE_DIRECTORIES_END = 0x1005
    CMS_SIGNATURE = 0x10000


class SignatureFlag(IntFlag):
    """Flags of a code directory."""

    ADHOC = 0x2  # hashes only, without a certificate
    LINKER_SIGNED = 0x20000


class _Hash(NamedTuple):
    """A hash function, and the stored size of its result."""

    name: str
    size: int


_HASHES: Final = {1: _Hash("sha1", 20), 2: _Hash("sha256", 32), 3: _Hash("sha256", 20), 4: _Hash("sha384", 48)}
# Blobs in the file itself, whose hash without the blob is an error. The others are elsewhere in a bundle.
_EMBEDDED_SLOTS: Final = frozenset({Slot.REQUIREMENTS, Slot.ENTITLEMENTS, Slot.DER_ENTITLEMENTS})


class _SignatureRecord(ImageRecord):
    """A record of a signature: big-endian, with names in camel case."""

    __slots__ = ()
    BYTE_ORDER = ">"

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in the specification."""
        first, *others = name.lower().split("_")
        return first + "".join(part.capitalize() for part in others)

    @classmethod
    def error(cls, message: str, name: str, at: int) -> ImageFormatError:
        """Return the error of the field NAME of the record at offset AT of the file."""
        return _damaged(message, at + cls.OFFSETS[name], cls.field_name(name))


@dataclass(frozen=True, slots=True)
class _SuperBlob(_SignatureRecord):
    """The head of a signature; entries of its index follow."""

    NAME: ClassVar = "length"

    MAGIC: ClassVar[U32] = 0xFADE0CC0
    length: U32
    count: U32


@dataclass(frozen=True, slots=True)
class _BlobIndex(_SignatureRecord):
    """The type of a blob, and its offset in the signature."""

    NAME: ClassVar = "count"

    type: U32
    offset: U32


@dataclass(frozen=True, slots=True)
class _BlobHead(_SignatureRecord):
    """The first fields of every blob."""

    NAME: ClassVar = "length"

    magic: U32
    length: U32


@dataclass(frozen=True, slots=True)
class CodeDirectory(_SignatureRecord):
    """The fields of a code directory that every version has: hashes, and the ranges that they cover."""

    NAME: ClassVar = "length"

    MAGIC: ClassVar[U32] = 0xFADE0C02
    length: U32
    version: U32
    flags: U32
    hash_offset: U32  # of the first code slot; the special slots precede it, in reverse order
    ident_offset: U32
    n_special_slots: U32
    n_code_slots: U32
    code_limit: U32  # the end of the range that the code slots cover
    hash_size: U8
    hash_type: U8
    platform: U8
    page_size: U8  # as a power of two
    spare2: U32


@dataclass(frozen=True, slots=True)
class _LaterCodeDirectory(CodeDirectory):
    """A code directory with the fields of later versions; 0 in earlier ones."""

    scatter_offset: U32
    team_offset: U32
    spare3: U32
    code_limit_64: U64


class Blob(NamedTuple):
    """A part of a signature."""

    offset: int  # in the file
    data: bytes


@dataclass(frozen=True, slots=True)
class CodeSignature:
    """A signature with valid hashes."""

    identifier: str
    directories: tuple[CodeDirectory, ...]
    blobs: dict[int, Blob]  # by their slots

    @property
    def is_adhoc(self) -> bool:
        """Return whether it has hashes only, as linkers make them, and no certificate."""
        return bool(self.directories[0].flags & SignatureFlag.ADHOC)


def check_code_signature(data: bytes | memoryview, macho: Macho) -> CodeSignature:
    """Recompute each hash in the signature of the program MACHO, whose bytes are DATA, and return the signature.

    Raises:
        UnsignedImageError: there is no signature.
        ImageFormatError: the signature is damaged, or the program was changed after it was signed.
    """
    place = macho.code_signature
    if place is None:
        raise UnsignedImageError
    blobs = _read_blobs(bytes(data[place.dataoff : place.file_end]), place.dataoff)
    found = [blob for slot, blob in sorted(blobs.items()) if _is_code_directory(slot)]
    if Slot.CODE_DIRECTORY not in blobs:
        raise _SuperBlob.error("there is no code directory", "count", place.dataoff)
    directories = tuple(_read_directory(blob) for blob in found)
    for blob, directory in zip(found, directories, strict=True):
        _check_directory(blob, directory, macho.page_size)
        _check_pages(blob, directory, data, place.dataoff)
        _check_special_slots(blob, directory, blobs)
    cms = blobs.get(Slot.CMS_SIGNATURE)
    if not directories[0].flags & SignatureFlag.ADHOC and (cms is None or len(cms.data) <= _BlobHead.SIZE):
        raise CodeDirectory.error("neither ad-hoc nor signed with a certificate", "flags", found[0].offset)
    return CodeSignature(_identifier(found[0], directories[0]), directories, blobs)


def _is_code_directory(slot: int) -> bool:
    return slot == Slot.CODE_DIRECTORY or Slot.ALTERNATE_CODE_DIRECTORIES <= slot < Slot.ALTERNATE_CODE_DIRECTORIES_END


def _read_blobs(signature: bytes, base: int) -> dict[int, Blob]:
    """Return the blobs of the SuperBlob at offset BASE of the file, by their slots."""
    if len(signature) < _SuperBlob.SIZE:
        raise _SuperBlob.error(f"{len(signature)} bytes are no signature", "MAGIC", base)
    head = _SuperBlob.unpack(Cursor(signature, base, _damaged))
    if not head.SIZE <= head.length <= len(signature):
        raise head.error(f"got {head.length}, expected {head.SIZE} to {len(signature)}", "length", base)
    most = min(_BLOBS_MAX, (head.length - head.SIZE) // _BlobIndex.SIZE)
    if head.count > most:
        raise head.error(f"got {head.count}, in {head.length} bytes at most {most}", "count", base)
    blobs: dict[int, Blob] = {}
    for at in range(head.SIZE, head.SIZE + _BlobIndex.SIZE * head.count, _BlobIndex.SIZE):
        entry = _BlobIndex.unpack(Cursor(signature[at:], base + at, _damaged))
        if entry.type in blobs:
            raise entry.error(f"a second blob of the type {entry.type:#x}", "type", base + at)
        end = head.length
        if entry.offset + _BlobHead.SIZE > end:
            raise entry.error(f"got {entry.offset:#x}, the signature ends at {end:#x}", "offset", base + at)
        size = _BlobHead.unpack(Cursor(signature[entry.offset :], base + entry.offset, _damaged)).length
        if not _BlobHead.SIZE <= size <= end - entry.offset:
            reason = f"got {size}, expected {_BlobHead.SIZE} to {end - entry.offset}"
            raise _BlobHead.error(reason, "length", base + entry.offset)
        blobs[entry.type] = Blob(base + entry.offset, signature[entry.offset : entry.offset + size])
    return blobs


def _read_directory(blob: Blob) -> CodeDirectory:
    if len(blob.data) < CodeDirectory.SIZE:
        reason = f"got {len(blob.data)}, expected {CodeDirectory.SIZE} at least"
        raise CodeDirectory.error(reason, "length", blob.offset)
    return CodeDirectory.unpack(Cursor(blob.data, blob.offset, _damaged))


def _check_directory(blob: Blob, directory: CodeDirectory, page_size: int) -> None:
    """Make the checks of the kernel that precede those of the hashes."""
    at = blob.offset
    if directory.hash_type not in _HASHES:
        raise directory.error(f"got {directory.hash_type}, expected 1 to 4", "hash_type", at)
    size = _HASHES[directory.hash_type].size
    if directory.hash_size != size:
        raise directory.error(f"got {directory.hash_size}, expected {size}", "hash_size", at)
    most = page_size.bit_length() - 1
    if not _PAGE_SIZE_LOG_MIN <= directory.page_size <= most:
        raise directory.error(f"got {directory.page_size}, expected {_PAGE_SIZE_LOG_MIN} to {most}", "page_size", at)
    if directory.hash_offset < CodeDirectory.SIZE + directory.n_special_slots * size:
        raise directory.error(f"{directory.n_special_slots} hashes do not fit in front", "n_special_slots", at)
    if directory.hash_offset + directory.n_code_slots * size > len(blob.data):
        raise directory.error(f"{directory.n_code_slots} hashes end behind the code directory", "n_code_slots", at)
    later = _later_fields(blob, directory)
    if later.scatter_offset:
        raise later.error("pages in another order are not supported", "scatter_offset", at)
    _identifier(blob, directory)
    if later.team_offset and b"\0" not in blob.data[later.team_offset :]:
        raise later.error(f"got {later.team_offset:#x}, where no text ends", "team_offset", at)


def _later_fields(blob: Blob, directory: CodeDirectory) -> _LaterCodeDirectory:
    """Return the code directory with the fields of later versions, 0 in those that its version lacks."""
    end = max([CodeDirectory.SIZE, *(end for _, version, end in _LATER_FIELDS if directory.version >= version)])
    if end > len(blob.data):
        reason = f"got {len(blob.data)}, too few for version {directory.version:#x}"
        raise directory.error(reason, "length", blob.offset)
    fields = blob.data[:end].ljust(_LaterCodeDirectory.SIZE, b"\0")
    return _LaterCodeDirectory.unpack(Cursor(fields, blob.offset, _damaged))


def _identifier(blob: Blob, directory: CodeDirectory) -> str:
    if not directory.ident_offset:
        return ""
    end = blob.data.find(b"\0", directory.ident_offset)
    if end < 0:
        raise directory.error(f"got {directory.ident_offset:#x}, where no text ends", "ident_offset", blob.offset)
    return blob.data[directory.ident_offset : end].decode(errors="replace")


def _check_pages(blob: Blob, directory: CodeDirectory, data: bytes | memoryview, limit: int) -> None:
    code_limit = _later_fields(blob, directory).code_limit_64 or directory.code_limit
    if code_limit != limit:
        raise directory.error(f"got {code_limit:#x}, the signature begins at {limit:#x}", "code_limit", blob.offset)
    page_size = 1 << directory.page_size
    pages = -(-limit // page_size)
    if directory.n_code_slots != pages:
        raise directory.error(f"got {directory.n_code_slots}, expected {pages}", "n_code_slots", blob.offset)
    view = memoryview(data)
    for index, start in enumerate(range(0, limit, page_size)):
        slot = directory.hash_offset + index * directory.hash_size
        if blob.data[slot : slot + directory.hash_size] != _hash(
            directory, view[start : min(start + page_size, limit)]
        ):
            raise _damaged(
                f"not the hash of the page at {start:#x}: the program was changed after it was signed",
                blob.offset + slot,
                f"code slot {index}",
            )


def _check_special_slots(blob: Blob, directory: CodeDirectory, blobs: dict[int, Blob]) -> None:
    for slot in range(1, max(directory.n_special_slots, Slot.LAST_SPECIAL) + 1):
        part = blobs.get(slot)
        at = directory.hash_offset - slot * directory.hash_size
        if slot > directory.n_special_slots:
            if part is not None:
                raise directory.error(f"the blob of the type {slot} has no hash", "n_special_slots", blob.offset)
            continue
        stored = blob.data[at : at + directory.hash_size]
        if part is None:
            if slot in _EMBEDDED_SLOTS and any(stored):
                raise _damaged("the hash of a blob that is missing", blob.offset + at, f"special slot {slot}")
        elif stored != _hash(directory, part.data):
            raise _damaged("not the hash of the blob of this type", blob.offset + at, f"special slot {slot}")


def _hash(directory: CodeDirectory, data: bytes | memoryview) -> bytes:
    function = _HASHES[directory.hash_type]
    return hashlib.new(function.name, data, usedforsecurity=False).digest()[: function.size]


def _damaged(reason: str, offset: int, field: str) -> ImageFormatError:
    return image_damaged(f"{reason}, in the code signature", offset, field)
