"""The default arguments of an image: where its files are, and where its server listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apepack.errors import InputError
from apepack.oci.arguments import ImageArguments, image_arguments
from apepack.oci.source import reading
from tests.apepack.upgrade.llamafiles import runtime
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path

ALL = ["--host", "0.0.0.0"]  # noqa: S104  # in a container
SHARDS = ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"]


def arguments_of(folder: Path, lines: list[str] | None, *names: str) -> ImageArguments:
    """The arguments of the image of a llamafile with files called NAMES and default arguments LINES."""
    path = runtime(folder / "x.llamafile", page=10, gpu=10)
    members = [Member(name, b"GGUF") for name in names]
    if lines is not None:
        members.append(Member(".args", "".join(f"{line}\n" for line in lines).encode()))
    add_files(path, members)
    with reading(path) as source:
        return image_arguments(source)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [*ALL, "-m", "/models/m.gguf"]),
        ([], [*ALL, "-m", "/models/m.gguf"]),
        (["-m", "m.gguf", "..."], [*ALL, "-m", "/models/m.gguf", "..."]),
        (["-m", "/zip/m.gguf"], [*ALL, "-m", "/models/m.gguf"]),
        (["--model", "./m.gguf"], [*ALL, "--model", "/models/m.gguf"]),
        (["-m", "/zip/./m.gguf"], [*ALL, "-m", "/models/m.gguf"]),
        (["--temp", "0.5"], [*ALL, "-m", "/models/m.gguf", "--temp", "0.5"]),
        (["-m", "m.gguf", "--mmproj", "p.gguf"], [*ALL, "-m", "/models/m.gguf", "--mmproj", "/models/p.gguf"]),
        (
            ["-m", "m.gguf", "--lora", "p.gguf,other.gguf"],
            [*ALL, "-m", "/models/m.gguf", "--lora", "/models/p.gguf,other.gguf"],
        ),
        (
            ["-m", "m.gguf", "--lora-scaled", "p.gguf:0.5,m.gguf:1"],
            [*ALL, "-m", "/models/m.gguf", "--lora-scaled", "/models/p.gguf:0.5,/models/m.gguf:1"],
        ),
        (["-m", "m.gguf", "--grammar-file", "g.gbnf"], [*ALL, "-m", "/models/m.gguf", "--grammar-file", "g.gbnf"]),
        (["-m", "m.gguf", "--alias", "m.gguf"], [*ALL, "-m", "/models/m.gguf", "--alias", "m.gguf"]),
        (["-m", "m.gguf", "--cli", "-p", "m.gguf"], ["-m", "/models/m.gguf", "--cli", "-p", "m.gguf"]),
        (["-m", "m.gguf", "--host", "::"], ["-m", "/models/m.gguf", "--host", "::"]),
    ],
)
def test_files_have_their_places(tmp_path: Path, given: list[str] | None, expected: list[str]) -> None:
    names = ["m.gguf"] if given is None or "m.gguf" not in str(given) else ["m.gguf", "p.gguf", "g.gbnf"]

    found = arguments_of(tmp_path, given, *names)

    assert (list(found.arguments), found.model, found.findings) == (expected, "m.gguf", ())


@pytest.mark.parametrize(
    ("given", "port"),
    [
        ([], 8080),
        (["--port", "9000"], 9000),
        (["--port", "9000", "--port", "9001", "..."], 9001),
        (["--port", "0"], 8080),
        (["--cli"], None),
        (["--chat"], None),
        (["-p", "hello"], None),
        (["-p", "hello", "--server"], 8080),
        (["--server", "--cli"], None),
    ],
)
def test_the_port_of_a_server(tmp_path: Path, given: list[str], port: int | None) -> None:
    found = arguments_of(tmp_path, given, "m.gguf")

    assert found.port == port
    assert ("--host" in found.arguments) == bool(port)


def test_the_model_of_several_files(tmp_path: Path) -> None:
    found = arguments_of(tmp_path, ["-m", "q.gguf", "-md", "d.gguf"], "d.gguf", "q.gguf")

    assert (found.model, found.arguments[2:]) == ("q.gguf", ("-m", "/models/q.gguf", "-md", "/models/d.gguf"))


def test_shards(tmp_path: Path) -> None:
    found = arguments_of(tmp_path, None, *reversed(SHARDS))

    assert (found.model, found.arguments[-2:]) == (SHARDS[0], ("-m", f"/models/{SHARDS[0]}"))


def test_a_choice_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2 GGUF files \('a.gguf', 'b.gguf'\).*apepack args .* -m NAME"):
        arguments_of(tmp_path, ["--temp", "0"], "a.gguf", "b.gguf")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_a_server_out_of_reach_is_a_warning(tmp_path: Path, host: str) -> None:
    found = arguments_of(tmp_path, ["-m", "m.gguf", "--host", host], "m.gguf")

    (finding,) = found.findings
    assert f".args has --host {host}" in str(finding)
    assert "--host 0.0.0.0" in str(finding)
    assert list(found.arguments) == ["-m", "/models/m.gguf", "--host", host]
