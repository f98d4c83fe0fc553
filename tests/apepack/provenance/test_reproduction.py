from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from apepack.errors import ReproductionError
from apepack.provenance import reproduction
from apepack.provenance.reproduction import Verdict, reproduce
from runtime.errors import CompileError
from tests.builders.ape import small_program
from tests.builders.llamafile import PLATFORMS, RECORD
from zipalign import remove_entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.builder.build_record import BuildRecord
    from runtime.platforms import Platform


@pytest.fixture(autouse=True)
def same_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduction, "current_build_record", lambda: RECORD)


@pytest.fixture
def build(tmp_path: Path) -> Callable[[Platform], Path]:
    """A build of what the llamafile was linked from."""

    def fill(platform: Platform) -> Path:
        path = tmp_path / platform.name
        path.write_bytes(small_program(platform.name))
        return path

    return fill


def test_the_same_programs(packed: Path, build: Callable[[Platform], Path]) -> None:
    assert [str(result) for result in reproduce(packed, build)] == [f"{name}: same" for name in PLATFORMS]


@pytest.mark.parametrize("name", [name for name in PLATFORMS if name != "macos-arm64"])  # that has a signature
def test_another_program(name: str, packed: Path, build: Callable[[Platform], Path]) -> None:
    def change(platform: Platform) -> Path:
        path = build(platform)
        if platform.name == name:
            data = bytearray(path.read_bytes())
            data[0x210] ^= 1
            path.write_bytes(data)
        return path

    results = {result.platform: result for result in reproduce(packed, change)}
    assert {item for item in results if results[item].verdict is not Verdict.SAME} == {name}
    assert results[name].verdict is Verdict.DIFFERENT
    assert "SHA-256" in results[name].reason


def test_a_build_that_fails(packed: Path) -> None:
    def fail(platform: Platform) -> NoReturn:
        raise CompileError("compiling it", "the compiler's output")

    assert {str(result) for result in reproduce(packed, fail)} == {
        f"{name}: cannot be built here: compiling it failed" for name in PLATFORMS
    }


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (replace(RECORD, source_sha256="0" * 64), "engine source_sha256 is 000"),
        (replace(RECORD, patches_sha256="0" * 64), "engine patches_sha256 is 000"),
        (replace(RECORD, revision="0" * 64), "toolchain revision is 000"),
        (replace(RECORD, tools={"zig": "1"}), "toolchain tools is zig 1 here (expected cmake 4.4.4, ninja 1.13.2"),
    ],
    ids=["source", "patches", "revision", "tools"],
)
def test_other_sources(
    record: BuildRecord,
    word: str,
    packed: Path,
    build: Callable[[Platform], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reproduction, "current_build_record", lambda: record)
    for result in reproduce(packed, build):
        assert result.verdict is Verdict.IMPOSSIBLE
        assert result.reason.startswith(word)


def test_a_file_that_was_changed(target: Path, build: Callable[[Platform], Path]) -> None:
    data = bytearray(target.read_bytes())
    data[0x10000 + 0x210] ^= 1
    target.write_bytes(data)
    first = next(reproduce(target, build))
    assert (first.verdict, first.reason) == (
        Verdict.DIFFERENT,
        "the program in the file is not the one in its manifest",
    )


def test_a_file_without_an_origin(target: Path, build: Callable[[Platform], Path]) -> None:
    remove_entries(target, ["manifest.json"])
    with pytest.raises(ReproductionError, match="does not say"):
        list(reproduce(target, build))
