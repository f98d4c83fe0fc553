"""What a name on the command line can mean: a file, a member of this llamafile, another llamafile, a member of that."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders.adapters import write_control_vector, write_lora
from tests.builders.gguf import TinyModel, TinyProjector
from tests.builders.hosts import under_wine
from tests.builders.image import Picture
from tests.pipeline.conftest import run
from zipalign import Member, add_files

PROMPT = ("-p", "hello", "-n", "12", "--temp", "0")


@dataclass(frozen=True)
class Files:
    """Two models that say different things, and what changes the first of them."""

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("files")
    model = TinyModel(layers=2)
    model.write(folder / "one.gguf")
    TinyModel(seed=2).write(folder / "two.gguf")
    model.write_shards(folder / "cut.gguf", tensors=6)
    TinyProjector().write(folder / "projector.gguf")
    (folder / "x.png").write_bytes(Picture().png())
    write_lora(folder / "lora.gguf", model)
    write_control_vector(folder / "direction.gguf", model)
    (folder / "prompt.txt").write_text("hello\n")
    (folder / "yes.gbnf").write_text('root ::= "yes" "no"')
    (folder / "schema.json").write_text('{"const": 42}')
    return Files(folder)


@pytest.fixture(scope="module")
def engine(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program without an archive."""
    return Path(shutil.copy(program, tmp_path_factory.mktemp("engine") / "engine"))


def packed(program: Path, target: Path, files: Files, *names: str, arguments: tuple[str, ...] = ()) -> Path:
    """Return TARGET, PROGRAM with the files NAMES and default arguments."""
    shutil.copy(program, target)
    lines = "".join(f"{argument}\n" for argument in arguments)
    members = [Member(name, files[name]) for name in names]
    add_files(target, [*members, *([Member(".args", lines.encode())] if arguments else [])])
    return target


def said(program: Path, *arguments: str | Path, cwd: Path | None = None) -> str:
    """Return what PROGRAM writes, which must be all that it has to say."""
    command = [program, *arguments, *PROMPT]
    result = subprocess.run(command, capture_output=True, check=False, timeout=120, cwd=cwd)
    assert (result.returncode, result.stderr.decode()) == (0, "")
    return result.stdout.decode(errors="replace")


def refusal(program: Path, *arguments: str | Path, cwd: Path | None = None) -> str:
    """Return the one sentence with which PROGRAM declines."""
    command = [program, *arguments, *PROMPT]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=cwd)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    return line


def test_two_models_say_different_things(engine: Path, files: Files) -> None:
    """Else nothing below would show which one was meant."""
    assert said(engine, "-m", files["one.gguf"]) != said(engine, "-m", files["two.gguf"])


def test_another_llamafile_is_a_model(engine: Path, files: Files, tmp_path: Path) -> None:
    other = packed(engine, tmp_path / "other.llamafile", files, "two.gguf")
    assert said(engine, "-m", other) == said(engine, "-m", files["two.gguf"])


def test_another_llamafile_says_which_model(engine: Path, files: Files, tmp_path: Path) -> None:
    arguments = ("-m", "/zip/two.gguf", "-n", "1")
    other = packed(engine, tmp_path / "other.llamafile", files, "one.gguf", "two.gguf", arguments=arguments)
    assert said(engine, "-m", other) == said(engine, "-m", files["two.gguf"])


def test_another_llamafile_of_many_models_is_asked_about(engine: Path, files: Files, tmp_path: Path) -> None:
    packed(engine, tmp_path / "other.llamafile", files, "one.gguf", "two.gguf")
    sentence = refusal(engine, "-m", "other.llamafile", cwd=tmp_path)
    assert "'other.llamafile@one.gguf', 'other.llamafile@two.gguf'" in sentence
    for name in ("one.gguf", "two.gguf"):
        assert said(engine, "-m", f"other.llamafile@{name}", cwd=tmp_path) == said(engine, "-m", files[name])


def test_another_llamafile_brings_its_projector(engine: Path, files: Files, tmp_path: Path) -> None:
    """Another publisher's llamafile with a projector: that one works like a named one."""
    arguments = ("--mmproj", "projector.gguf", "-m", "one.gguf")
    other = packed(engine, tmp_path / "other", files, "projector.gguf", "one.gguf", arguments=arguments)
    seen = said(engine, "-m", files["one.gguf"], "--mmproj", files["projector.gguf"], "--image", files["x.png"])
    assert said(engine, "-m", other, "--image", files["x.png"]) == seen
    assert said(engine, "-m", f"{other}@one.gguf", "--mmproj", other, "--image", files["x.png"]) == seen
    assert "an image needs a projector" in refusal(engine, "-m", f"{other}@one.gguf", "--image", files["x.png"])


