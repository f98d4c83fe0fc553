"""Windows' limit, and the program that is made beside what exceeds it: both appear or neither does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import apepack.packing.pack
from apepack.errors import OutputError
from apepack.format.inspect import check_programs, read_platforms
from apepack.format.prologue import Magic
from apepack.packing.lint import LintError, Severity
from apepack.packing.pack import PackInputs, PackPolicy, pack
from apepack.packing.publish import publishing
from runtime.installed import NativeProgram, RuntimeSource
from runtime.platforms import platform_named
from tests.builders.ape import names_in
from tests.builders.elf import X86_64, exit_program
from tests.builders.gguf import Gguf, Info
from tests.builders.pe import pe_program
from zipalign.input_file import map_file

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 1 << 18
SMALL = PackPolicy(windows_limit=LIMIT)


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Builds for Linux and Windows, with the licences beside them."""
    folder = tmp_path / "builds"
    folder.mkdir()
    (folder / "NOTICES").write_text("licence " * 100)
    (folder / "llamafile").write_bytes(exit_program(X86_64, status=5))
    (folder / "llamafile.exe").write_bytes(pe_program())
    paths = [folder / "llamafile", folder / "llamafile.exe"]
    platforms = map(platform_named, ("linux-amd64", "windows-amd64"))
    source = RuntimeSource(programs=tuple(map(NativeProgram, platforms, paths)))
    monkeypatch.setattr(apepack.packing.pack, "find_runtime", lambda given: RuntimeSource(given) if given else source)
    return paths


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "my.llamafile"


def made(output: Path) -> list[str]:
    return sorted(path.name for path in output.parent.iterdir())


def test_it_has_the_programs_and_no_weights(model: Path, builds: list[Path], output: Path) -> None:
    packed = pack(PackInputs(model), output, policy=SMALL)
    companion = output.with_name("my.exe")
    assert (packed.companion, made(output)) == (companion, ["my.exe", "my.llamafile"])
    assert read_platforms(map_file(companion)) == ("linux-amd64", "windows-amd64")
    check_programs(map_file(companion))
    assert names_in(companion) == ["NOTICES"]
    assert companion.stat().st_size == packed.runtime.size < LIMIT <= output.stat().st_size
    assert companion.stat().st_mode == output.stat().st_mode
    (finding,) = packed.findings
    assert (finding.severity, finding.kind) == (Severity.NOTE, "size")
    assert "my.exe" in finding.message


def test_strict_publishers_may_have_one(model: Path, builds: list[Path], output: Path) -> None:
    assert pack(PackInputs(model), output, policy=replace(SMALL, strict=True)).companion


def test_what_windows_starts_itself_needs_none(model: Path, builds: list[Path], output: Path) -> None:
    packed = pack(PackInputs(model), output, policy=PackPolicy(reserve=0))
    assert (packed.companion, packed.findings, made(output)) == (None, (), ["my.llamafile"])
    size = packed.size
    for limit, wanted in ((size, True), (size + 1, False)):
        planned = pack(PackInputs(model), output, policy=PackPolicy(windows_limit=limit, reserve=0), dry_run=True)
        assert (planned.companion is not None) is wanted


def test_space_for_upgrades_makes_no_file_too_large(model: Path, builds: list[Path], output: Path) -> None:
    size = pack(PackInputs(model), output, policy=PackPolicy(reserve=0)).size
    large = pack(PackInputs(model), output)
    assert large.size > size
    for limit, expected in ((size + 1, size), (large.size, size), (large.size + 1, large.size)):
        packed = pack(PackInputs(model), output, policy=PackPolicy(windows_limit=limit))
        assert (packed.companion, packed.size) == (None, expected)
    assert pack(PackInputs(model), output, policy=PackPolicy(windows_limit=size)).plan.reserve == large.plan.reserve


def test_what_is_not_for_windows_needs_none(model: Path, builds: list[Path], output: Path) -> None:
    packed = pack(PackInputs(model), output, magic=Magic.NO_WINDOWS, policy=SMALL)
    assert (packed.companion, packed.findings) == (None, ())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "companion", "word"),
    [("my.llamafile", False, "no .exe"), ("my", True, "name it"), ("my.exe", True, "name it")],
    ids=["unwanted", "no ending", "another ending"],
)
def test_without_one(
    model: Path,
    builds: list[Path],
    output: Path,
    name: str,
    companion: bool,  # noqa: FBT001  # a parameter
    word: str,
) -> None:
    policy = replace(SMALL, companion=companion)
    packed = pack(PackInputs(model), output.with_name(name), policy=policy)
    assert (packed.companion, made(output)) == (None, [name])
    assert [(finding.severity, word in finding.message) for finding in packed.findings] == [(Severity.WARNING, True)]
    with pytest.raises(LintError, match=word):
        pack(PackInputs(model), output.with_name(name), policy=replace(policy, strict=True))


