"""Labels: what the model and the manifest say, and nothing else."""

from __future__ import annotations

import pytest

from apepack.oci.labels import labels, model_labels
from apepack.provenance.manifest import Engine, Manifest, ModelFacts, Origin, Source, Toolchain
from zipalign.errors import TimestampError

PREFIX = "org.opencontainers.image."
MANIFEST = Manifest((), (), (), (), "", Origin(Engine("llama.cpp", "1", "", ""), Toolchain("7.8", "", {})))


def named(found: dict[str, str]) -> dict[str, str]:
    assert all(name.startswith(PREFIX) for name in found)
    return {name.removeprefix(PREFIX): value for name, value in found.items()}


def test_of_a_model_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)

    found = labels(ModelFacts("m.gguf"), None, fallback="cat")

    assert named(found) == {"title": "cat", "description": "cat, served by llama.cpp"}


def test_of_a_model_that_says_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    source = Source("me/cat", "5ca1ab1e")
    model = ModelFacts("m.gguf", name="Cat\n 7B\x1b", quantization="Q8_0", license="apache-2.0", source=source)

    found = named(labels(model, MANIFEST, fallback="x"))

    assert found == {
        "title": "Cat 7B",
        "description": "Cat 7B (Q8_0), served by llama.cpp",
        "version": "7.8",
        "licenses": "apache-2.0",
        "revision": "5ca1ab1e",
        "source": "https://huggingface.co/me/cat",
        "created": "1970-01-02T00:00:00Z",
    }
    assert set(named(model_labels(model, fallback="x"))) == set(found) - {"description", "version"}


@pytest.mark.parametrize(
    ("licence", "expected"),
    [("mit", "mit"), ("MIT OR Apache-2.0", "MIT OR Apache-2.0"), ("other", None), ("see the file", None), ("", None)],
)
def test_licences_that_are_expressions(licence: str, expected: str | None) -> None:
    assert named(labels(ModelFacts("m", license=licence), None, fallback="x")).get("licenses") == expected


def test_a_source_that_is_no_repository_of_the_hub() -> None:
    model = ModelFacts("m", source=Source("https://example.org/cat.git", "1"))

    assert named(labels(model, None, fallback="x"))["source"] == "https://example.org/cat.git"


@pytest.mark.parametrize("text", ["yesterday", "9" * 30, "-1"])
def test_a_time_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)

    with pytest.raises(TimestampError):
        labels(ModelFacts("m"), None, fallback="x")
