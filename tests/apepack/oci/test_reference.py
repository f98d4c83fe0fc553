"""Names of images."""

from __future__ import annotations

import pytest

from apepack.errors import ImageNameError
from apepack.oci.reference import Reference


@pytest.mark.parametrize(
    ("text", "shown", "full"),
    [
        ("cat", "cat:latest", "docker.io/library/cat:latest"),
        ("cat:1.0_b-2", "cat:1.0_b-2", "docker.io/library/cat:1.0_b-2"),
        ("me/cat", "me/cat:latest", "docker.io/me/cat:latest"),
        ("ghcr.io/me/cat:7", "ghcr.io/me/cat:7", "ghcr.io/me/cat:7"),
        ("localhost/cat", "localhost/cat:latest", "localhost/cat:latest"),
        ("registry:5000/cat:v1", "registry:5000/cat:v1", "registry:5000/cat:v1"),
        ("registry:5000/cat", "registry:5000/cat:latest", "registry:5000/cat:latest"),
    ],
)
def test_names(text: str, shown: str, full: str) -> None:
    found = Reference.parse(text)

    assert (str(found), found.full) == (shown, full)


@pytest.mark.parametrize(
    "text", ["", "Cat", "cat:", "cat:a b", "-cat", "cat//x", "cat/", "a..b", f"cat:{'t' * 129}", "cat@sha256:12", ":1"]
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ImageNameError) as caught:
        Reference.parse(text)

    assert caught.value.text == text


@pytest.mark.parametrize(
    ("stem", "name"),
    [("SmolLM2-135M.Q4_1", "smollm2-135m-q4-1"), ("ein Käse", "ein-k-se"), ("…", "llamafile"), ("x", "x")],
)
def test_names_from_those_of_files(stem: str, name: str) -> None:
    found = Reference.of_file(stem)

    assert str(found) == f"{name}:latest"
    assert Reference.parse(str(found)) == found
