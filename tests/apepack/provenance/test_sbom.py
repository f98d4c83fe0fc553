from __future__ import annotations

import hashlib
import json
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from apepack.errors import MissingPackageError, SbomError
from apepack.provenance.description import read_manifest, renew_manifest
from apepack.provenance.libraries import read_libraries
from apepack.provenance.sbom import bill_of_materials, store_bill_of_materials
from apepack.provenance.verification import verify
from tests.apepack.provenance.test_signature import sign_with_new_key
from tests.builders.gguf import TinyModel
from tests.builders.llamafile import PLATFORMS
from zipalign import Member, add_files, read_archive, remove_entries

if TYPE_CHECKING:
    from pathlib import Path


def components(path: Path) -> dict[str, Any]:
    content = json.loads(bill_of_materials(path))
    return {component["bom-ref"]: component for component in content["components"]}


def test_it_validates(packed: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with warnings.catch_warnings():  # of the validator's own dependencies
        warnings.simplefilter("ignore", DeprecationWarning)
        assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(bill_of_materials(packed).decode()) is None


def test_it_lists_all_parts_with_the_digests_of_the_manifest(packed: Path) -> None:
    found = components(packed)
    manifest = read_manifest(packed)
    assert manifest is not None
    for program in manifest.programs:
        component = found[f"program:{program.platform}"]
        assert (component["type"], component["version"]) == ("application", "0.1.0")
        assert component["hashes"] == [{"alg": "SHA-256", "content": program.sha256}]
    assert found["model:tiny.gguf"]["type"] == "machine-learning-model"
    assert found["model:tiny.gguf"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert found["model:tiny.gguf"]["externalReferences"][0]["url"] == "https://example.org/base"
    properties = {item["name"]: item["value"] for item in found["model:tiny.gguf"]["properties"]}
    assert (properties["llamafile:quantization"], properties["llamafile:source"]) == ("Q4_K_M", "me/tiny@0123abc")
    assert found["file:.args"]["type"] == "file"
    assert found["library:engine"]["externalReferences"][0]["hashes"][0]["content"] == "a" * 64
    assert found["library:zstd"]["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert len(found) == len(PLATFORMS) + len(("model", ".args", "NOTICES", "engine", "llama.cpp and ggml", "zstd"))


def test_each_of_several_models_is_listed(target: Path, tmp_path: Path) -> None:
    more = TinyModel().write(tmp_path / "more.gguf")
    add_files(target, [Member("more.gguf", more)])
    renew_manifest(target)
    found = components(target)
    assert {name for name, part in found.items() if part["type"] == "machine-learning-model"} == {
        "model:tiny.gguf",
        "model:more.gguf",
    }
    digest = hashlib.sha256(more.read_bytes()).hexdigest()
    assert found["model:more.gguf"]["hashes"] == [{"alg": "SHA-256", "content": digest}]


def test_programs_depend_on_libraries(packed: Path) -> None:
    content = json.loads(bill_of_materials(packed))
    depends = {item["ref"]: item.get("dependsOn", []) for item in content["dependencies"]}
    assert set(depends["llamafile"]) >= {"program:linux-amd64", "model:tiny.gguf"}
    assert "library:engine" in depends["program:macos-arm64"]


def test_it_is_the_same_at_any_time(packed: Path) -> None:
    content = bill_of_materials(packed)
    assert content == bill_of_materials(packed)
    assert "timestamp" not in json.loads(content)["metadata"]


def test_as_a_member_it_is_the_same(target: Path) -> None:
    content = bill_of_materials(target)
    assert store_bill_of_materials(target) == content
    entry = read_archive(target).entry("sbom.cdx.json")
    assert entry is not None
    assert target.read_bytes()[entry.data_offset : entry.data_end] == content
    assert verify(target).findings == ()
    assert store_bill_of_materials(target) == content


def test_another_file_has_another_serial_number(packed: Path, target: Path) -> None:
    add_files(target, [Member("note.txt", b"mine")])
    renew_manifest(target)
    numbers = {json.loads(bill_of_materials(path))["serialNumber"] for path in (packed, target)}
    assert len(numbers) == 2


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "inside"])
def test_a_signed_file_is_not_changed(target: Path, *, embed: bool) -> None:
    sign_with_new_key(target, embed=embed)
    before = target.read_bytes()
    with pytest.raises(SbomError, match="is signed"):
        store_bill_of_materials(target)
    assert target.read_bytes() == before


def test_without_a_manifest_there_is_none(target: Path) -> None:
    remove_entries(target, ["manifest.json"])
    with pytest.raises(SbomError, match="no manifest"):
        bill_of_materials(target)


def test_packages_of_the_page(target: Path) -> None:
    line = "=" * 78
    text = f"{line}\nd3 7.9.0, @scope/name 1.2.3-rc.1\n{line}\n\nMIT\n\n{line}\nA sentence of a licence:\n{line}\n"
    add_files(target, [Member("pages/NOTICES.txt", text.encode())])
    found = {library.name: library.version for library in read_libraries(target) if library.is_npm}
    assert found == {"d3": "7.9.0", "@scope/name": "1.2.3-rc.1"}
    assert components(target)["library:@scope/name@1.2.3-rc.1"]["purl"] == "pkg:npm/%40scope/name@1.2.3-rc.1"


def test_a_missing_library_says_how_to_get_it(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cyclonedx", None)
    with pytest.raises(MissingPackageError, match=r"llamafile-toolchain\[sbom\]"):
        bill_of_materials(packed)
