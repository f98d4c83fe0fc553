"""What a user can get wrong: one sentence that says what and what to do, status 1, nothing left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import Item
from tests.builders.zip import build as build_zip
from tests.pipeline.conftest import run
from zipalign import Member, add_files, read_archive

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Mistake:
    """One thing to get wrong, and the words that must be in the answer."""

    name: str
    make: Callable[[Path, Path], list[str]]  # changes the llamafile, given a good model, and returns the arguments
    words: tuple[str, ...]


def unknown_name(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model)])
    return ["-m", "other.gguf"]


def compressed_member(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model)], level=6)
    return ["-m", "tiny.gguf"]


def compressed_arguments(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member(".args", b"--temp\n0\n" * 100)], level=6)
    return []


def misaligned_member(llamafile: Path, model: Path) -> list[str]:
    with zipfile.ZipFile(llamafile, "a") as archive:
        name = "tiny.gguf"
        while (archive.start_dir + 30 + len(name)) % 32 == 0:
            name = f"x{name}"
        archive.write(model, name)
    return ["-m", name]


def truncated_file(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model)])
    os.truncate(llamafile, llamafile.stat().st_size - 1000)
    return []


def truncated_model(llamafile: Path, model: Path) -> list[str]:
    data = model.read_bytes()
    add_files(llamafile, [Member("tiny.gguf", data[: len(data) // 2])])
    return ["-m", "tiny.gguf"]


def truncated_header(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model.read_bytes()[:1000])])
    return ["-m", "tiny.gguf"]


def empty_model(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", b"")])
    return ["-m", "tiny.gguf"]


def not_a_model(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", b"this is a text, not a model")])
    return ["-m", "tiny.gguf"]


def not_a_model_on_disk(llamafile: Path, model: Path) -> list[str]:
    other = llamafile.with_name("notes.gguf")
    other.write_text("this is a text, not a model")
    return ["-m", str(other)]


def a_folder(llamafile: Path, model: Path) -> list[str]:
    return ["-m", str(llamafile.parent)]


def no_weights(llamafile: Path, model: Path) -> list[str]:
    return []


def two_models(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("one.gguf", model), Member("two.gguf", model)])
    return []


def damaged_local_header(llamafile: Path, model: Path) -> list[str]:
    archive = add_files(llamafile, [Member("tiny.gguf", model)])
    entry = archive.entry("tiny.gguf")
    assert entry is not None
    with llamafile.open("r+b") as file:
        file.seek(entry.header_offset)
        file.write(b"gone")
    return ["-m", "tiny.gguf"]


def damaged_directory(llamafile: Path, model: Path) -> list[str]:
    archive = add_files(llamafile, [Member("tiny.gguf", model)])
    with llamafile.open("r+b") as file:
        file.seek(archive.directory_offset)
        file.write(b"gone")
    return ["-m", "tiny.gguf"]


def other_llamafile(llamafile: Path, model: Path, *members: Member) -> str:
    other = llamafile.with_name("other.llamafile")
    add_files(other, list(members))
    return str(other)


def other_without_weights(llamafile: Path, model: Path) -> list[str]:
    return ["-m", other_llamafile(llamafile, model, Member("readme.txt", b"no weights"))]


def other_with_two_models(llamafile: Path, model: Path) -> list[str]:
    return ["-m", other_llamafile(llamafile, model, Member("one.gguf", model), Member("two.gguf", model))]


def other_that_means_a_missing_model(llamafile: Path, model: Path) -> list[str]:
    arguments = Member(".args", b"-m\nthree.gguf\n")
    return ["-m", other_llamafile(llamafile, model, Member("one.gguf", model), Member("two.gguf", model), arguments)]


def other_that_is_damaged(llamafile: Path, model: Path) -> list[str]:
    other = other_llamafile(llamafile, model, Member("tiny.gguf", model))
    with open(other, "r+b") as file:  # noqa: PTH123  # a name, as the command line has it
        file.seek(read_archive(Path(other)).directory_offset)
        file.write(b"gone")
    return ["-m", other]


def unknown_member_of_another(llamafile: Path, model: Path) -> list[str]:
    return ["-m", other_llamafile(llamafile, model, Member("tiny.gguf", model)) + "@no.gguf"]


def encrypted_member(llamafile: Path, model: Path) -> list[str]:
    other = llamafile.with_name("other.zip")
    other.write_bytes(build_zip([Item(b"tiny.gguf", model.read_bytes(), flags=1)]))
    return ["-m", str(other)]


def adapter_that_is_a_text(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model), Member("notes.gguf", b"this is a text")])
    return ["-m", "tiny.gguf", "--lora", "notes.gguf"]


def scale_without_a_number(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model)])
    return ["--lora-scaled", "tiny.gguf"]


def missing_grammar(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model)])
    return ["--grammar-file", "yes.gbnf"]


def compressed_grammar(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model)])
    add_files(llamafile, [Member("yes.gbnf", b'root ::= "yes" ' * 99)], level=6)
    return ["--grammar-file", "/zip/yes.gbnf"]


def schema_with_a_nul(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model), Member("schema.json", b"{}\0")])
    return ["-jf", "schema.json"]


def terminal_controls_in_a_name(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model), Member(".args", b"-m\n\x1b[2J.gguf\n")])
    return []


def unknown_option(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model)])
    return ["--no-such-option"]


def long_prompt(llamafile: Path, model: Path) -> list[str]:
    add_files(llamafile, [Member("tiny.gguf", model)])
    return ["-p", "word " * 500]


MISTAKES = (
    Mistake("unknown model name", unknown_name, ("no file 'other.gguf'", "'tiny.gguf'")),
    Mistake("compressed member", compressed_member, ("'tiny.gguf' is compressed", "zipalign -j0")),
    Mistake("compressed .args", compressed_arguments, ("'.args' is compressed",)),
    Mistake("misaligned member", misaligned_member, ("no multiple of 32", "zipalign -j0")),
    Mistake("truncated file", truncated_file, ("incomplete",)),
    Mistake("truncated model", truncated_model, ("cannot load 'tiny.gguf'", "not within the file bounds")),
    Mistake("truncated header", truncated_header, ("cannot load 'tiny.gguf'",)),
    Mistake("empty model", empty_model, ("has 0 bytes",)),
    Mistake("a text as a member", not_a_model, ("is not a GGUF file", "expected 'GGUF'")),
    Mistake("a text on disk", not_a_model_on_disk, ("is not a GGUF file", "expected 'GGUF'")),
    Mistake("a folder", a_folder, ("empty or cannot be read",)),
    Mistake("no weights", no_weights, ("holds no weights", "-m FILE.gguf")),
    Mistake("two models", two_models, ("more than one model", "'one.gguf', 'two.gguf'")),
    Mistake("damaged local header", damaged_local_header, ("local header is not where",)),
    Mistake("damaged directory", damaged_directory, ("is damaged",)),
    Mistake("another llamafile without weights", other_without_weights, ("other.llamafile' holds no weights",)),
    Mistake("another llamafile with two models", other_with_two_models, ("@one.gguf', '", "@two.gguf'")),
    Mistake(
        "another llamafile that means no model of its own", other_that_means_a_missing_model, ("do not say which",)
    ),
    Mistake("another llamafile that is damaged", other_that_is_damaged, ("the archive in ", "is damaged")),
    Mistake("unknown member of another", unknown_member_of_another, ("no such member in", "(it holds 'tiny.gguf')")),
    Mistake("encrypted member", encrypted_member, ("'tiny.gguf' is encrypted",)),
    Mistake("adapter that is a text", adapter_that_is_a_text, ("'notes.gguf' in ", "is not a GGUF file")),
    Mistake("adapter without its scale", scale_without_a_number, ("NAME:SCALE", "--lora-scaled")),
    Mistake("missing grammar", missing_grammar, ("no file 'yes.gbnf' for --grammar-file",)),
    Mistake("compressed grammar", compressed_grammar, ("'yes.gbnf' is compressed",)),
    Mistake("schema with a NUL byte", schema_with_a_nul, ("'schema.json' holds a NUL byte",)),
    Mistake("terminal controls in a name", terminal_controls_in_a_name, ("no file '\\x1b[2J.gguf'",)),
    Mistake("unknown option", unknown_option, ("--no-such-option",)),
    Mistake("prompt too long", long_prompt, ("but the context holds only", "-c")),
)


@pytest.mark.parametrize("mode", ["--cli", "--server"])
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_answered_with_a_sentence(
    llamafile: Path, tiny_model: Path, bare: dict[str, str], mistake: Mistake, mode: str
) -> None:
    if mode == "--server" and mistake.make is long_prompt:
        mode = "--cli"  # a server has no prompt
    arguments = mistake.make(llamafile, tiny_model)
    before = sorted(path.name for path in llamafile.parent.iterdir())
    prompt = ["-p", "hello"] if mode == "--cli" and "-p" not in arguments else []
    result = (
        run(llamafile, mode, *prompt, "--port", "0", *arguments, env=bare)
        if mode == "--server"
        else run(llamafile, mode, *prompt, *arguments, env=bare)
    )
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    for word in mistake.words:
        assert word in last
    if mode == "--cli":
        assert len(result.stderr.splitlines()) == 1
    assert sorted(path.name for path in llamafile.parent.iterdir()) == before


def test_a_cache_that_cannot_be_written(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "llamafile-toolchain").write_text("in the way")
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    for command in (["llamafile-build", "host"], ["llamafile-build", "--demo-model"]):
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1
        assert "XDG_CACHE_HOME" in result.stderr


def test_packing_without_a_runtime(tmp_path: Path, tiny_model: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = ["apepack", "-o", str(tmp_path / "x"), str(tiny_model)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "llamafile-build" in result.stderr
    assert not (tmp_path / "x").exists()


def test_packing_a_truncated_model(tmp_path: Path, runtime: Path, tiny_model: Path) -> None:
    half = tmp_path / "half.gguf"
    half.write_bytes(tiny_model.read_bytes()[:100_000])
    command = ["apepack", "-o", str(tmp_path / "x"), "--runtime", str(runtime), str(half)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "incomplete" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["half.gguf"]


@pytest.fixture(scope="module")
def packed_program(program: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The runtime as a plain program with a model behind it: what is damaged below is the archive, not the launch."""
    packed = tmp_path_factory.mktemp("packed") / "program"
    shutil.copy(program, packed)
    add_files(packed, [Member("tiny.gguf", tiny_model), Member(".args", b"--cli\n-p\nhello\n-n\n1\n")])
    return packed


