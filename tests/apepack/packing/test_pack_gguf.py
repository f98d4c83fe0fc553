"""GGUF files that are damaged, hostile or unusual, each through the function that the command calls."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from apepack.errors import InputError
from apepack.format.prologue import Magic
from apepack.packing.lint import LintError
from apepack.packing.model import Shard, model_stem, read_model, shard_paths
from apepack.packing.pack import PackInputs, pack
from tests.builders.gguf import ARRAY, TEXT, U16, Gguf, Info, Pair, array, number, text, texts

ARCHITECTURE = text("general.architecture", "llama")
SOUND = Gguf()
HUGE = 1 << 62


def two(second: Info) -> Gguf:
    return replace(SOUND, tensors=[Info("a"), second], data_size=48)


# What is wrong, the file, and what the error says: the field, and a word. None: it is to be accepted.
ROWS = {
    "sound": (SOUND, None),
    "version 2": (replace(SOUND, version=2), None),
    "no magic": (replace(SOUND, magic=b"GGML"), "not a GGUF file"),
    "version 1": (replace(SOUND, version=1), "version: got 1"),
    "version 4": (replace(SOUND, version=4), "version: got 4"),
    "version 0": (replace(SOUND, version=0), "version: got 0"),
    "big-endian": (replace(SOUND, version=3 << 24), "big-endian"),
    "count of pairs": (replace(SOUND, pair_count=HUGE), "metadata_kv_count"),
    "a pair too many": (replace(SOUND, pair_count=2, tensors=[Info(dimensions=(0xFFFFFFFF,))]), "damaged"),
    "count of tensors": (replace(SOUND, tensor_count=HUGE), "tensor_count"),
    "length of a key": (replace(SOUND, pairs=[Pair(b"", 0, struct.pack("<Q", HUGE))]), "key"),
    "length of a text": (replace(SOUND, pairs=[Pair(b"a", TEXT, struct.pack("<Q", HUGE))]), "cut short"),
    "length of a text in an array": (
        replace(SOUND, pairs=[array("a", TEXT, 1, struct.pack("<Q", HUGE)), ARCHITECTURE]),
        "cut short",
    ),
    "count of texts": (replace(SOUND, pairs=[array("a", TEXT, HUGE), ARCHITECTURE]), "at most"),
    "count of numbers": (replace(SOUND, pairs=[array("a", 10, HUGE), ARCHITECTURE]), "at most"),
    "an array of arrays": (replace(SOUND, pairs=[array("a", ARRAY, 1, bytes(12)), ARCHITECTURE]), "array of arrays"),
    "a type of value": (replace(SOUND, pairs=[Pair(b"a", 13, b"")]), "type 13"),
    "a type of elements": (replace(SOUND, pairs=[array("a", 13, 0), ARCHITECTURE]), "type 13"),
    "an empty key": (replace(SOUND, pairs=[text("", "x")]), "empty"),
    "a key twice": (replace(SOUND, pairs=[ARCHITECTURE, ARCHITECTURE]), "a second time"),
    "a tensor twice": (two(Info("a", offset=32)), "'a': a second time"),
    "alignment 0": (replace(SOUND, pairs=[number("general.alignment", 0)]), "general.alignment: got 0"),
    "alignment 24": (replace(SOUND, pairs=[number("general.alignment", 24)]), "power of two"),
    "alignment of another type": (replace(SOUND, pairs=[number("general.alignment", 32, U16)]), "32-bit"),
    "alignment 1": (replace(SOUND, pairs=[ARCHITECTURE, number("general.alignment", 1)], alignment=1), None),
    "alignment 4096": (
        replace(SOUND, pairs=[ARCHITECTURE, number("general.alignment", 4096)], alignment=4096),
        None,
    ),
    "five dimensions": (replace(SOUND, tensors=[Info(dimensions=(1,) * 5)]), "5 dimensions"),
    "no dimensions": (replace(SOUND, tensors=[Info(dimensions=())]), None),
    "no elements": (replace(SOUND, tensors=[Info(dimensions=(0, 7))], data_size=0), None),
    "too many elements": (replace(SOUND, tensors=[Info(dimensions=(1 << 40, 1 << 40))]), "can be counted"),
    "a negative dimension": (replace(SOUND, tensors=[Info(dimensions=(1 << 63, 0))]), "can be counted"),
    "an unknown type of tensor": (replace(SOUND, tensors=[Info(type=4)]), "type 4"),
    "a newer type of tensor": (replace(SOUND, tensors=[Info(type=42, dimensions=(64,))], data_size=18), None),
    "half a block": (replace(SOUND, tensors=[Info(type=2, dimensions=(16,))]), "multiple of 32"),
    "a long name": (replace(SOUND, tensors=[Info(name="x" * 64)]), "at most 63"),
    "a misaligned offset": (two(Info("b", offset=20)), "expected 0x20"),
    "an overlap": (two(Info("b", offset=0)), "expected 0x20"),
    "a gap": (two(Info("b", offset=64)), "expected 0x20"),
    "an offset past the end": (two(Info("b", offset=HUGE)), "expected 0x20"),
    "the last byte missing": (replace(SOUND, data_size=15), "incomplete"),
    "more than the tensors": (replace(SOUND, data_size=100), None),
    "no tensors": (replace(SOUND, tensors=[], data_size=0), "no tensors"),
    "invalid UTF-8": (replace(SOUND, pairs=[ARCHITECTURE, Pair(b"\xff", TEXT, struct.pack("<Q", 1) + b"\xfe")]), None),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str, tmp_path: Path) -> None:
    """Through what the command calls: one sentence that names the file, or the plan of a llamafile."""
    file, words = ROWS[name]
    path = file.write(tmp_path / "x.gguf")
    runtime = tmp_path / "runtime"
    runtime.write_bytes(Magic.MZ.value + b"\n'\n#'\"\nexit 0\n" + bytes(8192))
    if words is None:
        planned = pack(PackInputs(path), tmp_path / "out", runtime=runtime, dry_run=True)
        assert planned.members[0].size == path.stat().st_size
        return
    with pytest.raises((InputError, LintError), match=words) as caught:
        pack(PackInputs(path), tmp_path / "out", runtime=runtime, dry_run=True)
    assert str(caught.value).startswith(f"{path}: ")
    assert sorted(tmp_path.iterdir()) == [runtime, path]


def test_every_prefix(tmp_path: Path) -> None:
    path = SOUND.write(tmp_path / "x.gguf")
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(InputError):
            read_model(path)


@pytest.mark.parametrize(
    ("pairs", "tensors"),
    [(1 << 40, 0), (0, 1 << 40), (4096, 0), (0, 1 << 16)],
    ids=["pairs", "tensors", "pairs below the bound", "tensors below the bound"],
)
def test_a_sparse_file_of_zeros_costs_neither_time_nor_memory(tmp_path: Path, pairs: int, tensors: int) -> None:
    """In a child that may not use more than 256 MiB of address space beyond the mapped file, or five seconds."""
    path = tmp_path / "x.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs))
        file.truncate(1 << 32)
    _refused_in_a_child(path)


def test_an_array_as_large_as_the_file_costs_nothing(tmp_path: Path) -> None:
    size = 1 << 32
    sound = replace(SOUND, pairs=[ARCHITECTURE, array("a", 0, size)], tensors=[]).pack_header()
    path = tmp_path / "x.gguf"
    with path.open("wb") as file:
        file.write(sound)
        file.truncate(size)
    _refused_in_a_child(path)
    with path.open("r+b") as file:
        file.write(replace(SOUND, pairs=[ARCHITECTURE, array("a", TEXT, 1 << 28)], tensors=[]).pack_header())
    _refused_in_a_child(path)


def _refused_in_a_child(path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom apepack.errors import InputError\nfrom apepack.packing.model import read_model\n"
        "try: read_model(pathlib.Path(sys.argv[1]))\nexcept InputError: sys.exit(3)\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, ((1 << 32) + (256 << 20),) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))

    done = subprocess.run(
        [sys.executable, "-c", code, path],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parents[3],
        preexec_fn=limit,  # nothing else runs in this process
    )
    assert done.returncode == 3, done.stderr


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"")
    with pytest.raises(InputError, match="not a GGUF file"):
        read_model(tmp_path / "x.gguf")


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    split = [number("split.no", 1, U16), number("split.count", 3, U16), number("split.tensors.count", 9)]
    pairs = [
        ARCHITECTURE,
        text("general.type", "adapter"),
        *split,
        texts("words", ["a", "bc"]),
        text("long", "x" * 2000),
    ]
    model = read_model(replace(SOUND, pairs=pairs).write(tmp_path / "x.gguf"))
    assert (model.architecture, model.kind, model.shard) == ("llama", "adapter", Shard(2, 3, 9))
    assert model.tensors == ("t",)
    plain = read_model(SOUND.write(tmp_path / "y.gguf"))
    assert (plain.kind, plain.shard) == ("model", None)


def test_names_of_shards() -> None:
    first = Path("a/x-00001-of-00003.gguf")
    names = shard_paths(first)
    assert names == [Path(f"a/x-0000{number}-of-00003.gguf") for number in (1, 2, 3)]
    assert shard_paths(Path("x.gguf")) is None
    assert (model_stem(first), model_stem(Path("x.y.gguf"))) == ("x", "x.y")
