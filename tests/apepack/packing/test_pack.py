from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import apepack.packing.pack
from apepack.errors import InputError, NoRuntimeError, OutputError, VerificationError
from apepack.format.first_member import FirstMember
from apepack.format.prologue import Magic
from apepack.packing.lint import LintError
from apepack.packing.pack import PackInputs, PackPolicy, pack
from apepack.packing.plan import reserve_for
from apepack.packing.runtime_part import programs_for
from runtime.errors import ArgumentsError
from runtime.installed import NativeProgram, RuntimeSource
from runtime.platforms import PLATFORMS
from tests.builders.ape import names_in
from tests.builders.home import new_name
from tests.builders.zip import Item, build
from zipalign import Archive, Entry, Member, add_files, check_archive, read_archive
from zipalign.append_marker import AppendMarker
from zipalign.errors import DuplicateNameError, NoSpaceError, ZipFormatError
from zipalign.extents import hole_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
    packed = pack(PackInputs(model, ["--temp", "0"], extra=[notice]), output, runtime=front)
    archive = read_archive(output)
    assert [entry.name for entry in archive.entries] == ["tiny.gguf", "NOTICE", ".args", "manifest.json"]
    assert [member.name for member in packed.members] == ["tiny.gguf", "NOTICE", ".args"]
    assert [member.data_offset for member in packed.members] == [entry.data_offset for entry in archive.entries][:3]
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
    pack(PackInputs(model, args_file=tmp_path / "defaults"), tmp_path / "out", runtime=front)
    assert content(tmp_path / "out", ".args") == b"-m\r\ntiny.gguf\r\n"


def test_damaged_arguments_are_refused(model: Path, front: Path, tmp_path: Path) -> None:
    (tmp_path / "defaults").write_bytes(b"-m\0\n")
    with pytest.raises(ArgumentsError):
        pack(PackInputs(model, args_file=tmp_path / "defaults"), tmp_path / "out", runtime=front)
    assert not (tmp_path / "out").exists()


def test_an_older_file_is_replaced_whole_or_not_at_all(model: Path, front: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.write_text("older")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(PackInputs(model), output, runtime=front, progress=interrupt)
    assert output.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["front", "out"]
    pack(PackInputs(model), output, runtime=front)
    assert read_archive(output).entry("tiny.gguf") is not None


def test_a_dry_run_writes_nothing(model: Path, front: Path, tmp_path: Path) -> None:
    planned = pack(PackInputs(model), tmp_path / "out", runtime=front, dry_run=True)
    assert [member.name for member in planned.members] == ["tiny.gguf", ".args"]
    assert [path.name for path in tmp_path.iterdir()] == ["front"]
    made = pack(PackInputs(model), tmp_path / "out", runtime=front)
    assert (made.plan, made.size) == (planned.plan, (tmp_path / "out").stat().st_size)


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "run"])
@pytest.mark.parametrize("output", [".", "nowhere/out"], ids=["a folder", "in no folder"])
def test_an_output_that_cannot_be(model: Path, front: Path, tmp_path: Path, output: str, dry_run: bool) -> None:  # noqa: FBT001  # a parameter
    with pytest.raises(OutputError, match="-o"):
        pack(PackInputs(model), tmp_path / output, runtime=front, dry_run=dry_run)


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "run"])
def test_an_output_that_is_a_pipe(model: Path, front: Path, tmp_path: Path, dry_run: bool) -> None:  # noqa: FBT001  # a parameter
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="a pipe or a device"):
        pack(PackInputs(model), tmp_path / "pipe", runtime=front, dry_run=dry_run)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "run"])
def test_two_members_of_one_name(model: Path, front: Path, tmp_path: Path, dry_run: bool) -> None:  # noqa: FBT001  # a parameter
    (tmp_path / "folder").mkdir()
    extra = [tmp_path / "NOTICE", tmp_path / "folder" / "NOTICE"]
    for path in extra:
        path.write_bytes(b"mine")
    with pytest.raises(DuplicateNameError):
        pack(PackInputs(model, extra=extra), tmp_path / "out", runtime=front, dry_run=dry_run)


