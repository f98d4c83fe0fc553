from __future__ import annotations

import importlib.resources
import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from apepack.errors import ManifestError
from apepack.provenance.json_object import SIZE_MAX, canonical_json
from apepack.provenance.manifest import (
    BaseModel,
    Engine,
    ImageDigest,
    Manifest,
    MemberDigest,
    ModelFacts,
    Origin,
    Source,
    Toolchain,
)

SCHEMA = json.loads(importlib.resources.files("apepack.provenance").joinpath("manifest.schema.json").read_text())

FULL = Manifest(
    programs=(ImageDigest("linux-amd64", "1" * 64, 12),),
    loaders=(ImageDigest("linux-amd64", "2" * 64, 6912),),
    members=(MemberDigest("wörter.gguf", "3" * 64, 1 << 40, "0000beef"),),
    models=(
        ModelFacts(
            "wörter.gguf",
            type="model",
            name="Wörter",
            architecture="llama",
            quantization="Q4_K_M",
            license="apache-2.0",
            base_models=(BaseModel("Base", "Org", "1", "https://example.org"), BaseModel()),
            parameters=0,
            source=Source("me/words", "main", "sub/words.gguf"),
        ),
        ModelFacts("bare.gguf", source=Source("me/bare", "1")),
    ),
    remainder_sha256="4" * 64,
    origin=Origin(Engine("e", "1", "5" * 64, "6" * 64), Toolchain("0.1", "7" * 64, {"zig": "1", "cmake": "2"})),
)
EMPTY = Manifest((), (), (), (), "0" * 64)


@pytest.mark.parametrize("manifest", [FULL, EMPTY], ids=["full", "empty"])
def test_round_trip(manifest: Manifest) -> None:
    data = manifest.pack()
    assert Manifest.unpack(data) == manifest
    assert data.endswith(b"}\n")
    jsonschema.validate(json.loads(data), SCHEMA)


def test_equal_contents_give_equal_bytes() -> None:
    assert FULL.origin.toolchain
    swapped = replace(FULL.origin.toolchain, tools={"cmake": "2", "zig": "1"})
    assert replace(FULL, origin=replace(FULL.origin, toolchain=swapped)).pack() == FULL.pack()
    assert FULL.sha256 != EMPTY.sha256


def test_what_is_not_known_is_absent() -> None:
    content = json.loads(EMPTY.pack())
    assert sorted(content) == ["loaders", "members", "models", "programs", "remainder_sha256", "version"]
    assert json.loads(FULL.pack())["models"][1] == {
        "member": "bare.gguf",
        "base_models": [],
        "source": {"repo": "me/bare", "revision": "1"},
    }


def changed(**fields: Any) -> bytes:
    return canonical_json(json.loads(FULL.pack()) | fields)


@pytest.mark.parametrize(
    ("data", "field", "word"),
    [
        (b"", None, "not JSON"),
        (b"{", None, "not JSON"),
        (b"\xff", None, "not JSON"),
        (b"[" * 100_000, None, "not JSON"),
        (b'{\n "version": "\\ud800"\n}\n', None, "not JSON"),
        (b"[]\n", None, "not a JSON object"),
        (FULL.pack()[:-1], None, "canonical form"),
        (json.dumps(json.loads(FULL.pack())).encode(), None, "canonical form"),
        (bytes(SIZE_MAX + 1), None, "bytes"),
        (changed(version=2), "version", "a newer apepack"),
        (changed(version=True), "version", "True"),
        (changed(version=-1), "version", "0 or more"),
        (changed(remainder_sha256="4" * 63), "remainder_sha256", "64 hexadecimal digits"),
        (changed(remainder_sha256="G" * 64), "remainder_sha256", "64 hexadecimal digits"),
        (changed(programs={}), "programs", "a list"),
        (changed(programs=[1]), "programs[0]", "not a JSON object"),
        (changed(members=[{"name": "x"}]), "members[0].sha256", "absent"),
        (changed(models=[{"member": "x", "base_models": [{"name": 1}]}]), "models[0].base_models[0].name", "a text"),
        (changed(engine=None), "engine", "not a JSON object"),
        (changed(toolchain={"version": "1", "revision": "7" * 64}), "toolchain.tools", "not a JSON object"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)
def test_damage(data: bytes, field: str | None, word: str) -> None:
    with pytest.raises(ManifestError, match=word.replace("(", r"\(")) as caught:
        Manifest.unpack(data)
    assert caught.value.field == field


def test_keys_of_later_releases_are_ignored() -> None:
    assert Manifest.unpack(changed(later={"key": 1})) == FULL