def test_no_damage_to_the_archive_is_more_than_a_sentence(packed_program: Path, bare: dict[str, str]) -> None:
    """80 seeded changes of a byte in local headers, directory and end records: an answer, or one sentence."""
    archive = read_archive(packed_program)
    records = [range(entry.header_offset, entry.data_offset) for entry in archive.entries]
    records.append(range(archive.directory_offset, archive.file_size))
    places = [offset for record in records for offset in record]
    random = Random(7)
    for offset in random.sample(places, 80):
        with packed_program.open("r+b") as file:
            file.seek(offset)
            old = file.read(1)
            file.seek(offset)
            file.write(bytes([random.choice([0x00, 0x7F, 0xFF, old[0] ^ 1, old[0] ^ 0x80])]))
        result = subprocess.run([packed_program], env=bare, capture_output=True, check=False, timeout=60)
        with packed_program.open("r+b") as file:
            file.seek(offset)
            file.write(old)
        assert result.returncode in {0, 1}, (offset, result.stderr)
        assert len(result.stderr.splitlines()) == (1 if result.returncode else 0), (offset, result.stderr)


def test_text_that_cannot_be_written(packed_program: Path, bare: dict[str, str]) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123  # a device
        result = subprocess.run(
            [packed_program], env=bare, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert result.returncode == 1
    assert result.stderr == "llamafile: cannot write the text to standard output: No space left on device\n"


def test_no_damage_to_a_model_is_more_than_a_sentence(
    packed_program: Path, tiny_model: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    """80 seeded changes of a byte in metadata and tensor table: an answer, or one sentence."""
    data = tiny_model.read_bytes()
    random = Random(3)
    damaged = tmp_path / "damaged.gguf"
    for _ in range(80):
        changed = bytearray(data)
        offset = random.randrange(8200)
        changed[offset] = random.choice([0x00, 0x7F, 0xFF, data[offset] ^ 1, data[offset] ^ 0x80])
        damaged.write_bytes(changed)
        result = subprocess.run(
            [packed_program, "-m", damaged], env=bare, capture_output=True, errors="replace", check=False, timeout=60
        )
        assert result.returncode in {0, 1}, (offset, result.stderr)
        assert len(result.stderr.splitlines()) == (1 if result.returncode else 0), (offset, result.stderr)