def test_a_link_keeps_leading_where_it_led(model: Path, front: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("older")
    (tmp_path / "link").symlink_to("target")
    pack(PackInputs(model), tmp_path / "link", runtime=front)
    assert (tmp_path / "link").is_symlink()
    assert read_archive(tmp_path / "target").entry("tiny.gguf") is not None


def test_the_output_is_no_input(model: Path, front: Path) -> None:
    before = model.read_bytes()
    with pytest.raises(OutputError, match="-o"):
        pack(PackInputs(model), model, runtime=front)
    assert model.read_bytes() == before


def test_a_runtime_with_a_faulty_member(model: Path, front: Path, tmp_path: Path) -> None:
    front.write_bytes(build([Item(b"../x")], prefix=front.read_bytes()))
    with pytest.raises(ZipFormatError, match="not safe"):
        pack(PackInputs(model), tmp_path / "out", runtime=front)
    assert not (tmp_path / "out").exists()


def test_a_runtime_that_is_none(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an APE"):
        pack(PackInputs(model), tmp_path / "out", runtime=model)


def test_no_runtime(model: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(NoRuntimeError, match="llamafile-build"):
        pack(PackInputs(model), tmp_path / "out")


def test_an_opening_member_is_an_archive(tmp_path: Path) -> None:
    text = b"licence " * 1000
    member = FirstMember.of("NOTICES", text)
    data = member.pack()
    path = tmp_path / "archive"
    path.write_bytes(b"x" * 64 + data + member.pack_directory(64, 64 + len(data)))
    entry = read_archive(path).entry("NOTICES")
    assert entry is not None
    assert (entry.header_offset, entry.size, entry.compressed_size < entry.size) == (64, len(text), True)


def test_a_runtime_with_an_archive(model: Path, front: Path, tmp_path: Path) -> None:
    """What it holds stays, but for names that are given anew; sizes and places are as planned all the same."""
    add_files(front, [Member("NOTICES", b"licences"), Member(".args", b"--old\n"), Member("old.gguf", b"GGUF")])
    told: list[str] = []
    packed = pack(
        PackInputs(model), tmp_path / "out", runtime=front, on_finding=lambda finding: told.append(str(finding))
    )
    assert [entry.name for entry in read_archive(tmp_path / "out").entries] == [
        "NOTICES",
        "old.gguf",
        "tiny.gguf",
        ".args",
        "manifest.json",
    ]
    assert packed.size == (tmp_path / "out").stat().st_size
    assert content(tmp_path / "out", ".args") == b"-m\ntiny.gguf\n...\n"
    assert len(told) == 1
    assert "'old.gguf'" in told[0]
    with pytest.raises(LintError, match="weights already"):
        pack(PackInputs(model), tmp_path / "strict", runtime=front, policy=PackPolicy(strict=True))


def test_a_runtime_that_an_interrupted_append_left(model: Path, front: Path, tmp_path: Path) -> None:
    size = front.stat().st_size
    with front.open("ab") as file:
        file.write(bytes(-size % AppendMarker.SIZE) + AppendMarker(size).pack() + b"unfinished")
    packed = pack(PackInputs(model), tmp_path / "out", runtime=front)
    assert packed.runtime.size == size
    assert content(tmp_path / "out", "tiny.gguf") == model.read_bytes()


def test_builds_are_linked(model: Path, stub_build: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.llamafile"
    planned = pack(PackInputs(model), output, dry_run=True)
    packed = pack(PackInputs(model), output)
    assert packed == planned
    assert packed.size == output.stat().st_size
    assert names_in(output) == ["NOTICES", "tiny.gguf", ".args"]
    assert check_archive(output).ok
    environment = {"TMPDIR": str(tmp_path), "PATH": os.environ["PATH"], "LOGNAME": new_name()}
    assert subprocess.run(["sh", output], check=False, env=environment).returncode == 5


def test_which_programs_are_taken() -> None:
    source = RuntimeSource(programs=tuple(NativeProgram(platform, Path(platform.name)) for platform in PLATFORMS))
    assert [path.name for path in programs_for(source, Magic.MZ)] == [platform.name for platform in PLATFORMS]
    without = [path.name for path in programs_for(source, Magic.NO_WINDOWS)]
    assert without == [platform.name for platform in PLATFORMS if platform.system != "Windows"]


@pytest.mark.slow
def test_nothing_is_left_wherever_it_stops(
    model: Path, stub_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step of the way fails once, with an error or with Ctrl-C."""
    before = sorted(tmp_path.rglob("*"))
    for step in ("link_runtime", "plan_with_reserve", "add_files", "verify"):
        for error in (OSError(5, "no"), KeyboardInterrupt()):
            with monkeypatch.context() as patch:

                def fail(*_: object, error: BaseException = error, **__: object) -> None:
                    raise error

                patch.setattr(apepack.packing.pack, step, fail)
                with pytest.raises(type(error)):
                    pack(PackInputs(model), tmp_path / "out.llamafile")
            assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda data, entry: data.__setitem__(entry.data_offset, 0), "CRC"),
        (lambda data, entry: data.__setitem__(entry.header_offset, 0), "local"),
        (lambda data, entry: data.__setitem__(slice(0x10060, 0x10068), b"\xff" * 8), "p_filesz"),
        (lambda data, entry: data.__setitem__(slice(0, 8), b"otherAPE"), "not an APE"),
        (lambda data, entry: data.extend(b"x"), "do not belong"),
    ],
    ids=["a byte of .args", "a local header", "an image", "the magic", "a byte too many"],
)
def test_what_is_read_back_is_compared(
    model: Path,
    stub_build: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[bytearray, Entry], None],
    word: str,
) -> None:
    def add_and_damage(path: Path, members: Sequence[Member], **options: object) -> Archive:
        archive = add_files(path, members)
        data = bytearray(path.read_bytes())
        damage(data, archive.entries[-1])
        path.write_bytes(data)
        return archive

    monkeypatch.setattr(apepack.packing.pack, "add_files", add_and_damage)
    with pytest.raises(VerificationError, match=word) as caught:
        pack(PackInputs(model), tmp_path / "out.llamafile")
    assert caught.value.path == tmp_path / "out.llamafile"
    assert not caught.value.path.exists()


def test_what_is_added_is_compared_with_the_plan(
    model: Path, stub_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_elsewhere(path: Path, members: Sequence[Member], **options: object) -> Archive:
        return add_files(path, members, alignment=1 << 20)

    monkeypatch.setattr(apepack.packing.pack, "add_files", add_elsewhere)
    with pytest.raises(VerificationError, match="expected"):
        pack(PackInputs(model), tmp_path / "out.llamafile")


def test_the_same_bytes_again(model: Path, stub_build: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack(PackInputs(model, ["--temp", "0"]), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_too_little_space_is_found_before_the_weights_are_copied(
    model: Path, stub_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = os.statvfs(tmp_path)
    little = os.statvfs_result((space.f_bsize, space.f_frsize, space.f_blocks, 1, 1, *tuple(space)[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: little)
    with pytest.raises(NoSpaceError) as caught:
        pack(PackInputs(model), tmp_path / "out.llamafile", dry_run=True)
    assert caught.value.path == tmp_path / "out.llamafile"


def test_space_before_the_weights(model: Path, stub_build: Path, tmp_path: Path) -> None:
    """It is a hole, a quarter of the runtime unless a size is given, and the plan has it too."""
    output = tmp_path / "out.llamafile"
    for reserve in (None, 0, 3 << 20):
        policy = PackPolicy(reserve=reserve)
        planned = pack(PackInputs(model), output, policy=policy, dry_run=True)
        packed = pack(PackInputs(model), output, policy=policy)
        assert planned.plan == packed.plan
        expected = reserve_for(packed.runtime.size) if reserve is None else reserve
        assert packed.plan.reserve == expected
        assert packed.runtime.size + expected < packed.members[0].data_offset
        assert packed.members[0].data_offset < packed.runtime.size + expected + 2 * 65536
        assert packed.members[0].data_offset % 65536 == 0
        assert check_archive(output).ok
        with output.open("rb") as file:
            at = packed.runtime.size + 65536 - packed.runtime.size % 65536
            assert reserve != 3 << 20 or hole_size(file.fileno(), at, at + expected) >= expected - 2 * 65536
    assert reserve_for(0) == 0
    assert reserve_for(32_581_766) == 8_192_000