def test_the_projector_of_another_llamafile_is_checked(engine: Path, files: Files, tmp_path: Path) -> None:
    """Unless the user chose one."""
    arguments = ("-m", "one.gguf", "--mmproj", "prompt.txt")
    other = packed(engine, tmp_path / "other", files, "one.gguf", "two.gguf", "prompt.txt", arguments=arguments)
    assert f"'prompt.txt' in {other} is not a GGUF file" in refusal(engine, "-m", other)
    assert "prompt.txt" not in refusal(engine, "-m", other, "--mmproj", "no.gguf")


def test_an_archive_that_is_no_program_is_a_model(engine: Path, files: Files, tmp_path: Path) -> None:
    archive = tmp_path / "weights.zip"
    add_files(archive, [Member("folder/one.gguf", files["one.gguf"])])
    assert said(engine, "-m", archive) == said(engine, "-m", f"{archive}@folder/one.gguf")


def test_the_disk_wins_over_the_archive(engine: Path, files: Files, tmp_path: Path) -> None:
    own = packed(engine, tmp_path / "own.llamafile", files, "one.gguf", "two.gguf")
    shutil.copy(files["two.gguf"], tmp_path / "one.gguf")
    assert said(own, "-m", "one.gguf", cwd=tmp_path) == said(engine, "-m", files["two.gguf"])
    assert said(own, "-m", "/zip/one.gguf", cwd=tmp_path) == said(engine, "-m", files["one.gguf"])


def test_a_name_with_the_separator_in_it(engine: Path, files: Files, tmp_path: Path) -> None:
    packed(engine, tmp_path / "a@b.zip", files, "one.gguf")
    (tmp_path / "a").write_text("in the way")
    shutil.copy(files["two.gguf"], tmp_path / "a@b.zip@two.gguf")
    assert said(engine, "-m", "a@b.zip@one.gguf", cwd=tmp_path) == said(engine, "-m", files["one.gguf"])
    assert said(engine, "-m", "a@b.zip@two.gguf", cwd=tmp_path) == said(engine, "-m", files["two.gguf"])
    assert "(it holds 'one.gguf')" in refusal(engine, "-m", "a@b.zip@no.gguf", cwd=tmp_path)


