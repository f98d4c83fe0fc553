"""Several models in one llamafile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from apepack.cli import command
from apepack.format.prologue import Magic
from apepack.packing.lint import LintError
from apepack.packing.pack import PackInputs, PackResult, pack
from apepack.packing.payload import ModelInput
from apepack.upgrade.members import add_members, change_arguments, remove_members
from runtime.args import parse_arguments
from tests.builders.ape import names_in
from tests.builders.gguf import Gguf, Info, text

if TYPE_CHECKING:
    from pathlib import Path

LLAMA = text("general.architecture", "llama")
CLIP = text("general.architecture", "clip")
LIST = ["--models-preset", "/zip/models.ini"]


@pytest.fixture
def front(tmp_path: Path) -> Path:
    path = tmp_path / "front"
    path.write_bytes(Magic.MZ.value + b"\n'\n#'\"\nexit 0\n" + bytes(8192))
    return path


def model(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return Gguf(pairs=[LLAMA], tensors=[Info("t")]).write(path)


def projector(path: Path) -> Path:
    return Gguf(pairs=[CLIP], tensors=[Info("v.t")]).write(path)


def packed(front: Path, folder: Path, *arguments: str, extra: tuple[Path, ...] = ()) -> PackResult:
    inputs = PackInputs(
        model(folder / "a.gguf"),
        arguments,
        extra=extra,
        more=[ModelInput(model(folder / "b.gguf"), projector(folder / "mmproj-b.gguf"))],
    )
    return pack(inputs, folder / "out.llamafile", runtime=front)


def test_the_list_and_the_arguments(front: Path, tmp_path: Path) -> None:
    result = packed(front, tmp_path, "--models-max", "1")
    assert names_in(result.path)[-5:] == ["a.gguf", "b.gguf", "mmproj-b.gguf", "models.ini", ".args"]
    assert parse_arguments(result.payload.arguments) == [*LIST, "--models-max", "1", "..."]
    assert result.payload.models_list == (
        b"version = 1\n\n[a]\nmodel = /zip/a.gguf\n\n[b]\nmodel = /zip/b.gguf\nmmproj = /zip/mmproj-b.gguf\n"
    )


def test_a_list_of_the_user(front: Path, tmp_path: Path) -> None:
    listed = tmp_path / "models.ini"
    listed.write_text("[x]\nmodel = /zip/b.gguf\n")
    assert packed(front, tmp_path, extra=(listed,)).payload.models_list is None
    listed.write_text("[x]\nmodel = /zip/c.gguf\n")
    with pytest.raises(LintError, match=r"models.ini, \[x\]: model is '/zip/c.gguf', and there is no such member"):
        packed(front, tmp_path, extra=(listed,))


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("foo = 1", "there is no option 'foo'"),
        ("port = 99999", "'--port' is"),
        ("[y]", "add a line, model = /zip/NAME.gguf"),
        ("what", "expected"),
    ],
)
def test_lists_that_the_server_would_refuse(line: str, word: str, front: Path, tmp_path: Path) -> None:
    listed = tmp_path / "models.ini"
    listed.write_text(f"[x]\nmodel = /zip/b.gguf\n{line}\n")
    with pytest.raises(LintError, match=word):
        packed(front, tmp_path, extra=(listed,))


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ("other/a.gguf", "has the same name"),
        ("a.gguf", "it is given twice"),
        ("a.GGUF", "clients would call it 'a'"),
        ("x#.gguf", "rename it"),
    ],
)
def test_names_that_clash(other: str, word: str, front: Path, tmp_path: Path) -> None:
    first, second = model(tmp_path / "a.gguf"), model(tmp_path / other)
    with pytest.raises(LintError, match=word):
        pack(PackInputs(first, more=[ModelInput(second)]), tmp_path / "out.llamafile", runtime=front)


def test_changes_keep_the_list(front: Path, tmp_path: Path) -> None:
    path = packed(front, tmp_path).path
    assert change_arguments(path, ["--metrics"]).arguments == (*LIST, "--metrics", "...")
    with pytest.raises(LintError, match=r"\[b\]: model is '/zip/b.gguf', and there is no such member"):
        remove_members(path, ["b.gguf"])
    listed = tmp_path / "models.ini"
    listed.write_text("[a]\nmodel = /zip/a.gguf\n")
    assert add_members(path, [listed]).replaced == ("models.ini",)
    assert remove_members(path, ["b.gguf"]).names == ("b.gguf",)


def test_projectors_belong_to_the_model_before_them(front: Path, tmp_path: Path) -> None:
    files = [model(tmp_path / "a.gguf"), projector(tmp_path / "p.gguf"), model(tmp_path / "b.gguf")]
    files.append(projector(tmp_path / "q.gguf"))
    a, p, b, q = map(str, files)
    output = str(tmp_path / "out.llamafile")
    common = ["-n", "--json", "--runtime", str(front), "-o", output]
    result = CliRunner().invoke(command, [*common, a, "--mmproj", p, "--model", b, "--mmproj", q])
    assert result.exit_code == 0, result.output
    assert [(item["name"], item["projector"]) for item in json.loads(result.stdout)["models"]] == [
        ("a", "p.gguf"),
        ("b", "q.gguf"),
    ]
    result = CliRunner().invoke(command, [*common, a, "--model", b, "--mmproj", p])
    assert [item["projector"] for item in json.loads(result.stdout)["models"]] == [None, "p.gguf"]
    result = CliRunner().invoke(command, [*common, a, "--mmproj", p, "--mmproj", q])
    assert result.exit_code == 2
    assert "--mmproj is given twice for one model" in result.stderr
