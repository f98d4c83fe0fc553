"""Names of GGUF files and of shards."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from runtime.gguf.file_names import ShardName, is_gguf_name, parse_shard_name
from runtime.platforms import host_platform
from tests.builders.compiled import compiled_program

SHIM: Final = Path(__file__).parents[3] / "runtime" / "shim"
SHARDS: dict[str, ShardName | None] = {
    "x-00001-of-00003.gguf": ShardName("x", 1, 3),
    "x-00002-of-00003.GGUF": ShardName("x", 2, 3),
    "x-00002-OF-00003.Gguf": ShardName("x", 2, 3),
    "-00002-of-00003.gguf": ShardName("", 2, 3),
    "a\nb-00099-of-99999.gguf": ShardName("a\nb", 99, 99999),
    "x-00000-of-00000.gguf": ShardName("x", 0, 0),
    "x-00001-of-00002-00003-of-00004.gguf": ShardName("x-00001-of-00002", 3, 4),
    "x00001-of-00003.gguf": None,
    "x-0001-of-00003.gguf": None,
    "x-00001-of-000003.gguf": None,
    "x-00001-of-00003.gguf ": None,
    "x-00001-of-00003": None,
    "x-\u0660\u0660\u0660\u0660\u0661-of-00003.gguf": None,  # digits, but not those of ASCII
    "x.gguf": None,
    "": None,
}


@pytest.mark.parametrize("name", SHARDS)
def test_shard_names(name: str) -> None:
    assert parse_shard_name(name) == SHARDS[name]


@pytest.mark.needs_compiler
def test_the_shim_has_the_same_rule() -> None:
    sources = [Path(__file__).with_name("shard_names.cpp"), SHIM / "archive/shard_name.cpp", SHIM / "base/text.cpp"]
    headers = sorted(path for folder in ("archive", "base") for path in (SHIM / folder).glob("*.h"))
    program = compiled_program(host_platform(), sources, ["-std=c++20", f"-I{SHIM}"], headers)
    output = subprocess.run([program, *SHARDS], capture_output=True, check=True, timeout=60).stdout.split(b"\0")
    parsed = (f"{shard.stem}|{shard.number}|{shard.sibling(7)}" if shard else "none" for shard in SHARDS.values())
    assert [field.decode() for field in output] == [*parsed, ""]


def test_siblings_are_spelled_as_the_engine_spells_them() -> None:
    shard = parse_shard_name("x-00002-of-00003.GGUF")
    assert shard is not None
    assert [shard.sibling(number) for number in (1, 3)] == ["x-00001-of-00003.gguf", "x-00003-of-00003.gguf"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x.gguf", True), ("x.GGuf", True), (".gguf", False), ("x.gguf.txt", False), ("xgguf", False), ("", False)],
)
def test_gguf_names(name: str, expected: bool) -> None:  # noqa: FBT001  # a parameter
    assert is_gguf_name(name) is expected