def test_members_in_folders(engine: Path, files: Files, tmp_path: Path) -> None:
    own = Path(shutil.copy(engine, tmp_path / "own"))
    add_files(own, [Member("models/one.gguf", files["one.gguf"]), Member("models/two.gguf", files["two.gguf"])])
    for name in ("models/two.gguf", "./models/two.gguf", "/zip/models/two.gguf"):
        assert said(own, "-m", name) == said(engine, "-m", files["two.gguf"])
    assert "'models/two.gguf'" in refusal(own, "-m", "two.gguf")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--lora", "{}lora.gguf"),
        ("--lora-scaled", "{}lora.gguf:0.5"),
        ("--lora-scaled", '{}lora.gguf:0.25,"{}lora.gguf:0.25"'),
        ("--control-vector", "{}direction.gguf"),
        ("--control-vector-scaled", "{}direction.gguf:0.5"),
        ("-m", "{}cut-00001-of-00004.gguf"),
        ("-f", "{}prompt.txt"),
        ("-bf", "{}prompt.txt"),
        ("--grammar-file", "{}yes.gbnf"),
        ("-jf", "{}schema.json"),
    ],
    ids=" ".join,
)
def test_whatever_is_read_can_be_a_member(
    engine: Path, files: Files, tmp_path: Path, arguments: tuple[str, str]
) -> None:
    """The same from disk, from the program's own archive in three spellings, and from another one."""
    option, value = arguments
    names = [path.name for path in files.folder.iterdir()]
    own = packed(engine, tmp_path / "own", files, *names)

    def answer(program: Path, prefix: str) -> str:
        model = ["-m", str(files["one.gguf"])] if option != "-m" else []
        command = [str(program), *model, option, value.format(prefix, prefix), "-n", "12", "--temp", "0"]
        command += ["-p", "hello"] if option not in {"-f", "-bf"} else []
        result = subprocess.run(command, capture_output=True, check=False, timeout=120, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return result.stdout.decode(errors="replace")

    expected = answer(engine, f"{files.folder}/")
    if option not in {"-m", "-f", "-bf"}:
        assert expected != said(engine, "-m", files["one.gguf"])
    for prefix in ("", "./", "/zip/"):
        assert answer(own, prefix) == expected
    assert answer(engine, "own@") == expected


def test_c14_external_weights_on_windows(runtime: Path, files: Files, tmp_path: Path) -> None:
    """A file, and another llamafile."""
    program = tmp_path / "llamafile.exe"
    program.hardlink_to(runtime)
    other = packed(runtime, tmp_path / "other.llamafile", files, "one.gguf", "two.gguf", arguments=("-m", "two.gguf"))
    for name in (files["two.gguf"], other, Path(f"{other}@two.gguf")):
        result = under_wine(program, "-m", name, "-p", "hello", "-n", "0")
        assert (result.returncode, result.stdout) == (0, "hello\n"), result.stderr


def test_c15_external_weights(runtime: Path, files: Files, tmp_path: Path, bare: dict[str, str]) -> None:
    """The file that users download once, without weights, given those of others."""
    other = packed(runtime, tmp_path / "other.llamafile", files, "one.gguf", "two.gguf", arguments=("-m", "two.gguf"))
    for name in (files["two.gguf"], other, Path(f"{other}@two.gguf")):
        result = run(runtime, "-m", str(name), *PROMPT, env=bare)
        assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(("name", "weights"), [("x", "x.llamafile"), ("x.EXE", "x.llamafile")])
def test_e4_weights_beside_a_program(engine: Path, files: Files, tmp_path: Path, name: str, weights: str) -> None:
    """Weights, arguments and all: what Windows cannot start because of its size lies beside a small program."""
    arguments = ("-m", "two.gguf", "--grammar-file", "yes.gbnf", "-p", "Answer: ")
    packed(engine, tmp_path / weights, files, "one.gguf", "two.gguf", "yes.gbnf", arguments=arguments)
    (tmp_path / name).hardlink_to(engine)
    result = subprocess.run([tmp_path / name], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "Answer: yesno\n", "")


def test_e4_weights_beside_a_program_that_a_loader_runs(
    runtime: Path, files: Files, tmp_path: Path, bare: dict[str, str]
) -> None:
    packed(runtime, tmp_path / "x.llamafile", files, "two.gguf", arguments=("-p", "hello", "-n", "0"))
    (tmp_path / "x").hardlink_to(runtime)
    result = run(tmp_path / "x", env=bare)
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello\n", "")


def test_e4_weights_beside_a_windows_program(runtime: Path, files: Files, tmp_path: Path) -> None:
    """With the whole name before .exe, or without the suffix of the large file."""
    arguments = ("-m", "two.gguf", "-p", "hello", "-n", "0")
    weights = packed(runtime, tmp_path / "x.llamafile", files, "one.gguf", "two.gguf", arguments=arguments)
    for name in ("x.exe", "x.llamafile.exe"):
        (tmp_path / name).hardlink_to(runtime)
        result = under_wine(tmp_path / name)
        assert (result.returncode, result.stdout) == (0, "hello\n"), result.stderr
    os.truncate(weights, weights.stat().st_size - 1)
    result = under_wine(tmp_path / "x.exe")
    assert result.returncode == 1
    assert "x.llamafile does not end with an archive: it is incomplete" in result.stderr


def test_a_program_with_weights_has_no_companion(engine: Path, files: Files, tmp_path: Path) -> None:
    packed(engine, tmp_path / "x", files, "one.gguf")
    packed(engine, tmp_path / "x.llamafile", files, "two.gguf")
    assert said(tmp_path / "x") == said(engine, "-m", files["one.gguf"])


@pytest.mark.parametrize("option", ["-m", "--mmproj", "--lora", "--control-vector"])
def test_a_pipe_cannot_hold_weights(engine: Path, files: Files, option: str) -> None:
    """The weights are opened several times, and a pipe gives its bytes once."""
    reader, writer = os.pipe()
    model = () if option == "-m" else ("-m", files["one.gguf"])
    try:
        result = subprocess.run(
            [engine, *model, option, f"/dev/fd/{reader}", *PROMPT],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            pass_fds=[reader],
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert (result.returncode, result.stdout) == (1, "")
    sentence = f"'/dev/fd/{reader}' is a pipe, which can be read only once; save the weights as a file first\n"
    assert result.stderr.partition(": ")[2] == sentence
