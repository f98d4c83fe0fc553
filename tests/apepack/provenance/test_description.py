from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

from apepack.errors import InputError, ManifestError
from apepack.packing.pack import PackInputs, pack
from apepack.provenance import description
from apepack.provenance.description import describe, read_manifest, renew_manifest
from apepack.provenance.digests import member_sha256
from apepack.provenance.manifest import BaseModel, Manifest, ModelFacts, Origin, Source
from apepack.provenance.origin import origin_of_builds
from apepack.provenance.verification import verify
from runtime.builder.loaders import loader_bytes
from runtime.platforms import platform_named
from tests.apepack.provenance.test_manifest import SCHEMA
from tests.builders.ape import small_program
from tests.builders.genuine import ERAS, genuine_ape
from tests.builders.gguf import TinyModel
from tests.builders.llamafile import PLATFORMS, RECORD, small_runtime
from zipalign import Member, add_files, read_archive, remove_entries
from zipalign.errors import ZipFormatError

if TYPE_CHECKING:
    from pathlib import Path

    from apepack.provenance.digests import Progress
    from zipalign import Entry


def manifest_of(path: Path) -> Manifest:
    manifest = read_manifest(path)
    assert manifest is not None
    return manifest


def test_it_says_what_is_in_the_file(packed: Path) -> None:
    manifest = manifest_of(packed)
    data = packed.read_bytes()
    jsonschema.validate(json.loads(manifest.pack()), SCHEMA)
    assert [program.platform for program in manifest.programs] == list(PLATFORMS)
    assert [loader.platform for loader in manifest.loaders] == ["linux-amd64", "linux-arm64"]
    assert [member.name for member in manifest.members] == ["NOTICES", "tiny.gguf", ".args"]
    tiny = read_archive(packed).entry("tiny.gguf")
    assert tiny is not None
    assert manifest.members[1].sha256 == hashlib.sha256(data[tiny.data_offset : tiny.data_end]).hexdigest()
    assert manifest.members[1].crc32 == f"{tiny.crc:08x}"


