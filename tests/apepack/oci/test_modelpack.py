"""ModelPack artifacts: the weights as they are, with the names of the specification.

https://github.com/modelpack/model-spec
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from apepack.oci.modelpack import model_config
from apepack.provenance.manifest import ModelFacts, Source
from tests.apepack.oci.images import image, packed, read_layout
from tests.apepack.oci.specification import Model, OCIImageManifest, const
from tests.apepack.upgrade.llamafiles import model
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["model", "model.tar"])
def test_the_artifact(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path)
    add_files(path, [Member("sub/mmproj.gguf", b"GGUFmmproj")])
    before = image(path, tmp_path / "alone", tag="cat")

    made = image(path, tmp_path / "out", tmp_path / name, tag="cat")
    layout = read_layout(tmp_path / name)

    assert made.digest == before.digest
    (entry,) = layout.index["manifests"]
    assert (entry["digest"], entry["artifactType"]) == (made.modelpack, const.ARTIFACTTYPEMODELMANIFEST)
    manifest = layout.root()
    OCIImageManifest.model_validate(manifest)
    assert manifest["artifactType"] == const.ARTIFACTTYPEMODELMANIFEST
    assert manifest["config"]["mediaType"] == const.MEDIATYPEMODELCONFIG
    contents = {"tiny.gguf": model(tmp_path).read_bytes(), "sub/mmproj.gguf": b"GGUFmmproj"}
    assert [layer["annotations"]["org.cncf.model.filepath"] for layer in manifest["layers"]] == list(contents)
    for layer, content in zip(manifest["layers"], contents.values(), strict=True):
        assert layer["mediaType"] == const.MEDIATYPEMODELWEIGHTRAW
        assert layer["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert layout.blobs[layer["digest"]] == content
    config = layout.json(manifest["config"])
    Model.model_validate(config)
    assert config["modelfs"] == {"type": "layers", "diffIds": [layer["digest"] for layer in manifest["layers"]]}
    assert config["config"]["format"] == "gguf"
    assert not {"org.opencontainers.image.version", "created"} & set(manifest["annotations"])


def test_a_configuration_with_all_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    model = ModelFacts(
        "m.gguf",
        name="Cat",
        architecture="llama",
        quantization="Q4_K_M",
        license="mit",
        parameters=6_738_415_616,
        source=Source("me/cat", "5ca1ab1e"),
    )

    found = json.loads(model_config(model, ["sha256:1"]))

    Model.model_validate(found)
    assert found == {
        "descriptor": {
            "createdAt": "1970-01-01T00:00:00Z",
            "name": "Cat",
            "revision": "5ca1ab1e",
            "sourceURL": "https://huggingface.co/me/cat",
            "licenses": ["mit"],
        },
        "config": {"architecture": "llama", "format": "gguf", "paramSize": "6.7B", "quantization": "Q4_K_M"},
        "modelfs": {"type": "layers", "diffIds": ["sha256:1"]},
    }


@pytest.mark.parametrize(
    ("parameters", "size"),
    [(999, "999"), (1000, "1K"), (134_515_008, "134.5M"), (8_000_000_000, "8B"), (1_000_000_000_000, "1T"), (0, None)],
)
def test_sizes(parameters: int, size: str | None) -> None:
    found = json.loads(model_config(ModelFacts("m", parameters=parameters), []))

    assert found["config"].get("paramSize") == size
