from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from apepack.format.contents import read_loaders, read_programs
from apepack.provenance.description import read_manifest
from apepack.provenance.report import verification_json, verification_lines
from apepack.provenance.verification import Report, verify
from tests.builders.genuine import ERAS, genuine_ape
from tests.builders.gguf import TinyModel
from zipalign import Member, add_files, read_archive, remove_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def faults(report: Report) -> list[str]:
    return [f"{finding.subject}: {finding.message}" for finding in report.findings if finding.is_fault]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def data_offset(path: Path, name: str) -> int:
    entry = read_archive(path).entry(name)
    assert entry is not None
    return entry.data_offset


def test_everything_holds(packed: Path) -> None:
    report = verify(packed)
    assert (report.ok, report.findings, report.manifest) == (True, (), read_manifest(packed))


def regions(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield the name, start and end of all regions of the file, without a byte between them."""
    data = memoryview(path.read_bytes())
    archive = read_archive(path)
    spans = [("program", program.span.offset, program.span.end) for program in read_programs(data)]
    spans += [("loader", loader.span.offset, loader.span.end) for loader in read_loaders(data)]
    spans += [("member", entry.data_offset, entry.data_end) for entry in archive.entries]
    spans += [("header", entry.header_offset, entry.data_offset) for entry in archive.entries]
    spans += [("directory", archive.directory_offset, archive.directory_offset + archive.directory_size)]
    spans += [("script", 0, 4096)]
    end = 0
    for name, start, span_end in sorted(spans, key=lambda span: span[1]):
        if start > end:
            yield "gap", end, start
        yield name, max(start, end), span_end
        end = span_end
    yield "end records", end, len(data)


def chosen_bytes(path: Path) -> list[int]:
    """The first and last bytes of each region, some between, and all of the end records."""
    generator = random.Random(1)
    chosen: set[int] = set()
    for name, start, end in regions(path):
        few = {start, start + 1, end - 2, end - 1} | {generator.randrange(start, end) for _ in range(8)}
        chosen |= set(range(start, end)) if name == "end records" else {at for at in few if start <= at < end}
    return sorted(chosen)


def test_the_regions_are_the_whole_file(packed: Path) -> None:
    found = list(regions(packed))
    assert {name for name, _, _ in found} == {
        "script", "loader", "program", "member", "header", "gap", "directory", "end records",
    }  # fmt: skip  # a set
    assert [start for _, start, _ in found][1:] == [end for _, _, end in found][:-1]


@pytest.mark.slow
@pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed"])
def test_no_byte_can_be_changed(target: Path, *, is_signed: bool) -> None:
    if is_signed:
        from tests.apepack.provenance.test_signature import sign_with_new_key

        sign_with_new_key(target, embed=True)
    data = target.read_bytes()
    accepted = []
    with target.open("r+b", buffering=0) as file:
        for at in chosen_bytes(target):
            os.pwrite(file.fileno(), bytes([data[at] ^ 1 << at % 8]), at)
            accepted += [at] if verify(target).ok else []
            os.pwrite(file.fileno(), data[at : at + 1], at)
    assert verify(target).ok
    assert [hex(at) for at in accepted] == []


@pytest.mark.parametrize("size", [1, 32, 4096])
def test_no_byte_can_be_added_or_cut_off(target: Path, size: int) -> None:
    data = target.read_bytes()
    for changed in (data + bytes(size), data[:-size]):
        target.write_bytes(changed)
        assert not verify(target).ok


def add(path: Path) -> None:
    add_files(path, [Member("note.txt", b"mine")])


def replace_member(path: Path) -> None:
    add_files(path, [Member(".args", b"-m\nother.gguf\n")])


def replace_by_equal(path: Path) -> None:
    add_files(path, [Member(".args", b"-m\ntiny.gguf\n...\n")])


def remove(path: Path) -> None:
    remove_entries(path, ["tiny.gguf"])


def damage_weights(path: Path) -> None:
    entry = read_archive(path).entry("tiny.gguf")
    assert entry is not None
    flip(path, entry.data_end - 1)


def damage_program(path: Path) -> None:
    flip(path, 0x10000 + 0x200)


def damage_stream(path: Path) -> None:
    program = next(program for program in read_programs(memoryview(path.read_bytes())) if program.unpacked)
    flip(path, program.span.end - 20)


def damage_script(path: Path) -> None:
    flip(path, path.read_bytes().index(b"own()"))


def damage_manifest(path: Path) -> None:
    flip(path, data_offset(path, "manifest.json") + 100)


def other_manifest(path: Path) -> None:
    add_files(path, [Member("manifest.json", b'{\n "version": 2\n}\n')])


def no_manifest(path: Path) -> None:
    remove_entries(path, ["manifest.json"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (add, ["member note.txt: it is not in the manifest: apepack add FILE"]),
        (replace_member, ["member .args: it has 14 bytes", "remainder: ", "member .args: it was replaced"]),
        (replace_by_equal, ["remainder: ", "member .args: it was replaced"]),
        (
            remove,
            [
                "member tiny.gguf: the manifest has it",
                "model tiny.gguf: the manifest has it",
                "remainder: ",
                "end of file: ",
            ],
        ),
        (damage_weights, ["member tiny.gguf: its SHA-256 is "]),
        (damage_program, ["program linux-amd64: its SHA-256 is ", "remainder: "]),
        (damage_stream, ["program macos-arm64: the program for macos-arm64 at ", "remainder: "]),
        (damage_script, ["remainder: bytes are changed outside"]),
        (damage_manifest, ["manifest: 'manifest.json': the data has the wrong CRC"]),
        (other_manifest, ["manifest: manifest.json is damaged: its version is 2"]),
        (no_manifest, ["manifest: there is none"]),
        (lambda path: path.write_bytes(b"text"), ["archive: there is none"]),
        (lambda path: path.write_bytes(b"\x7fELF" + path.read_bytes()[4:]), ["programs: this is no llamafile"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_does_not_hold(change: Callable[[Path], None], expected: list[str], target: Path) -> None:
    change(target)
    found = faults(verify(target))
    assert len(found) == len(expected), found
    assert [fault for fault, start in zip(found, expected, strict=True) if not fault.startswith(start)] == []


@pytest.mark.parametrize("era", ERAS)
def test_genuine_files(era: str, tmp_path: Path) -> None:
    """Of those, what is there is told, and the archive is checked."""
    path = tmp_path / "old.llamafile"
    path.write_bytes(genuine_ape(era))
    add_files(path, [Member("tiny.gguf", TinyModel().write(tmp_path / "tiny.gguf"))])
    assert faults(verify(path))[0].startswith("manifest: there is none, so that only the archive was checked")
    report = verify(path, allow_no_manifest=True)
    assert (report.ok, report.manifest) == (True, None)
    assert report.contents
    assert [model.architecture for model in report.contents.models] == ["llama"]
    flip(path, data_offset(path, "tiny.gguf") + 600)
    assert "wrong CRC" in faults(verify(path, allow_no_manifest=True))[0]


def test_lines(packed: Path, target: Path) -> None:
    lines = list(verification_lines(verify(packed)))
    assert lines[0] == f"{packed}: everything holds"
    assert any(line.startswith("  model     tiny.gguf, Tiny, llama, Q4_K_M, licence apache-2.0") for line in lines)
    assert any(
        line.endswith("based on https://example.org/base, from me/tiny@0123abc, SHA-256 " + line[-64:])
        for line in lines
    )
    assert lines[-1] == "  members   3"
    assert len(list(verification_lines(verify(packed), members=True))) == len(lines) + 2
    damage_program(target)
    lines = list(verification_lines(verify(target)))
    assert lines[0] == f"{target}: 2 faults"
    assert lines[1].startswith("  fault: program linux-amd64: its SHA-256 is ")


def test_json(packed: Path) -> None:
    facts = verification_json(verify(packed))
    manifest = read_manifest(packed)
    assert manifest is not None
    assert (facts["ok"], facts["findings"], facts["manifest_sha256"]) == (True, [], manifest.sha256)
    assert facts["manifest"]["models"][0]["source"] == {"repo": "me/tiny", "revision": "0123abc"}


def test_progress_counts_the_bytes(packed: Path) -> None:
    done: list[int] = []
    verify(packed, progress=done.append)
    assert 0 < sum(done) < 2 * packed.stat().st_size