def test_programs_and_loaders_are_those_that_were_linked(packed: Path) -> None:
    """Compressed ones are as their linker wrote them; others have other offsets in their headers."""
    manifest = manifest_of(packed)
    by_platform = {program.platform: program for program in manifest.programs}
    for name in ("macos-arm64", "freebsd-amd64"):
        assert by_platform[name].sha256 == hashlib.sha256(small_program(name)).hexdigest()
    assert by_platform["windows-amd64"].size == len(small_program("windows-amd64"))
    loader = loader_bytes(platform_named("linux-arm64"))
    padded = loader.ljust(-(-len(loader) // 64) * 64, b"\0")
    assert manifest.loaders[1].sha256 == hashlib.sha256(padded).hexdigest()


def test_facts_of_the_model(packed: Path) -> None:
    assert manifest_of(packed).models == (
        ModelFacts(
            "tiny.gguf",
            name="Tiny",
            architecture="llama",
            quantization="Q4_K_M",
            license="apache-2.0",
            base_models=(BaseModel("Base", repo_url="https://example.org/base"),),
            parameters=32,
            source=Source("me/tiny", "0123abc"),
        ),
    )


def test_engine_and_toolchain_are_those_of_the_builds(packed: Path) -> None:
    origin = manifest_of(packed).origin
    assert origin.engine
    assert origin.toolchain
    assert (origin.engine.source_sha256, origin.engine.patches_sha256) == ("a" * 64, "b" * 64)
    assert (origin.toolchain.revision, dict(origin.toolchain.tools)) == ("c" * 64, dict(RECORD.tools))


def test_builds_from_different_inputs_have_no_common_origin(tmp_path: Path) -> None:
    small_runtime(tmp_path)
    (tmp_path / "linux-arm64" / "build.json").unlink()
    assert origin_of_builds([tmp_path / name / "llamafile" for name in PLATFORMS]) == Origin()
    assert origin_of_builds([tmp_path / "linux-amd64" / "llamafile"]) != Origin()


def test_a_runtime_has_one_too(tmp_path: Path) -> None:
    runtime = small_runtime(tmp_path)
    manifest = manifest_of(runtime)
    assert [member.name for member in manifest.members] == ["NOTICES"]
    assert verify(runtime).findings == ()


def test_packing_with_a_runtime_keeps_its_origin(tmp_path: Path) -> None:
    runtime = small_runtime(tmp_path)
    model = TinyModel().write(tmp_path / "x.gguf")
    source = Source("me/x", "1", "x.gguf")
    for name, portable in (("one", True), ("two", False)):
        pack(PackInputs(model, source=source), tmp_path / name, runtime=runtime, portable=portable)
        manifest = manifest_of(tmp_path / name)
        assert manifest.origin == manifest_of(runtime).origin
        assert manifest.models[0].source == source
        assert verify(tmp_path / name).findings == ()


def test_a_runtime_whose_manifest_is_of_other_programs_is_refused(tmp_path: Path) -> None:
    runtime = small_runtime(tmp_path)
    data = bytearray(runtime.read_bytes())
    data[0x10000 + 0x400] ^= 1  # in the first program
    runtime.write_bytes(data)
    model = TinyModel().write(tmp_path / "x.gguf")
    with pytest.raises(InputError, match="other programs"):
        pack(PackInputs(model), tmp_path / "out", runtime=runtime)
    assert not (tmp_path / "out").exists()


def test_a_renewal_reads_only_what_is_new(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = manifest_of(target)
    remove_entries(target, [".args"])
    add_files(target, [Member("note.txt", b"mine")])
    read: list[str] = []

    def record(fd: int, entry: Entry, progress: Progress) -> str:
        read.append(entry.name)
        return member_sha256(fd, entry, progress)

    monkeypatch.setattr(description, "member_sha256", record)
    renewed = renew_manifest(target)
    assert read == ["note.txt"]
    assert [member.name for member in renewed.members] == ["NOTICES", "tiny.gguf", "note.txt"]
    assert renewed.members[:2] == old.members[:2]
    assert (renewed.models, renewed.origin) == (old.models, old.origin)
    assert verify(target).findings == ()


def test_another_model_of_the_same_name_loses_the_source(target: Path) -> None:
    content = TinyModel(seed=2).write(target.with_name("tiny.gguf"))
    add_files(target, [Member("tiny.gguf", content)])
    assert renew_manifest(target).models[0].source is None


def test_a_damaged_manifest_is_replaced(target: Path) -> None:
    add_files(target, [Member("manifest.json", b"{}\n")])
    with pytest.raises(ManifestError, match="version is absent"):
        read_manifest(target)
    renew_manifest(target)
    assert verify(target).ok


def test_members_that_contradict_their_crc_get_no_manifest(target: Path) -> None:
    entry = read_archive(target).entry("tiny.gguf")
    assert entry is not None
    remove_entries(target, ["manifest.json"])
    data = bytearray(target.read_bytes())
    data[entry.data_offset + 300] ^= 1
    target.write_bytes(data)
    with pytest.raises(ZipFormatError, match="CRC"):
        renew_manifest(target)


@pytest.mark.parametrize("era", ERAS)
def test_a_genuine_file_gets_one(era: str, tmp_path: Path) -> None:
    path = tmp_path / "old.llamafile"
    path.write_bytes(genuine_ape(era))
    add_files(path, [Member("tiny.gguf", TinyModel().write(tmp_path / "tiny.gguf"))])
    manifest = renew_manifest(path)
    assert manifest.programs[0].platform == "linux-amd64"
    assert manifest.origin == Origin()
    assert verify(path).findings == ()


def test_what_is_no_llamafile(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    with pytest.raises(InputError, match="this is no llamafile"):
        describe(tmp_path / "text")
    assert read_manifest(tmp_path / "text") is None
