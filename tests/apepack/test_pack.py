from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from apepack.errors import InputError, OutputError
from apepack.model import read_model
from apepack.opening import OpeningMember
from apepack.pack import Contents, NoRuntimeError, pack
from apepack.prologue import Magic
from runtime.errors import ArgumentsError
from tests.builders.gguf import TinyModel
from zipalign import read_archive
from zipalign.errors import DuplicateNameError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TinyModel().write(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def front(tmp_path: Path) -> Path:
    """Something that begins like a llamafile."""
    path = tmp_path / "front"
    path.write_bytes(Magic.MZ.value + b"\n'\n#'\"\nexit 0\n" + bytes(100_000))
    path.chmod(0o755)
    return path


def test_a_model_and_its_arguments(model: Path, front: Path, tmp_path: Path) -> None:
    notice = tmp_path / "NOTICE"
    notice.write_text("mine")
    output = tmp_path / "out.llamafile"
    packed = pack(Contents(model, ["--temp", "0"], extra=[notice]), output, runtime=front)
    archive = read_archive(output)
    assert [entry.name for entry in archive.entries] == ["tiny.gguf", "NOTICE", ".args"]
    assert packed.members == ("tiny.gguf", "NOTICE", ".args")
    assert (packed.model.architecture, packed.size) == ("llama", output.stat().st_size)
    assert content(output, ".args") == b"-m\ntiny.gguf\n--temp\n0\n...\n"
    assert content(output, "tiny.gguf") == model.read_bytes()
    assert output.read_bytes().startswith(front.read_bytes())
    assert stat.S_IMODE(output.stat().st_mode) == 0o755


def content(archive: Path, name: str) -> bytes:
    entry = read_archive(archive).entry(name)
    assert entry is not None
    return archive.read_bytes()[entry.data_offset : entry.data_end]


def test_arguments_ready_made(model: Path, front: Path, tmp_path: Path) -> None:
    (tmp_path / "defaults").write_bytes(b"-m\r\ntiny.gguf\r\n")
    pack(Contents(model, args_file=tmp_path / "defaults"), tmp_path / "out", runtime=front)
    assert content(tmp_path / "out", ".args") == b"-m\r\ntiny.gguf\r\n"


def test_damaged_arguments_are_refused(model: Path, front: Path, tmp_path: Path) -> None:
    (tmp_path / "defaults").write_bytes(b"-m\0\n")
    with pytest.raises(ArgumentsError):
        pack(Contents(model, args_file=tmp_path / "defaults"), tmp_path / "out", runtime=front)
    assert not (tmp_path / "out").exists()


def test_an_older_file_is_replaced_whole_or_not_at_all(model: Path, front: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.write_text("older")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(Contents(model), output, runtime=front, progress=interrupt)
    assert output.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["front", "out"]
    pack(Contents(model), output, runtime=front)
    assert read_archive(output).entry("tiny.gguf") is not None


def test_a_dry_run_writes_nothing(model: Path, front: Path, tmp_path: Path) -> None:
    packed = pack(Contents(model), tmp_path / "out", runtime=front, dry_run=True)
    assert packed.members == ("tiny.gguf", ".args")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "run"])
@pytest.mark.parametrize("output", [".", "nowhere/out"], ids=["a folder", "in no folder"])
def test_an_output_that_cannot_be(model: Path, front: Path, tmp_path: Path, output: str, dry_run: bool) -> None:  # noqa: FBT001  # a parameter
    with pytest.raises(OutputError, match="-o"):
        pack(Contents(model), tmp_path / output, runtime=front, dry_run=dry_run)


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "run"])
def test_two_members_of_one_name(model: Path, front: Path, tmp_path: Path, dry_run: bool) -> None:  # noqa: FBT001  # a parameter
    (tmp_path / model.name).write_bytes(b"another")
    with pytest.raises(DuplicateNameError):
        pack(Contents(model, extra=[tmp_path / model.name]), tmp_path / "out", runtime=front, dry_run=dry_run)


def test_a_link_keeps_leading_where_it_led(model: Path, front: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("older")
    (tmp_path / "link").symlink_to("target")
    pack(Contents(model), tmp_path / "link", runtime=front)
    assert (tmp_path / "link").is_symlink()
    assert read_archive(tmp_path / "target").entry("tiny.gguf") is not None


def test_the_output_is_no_input(model: Path, front: Path) -> None:
    before = model.read_bytes()
    with pytest.raises(OutputError, match="-o"):
        pack(Contents(model), model, runtime=front)
    assert model.read_bytes() == before


def test_a_runtime_that_is_none(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an APE"):
        pack(Contents(model), tmp_path / "out", runtime=model)


def test_no_runtime(model: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(NoRuntimeError, match="llamafile-build"):
        pack(Contents(model), tmp_path / "out")


def test_every_prefix_of_a_model_is_refused(model: Path, tmp_path: Path) -> None:
    data = model.read_bytes()
    prefix = tmp_path / "prefix.gguf"
    # Every byte of the first part, where header and metadata are dense, then in steps; the last missing byte counts.
    for size in [*range(64), *range(64, len(data), 1999), len(data) - 1]:
        prefix.write_bytes(data[:size])
        with pytest.raises(InputError):
            read_model(prefix)


def test_a_whole_model_is_accepted(model: Path) -> None:
    facts = read_model(model)
    assert (facts.architecture, facts.tensor_count, facts.size) == ("llama", 12, model.stat().st_size)


def test_an_opening_member_is_an_archive(tmp_path: Path) -> None:
    text = b"licence " * 1000
    member = OpeningMember.of("NOTICES", text)
    data = member.pack()
    path = tmp_path / "archive"
    path.write_bytes(b"x" * 64 + data + member.pack_directory(64, 64 + len(data)))
    entry = read_archive(path).entry("NOTICES")
    assert entry is not None
    assert (entry.header_offset, entry.size, entry.compressed_size < entry.size) == (64, len(text), True)
