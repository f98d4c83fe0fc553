"""The code signature: hashes that are recomputed, and each way in which a signature can lie."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import pytest

from runtime.image.code_signature import CodeDirectory, SignatureFlag, Slot, check_code_signature
from runtime.image.errors import ImageFormatError, UnsignedImageError
from runtime.image.macho import read_macho
from tests.builders.macho import (
    AMD64,
    ARM64,
    COMMANDS,
    code_directory,
    macho_program,
    signature_at,
    signed,
    super_blob,
    with_command,
    with_header,
    with_signature_bytes,
)
from zipalign.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable

REQUIREMENTS = struct.pack(">III", 0xFADE0C01, 12, 0)
ENTITLEMENTS = struct.pack(">II", 0xFADE7171, 16) + b"<plist/>"
CMS = struct.pack(">II", 0xFADE0B01, 16) + b"whatever"
SPECIAL = {2: REQUIREMENTS, 5: ENTITLEMENTS}
DIRECTORY = 12 + 3 * 8  # where the code directory begins in the signature of SPECIAL


def program(**options: int) -> bytes:
    return signed(macho_program(), others=SPECIAL, **options)


def directory_field(offset: int, kind: str, value: int) -> Callable[[bytes], bytes]:
    return lambda image: with_signature_bytes(image, DIRECTORY + offset, kind, value)


def directory_fields(*fields: tuple[int, int]) -> Callable[[bytes], bytes]:
    def change(image: bytes) -> bytes:
        for offset, value in fields:
            image = with_signature_bytes(image, DIRECTORY + offset, "I", value)
        return image

    return change


def changed(at: int) -> Callable[[bytes], bytes]:
    """A byte of the program is another."""
    return lambda image: image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]


# What is wrong, how it is made, which field the error names.
DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a page of the code": (changed(0x1000), "code slot 1"),
    "a page of the header": (lambda image: with_header(image, flags=0x200084), "code slot 0"),
    "the last byte of the last page": (lambda image: changed(signature_at(image) - 1)(image), "code slot 8"),
    "magic": (lambda image: with_signature_bytes(image, 0, "I", 0xFADE0CC1), "magic"),
    "length past the end": (lambda image: with_signature_bytes(image, 4, "I", 1 << 20), "length"),
    "length of nothing": (lambda image: with_signature_bytes(image, 4, "I", 8), "length"),
    "more blobs than fit": (lambda image: with_signature_bytes(image, 8, "I", 1 << 28), "count"),
    "more blobs than there are types": (lambda image: with_signature_bytes(image, 8, "I", 65), "count"),
    "no blobs": (lambda image: with_signature_bytes(image, 8, "I", 0), "count"),
    "no code directory": (lambda image: with_signature_bytes(image, 12, "I", 1), "count"),
    "two blobs of a type": (lambda image: with_signature_bytes(image, 20, "I", 0), "type"),
    "blob past the end": (lambda image: with_signature_bytes(image, 16, "I", 1 << 31), "offset"),
    "blob too long": (directory_field(4, "I", 1 << 31), "length"),
    "blob too short": (directory_field(4, "I", 7), "length"),
    "code directory too short": (directory_field(4, "I", 43), "length"),
    "code directory's magic": (directory_field(0, "I", 0xFADE0C03), "magic"),
    "code directory too short for its version": (
        directory_fields((4, 44), (16, 44), (20, 0), (24, 0), (28, 0)), "length",
    ),
    "hashType": (directory_field(37, "B", 9), "hashType"),
    "hashSize": (directory_field(36, "B", 20), "hashSize"),
    "pageSize of no page": (directory_field(39, "B", 0), "pageSize"),
    "pageSize above the machine's": (directory_field(39, "B", 15), "pageSize"),
    "special slots do not fit": (directory_field(24, "I", 7), "nSpecialSlots"),
    "special slots in the billions": (directory_field(24, "I", 0xFFFFFFFF), "nSpecialSlots"),
    "code slots do not fit": (directory_field(28, "I", 10), "nCodeSlots"),
    "too few code slots": (directory_field(28, "I", 8), "nCodeSlots"),
    "scattered pages": (directory_field(44, "I", 100), "scatterOffset"),
    "identifier past the end": (directory_field(20, "I", 1 << 20), "identOffset"),
    "team past the end": (directory_field(48, "I", 1 << 20), "teamOffset"),
    "codeLimit": (directory_field(32, "I", 0x1000), "codeLimit"),
    "codeLimit64": (directory_field(56, "Q", 1 << 40), "codeLimit"),
    "not ad hoc": (directory_field(12, "I", 0), "flags"),
    "a blob that is not hashed": (directory_field(24, "I", 4), "nSpecialSlots"),
    "a blob that is missing": (lambda image: with_signature_bytes(image, 28, "I", 0x20000), "special slot 5"),
    "a blob that was changed": (lambda image: changed(len(image) - 1)(image), "special slot 5"),
}  # fmt: skip  # one row, one line


@pytest.mark.parametrize(("change", "field"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_named(change: Callable[[bytes], bytes], field: str) -> None:
    image = change(program())
    with pytest.raises(ImageFormatError, match="in the code signature") as caught:
        check_code_signature(image, read_macho(image))

    assert caught.value.field == field
    assert signature_at(image) <= caught.value.offset < len(image)


def test_no_signature_is_not_a_damaged_one() -> None:
    image = macho_program()

    with pytest.raises(UnsignedImageError, match="no code signature"):
        check_code_signature(image, read_macho(image))
    assert not issubclass(UnsignedImageError, ImageFormatError)


@pytest.mark.parametrize(("machine", "page_size"), [(ARM64, 12), (ARM64, 14), (AMD64, 12)])
def test_what_was_signed_is_accepted(machine: int, page_size: int) -> None:
    image = signed(macho_program(machine), page_size=page_size)
    signature = check_code_signature(memoryview(image), read_macho(image))

    (directory,) = signature.directories
    assert signature.identifier == "program"
    assert signature.is_adhoc
    assert (directory.page_size, directory.n_code_slots) == (page_size, -(-signature_at(image) // (1 << page_size)))


def test_intel_machines_have_no_pages_of_16_kib() -> None:
    image = signed(macho_program(AMD64), page_size=14)

    with pytest.raises(ImageFormatError, match="expected 12 to 12"):
        check_code_signature(image, read_macho(image))


def test_what_else_was_signed_is_given_back() -> None:
    image = program()
    signature = check_code_signature(image, read_macho(image))

    assert signature.blobs[Slot.REQUIREMENTS].data == REQUIREMENTS
    assert signature.blobs[Slot.ENTITLEMENTS].data == ENTITLEMENTS
    assert image[signature.blobs[Slot.ENTITLEMENTS].offset :] == ENTITLEMENTS


def test_less_than_a_signature() -> None:
    image = signed(macho_program())
    at = signature_at(image)
    short = with_command(with_command(image, 0x238, datasize=8), COMMANDS["__LINKEDIT"], filesize=at + 8 - 0x8000)

    with pytest.raises(ImageFormatError, match="8 bytes are no signature"):
        check_code_signature(short, read_macho(short))


def test_a_program_may_have_no_identifier() -> None:
    image = directory_field(20, "I", 0)(program())

    assert check_code_signature(image, read_macho(image)).identifier == ""


def test_hashes_of_files_elsewhere_are_not_asked_for() -> None:
    image = program()
    info_plist = signature_at(image) + DIRECTORY + 88 + 8 + 4 * 32
    image = image[:info_plist] + b"\x11" * 32 + image[info_plist + 32 :]

    assert check_code_signature(image, read_macho(image)).is_adhoc


def test_a_certificate_is_as_good_as_an_ad_hoc_signature() -> None:
    image = signed(macho_program(), others={Slot.CMS_SIGNATURE: CMS}, flags=0)
    signature = check_code_signature(image, read_macho(image))

    assert not signature.is_adhoc
    assert signature.blobs[Slot.CMS_SIGNATURE].data == CMS


def test_code_directories_for_other_systems_are_checked_too() -> None:
    def sha1_directory(covered: bytes) -> bytes:
        pages = [
            hashlib.sha1(covered[at : at + 4096], usedforsecurity=False).digest() for at in range(0, len(covered), 4096)
        ]
        length = 46 + 20 * len(pages)
        return CodeDirectory(
            length, 0x20001, SignatureFlag.ADHOC, 46, 44, 0, len(pages), len(covered), 20, 1, 0, 12, 0
        ).pack() + b"p\0" + b"".join(pages)  # fmt: skip  # the fields in their order

    size = len(sha1_directory(bytes(len(macho_program()))))
    image = signed(macho_program(), others={Slot.ALTERNATE_CODE_DIRECTORIES: bytes(size)})
    covered = image[: signature_at(image)]
    whole = covered + super_blob({0: code_directory(covered), 0x1000: sha1_directory(covered)})

    assert [one.hash_type for one in check_code_signature(whole, read_macho(whole)).directories] == [2, 1]
    with pytest.raises(ImageFormatError, match="code slot 8"):
        check_code_signature(whole[:-1] + b"?", read_macho(whole))


def test_the_code_directory_has_the_size_of_the_specification() -> None:
    image = program()
    at = signature_at(image) + DIRECTORY

    assert CodeDirectory.STRUCT.size == CodeDirectory.SIZE == 44
    assert CodeDirectory.unpack(Cursor(image[at:])).pack() == image[at : at + 44]