def test_with_a_runtime_that_was_linked_before(model: Path, builds: list[Path], output: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "llamafile"
    apepack.packing.pack.link_runtime(builds, runtime)
    assert pack(PackInputs(model), output, runtime=runtime, policy=SMALL).companion
    assert output.with_name("my.exe").read_bytes() == runtime.read_bytes()


def test_an_older_one_is_replaced(model: Path, builds: list[Path], output: Path) -> None:
    output.with_name("my.exe").write_bytes(Magic.MZ.value + b"\nolder")
    pack(PackInputs(model), output, policy=SMALL)
    assert names_in(output.with_name("my.exe")) == ["NOTICES"]


@pytest.mark.parametrize("kind", ["a program", "a folder", "a llamafile"])
def test_what_is_no_companion_is_not_replaced(kind: str, model: Path, builds: list[Path], output: Path) -> None:
    other = output.with_name("my.exe")
    if kind == "a program":
        other.write_bytes(pe_program())
    elif kind == "a folder":
        other.mkdir()
    else:
        pack(PackInputs(model), other)
    with pytest.raises(OutputError, match="--no-companion") as caught:
        pack(PackInputs(model), output, policy=SMALL)
    assert (caught.value.path, made(output)) == (other, ["my.exe"])


def test_the_runtime_is_not_replaced(model: Path, builds: list[Path], output: Path) -> None:
    runtime = output.with_name("my.exe")
    apepack.packing.pack.link_runtime(builds, runtime)
    with pytest.raises(OutputError):
        pack(PackInputs(model), output, runtime=runtime, policy=SMALL)


def test_a_real_size_is_planned(builds: list[Path], output: Path, tmp_path: Path) -> None:
    """The model is a hole of 4 GiB: nothing of it is copied here."""
    sparse = replace(Gguf(), tensors=[Info(dimensions=(1 << 30,))], data_size=1 << 32).write(tmp_path / "x.gguf")
    planned = pack(PackInputs(sparse), output, dry_run=True)
    assert planned.companion == output.with_name("my.exe")
    assert made(output) == []


class TestPublishing:
    """Two files whose moves fail at every step."""

    @pytest.fixture
    def targets(self, tmp_path: Path) -> list[Path]:
        folder = tmp_path / "out"
        folder.mkdir()
        return [folder / "main", folder / "beside"]

    @staticmethod
    def publish(targets: list[Path]) -> None:
        with publishing(targets[0]) as publication:
            for target in targets:
                publication.working_path(target).write_text("new")

    def test_all_appear(self, targets: list[Path]) -> None:
        self.publish(targets)
        self.publish(targets)  # over themselves
        assert [path.read_text() for path in targets] == ["new", "new"]
        assert len(list(targets[0].parent.iterdir())) == 2

    @pytest.mark.parametrize("older", [True, False], ids=["over older ones", "new ones"])
    def test_none_appears(self, targets: list[Path], older: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001  # a parameter
        if older:
            for path in targets:
                path.write_text("old")
        before = {path: path.read_text() for path in targets[0].parent.iterdir()}
        moves = 3 if older else 2  # aside, beside, main
        for step in range(1, 2 * moves):  # before and behind each move; behind the last one all is done
            with monkeypatch.context() as patch:
                _fail_at(step // 2 + step % 2, patch, after=step % 2 == 0)
                with pytest.raises(KeyboardInterrupt):
                    self.publish(targets)
            assert {path: path.read_text() for path in targets[0].parent.iterdir()} == before
        self.publish(targets)
        assert [path.read_text() for path in targets] == ["new", "new"]

    def test_what_is_published_stays(self, targets: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C right behind the last move comes too late."""
        _fail_at(2, monkeypatch, after=True)
        with pytest.raises(KeyboardInterrupt):
            self.publish(targets)
        assert [path.read_text() for path in targets] == ["new", "new"]


def _fail_at(count: int, patch: pytest.MonkeyPatch, *, after: bool = False) -> None:
    """Let the move number COUNT fail, before or after it is made."""
    moves = 0

    def failing(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def moved(source: Path, target: Path) -> Path:
            nonlocal moves
            moves += 1
            if moves == count and not after:
                raise KeyboardInterrupt
            result = move(source, target)
            if moves == count:
                raise KeyboardInterrupt
            return result

        return moved

    patch.setattr(Path, "rename", failing(Path.rename))
    patch.setattr(Path, "replace", failing(Path.replace))
