"""Whether the weights are what they are given for: architectures, projectors, adapters, and models in several files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from apepack.errors import InputError
from apepack.format.prologue import Magic
from apepack.packing.lint import LintError, Severity
from apepack.packing.lint_model import lint_model
from apepack.packing.model import read_model
from apepack.packing.pack import PackInputs, PackPolicy, PackResult, pack
from runtime.args import parse_arguments
from tests.builders.ape import names_in
from tests.builders.gguf import U16, Gguf, Info, Pair, number, text
from zipalign.errors import EntryNameError, InputFileError

if TYPE_CHECKING:
    from pathlib import Path

LLAMA = text("general.architecture", "llama")
CLIP = text("general.architecture", "clip")


@pytest.fixture
def front(tmp_path: Path) -> Path:
    path = tmp_path / "front"
    path.write_bytes(Magic.MZ.value + b"\n'\n#'\"\nexit 0\n" + bytes(8192))
    return path


def write(path: Path, *pairs: Pair, tensor: str = "t") -> Path:
    return Gguf(pairs=pairs, tensors=[Info(tensor)]).write(path)


def names(packed: PackResult) -> list[str]:
    return names_in(packed.path)


@pytest.mark.parametrize(
    ("pairs", "kind", "word"),
    [
        ((), "architecture", "does not say"),
        ((text("general.architecture", "newer"),), "architecture", "'newer' is none"),
        ((CLIP,), "model", "this is a projector"),
        ((text("general.type", "mmproj"), LLAMA), "model", "this is a projector"),
        ((text("general.type", "adapter"), LLAMA), "model", "LoRA"),
        ((text("general.type", "imatrix"), LLAMA), "model", "importance matrix"),
    ],
    ids=["no architecture", "an unknown one", "clip", "mmproj", "adapter", "imatrix"],
)
def test_what_is_no_model(pairs: tuple[Pair, ...], kind: str, word: str, tmp_path: Path) -> None:
    (finding,) = lint_model(read_model(write(tmp_path / "x.gguf", *pairs)), own_engine=True)
    assert (finding.severity, finding.kind, finding.path) == (Severity.ERROR, kind, tmp_path / "x.gguf")
    assert word in finding.message


def test_a_vocabulary_is_no_model(tmp_path: Path) -> None:
    model = read_model(Gguf(pairs=[LLAMA], tensors=[], data_size=0).write(tmp_path / "x.gguf"))
    assert ["no tensors" in finding.message for finding in lint_model(model, own_engine=True)] == [True]


def test_another_runtime_may_know_more(front: Path, tmp_path: Path) -> None:
    model = write(tmp_path / "x.gguf", text("general.architecture", "newer"))
    packed = pack(PackInputs(model), tmp_path / "out", runtime=front)
    assert [finding.severity for finding in packed.findings] == [Severity.WARNING]
    with pytest.raises(LintError, match="'newer'"):
        pack(PackInputs(model), tmp_path / "strict", runtime=front, policy=PackPolicy(strict=True))


def test_every_error_is_told(front: Path, tmp_path: Path) -> None:
    model = write(tmp_path / "x.gguf", CLIP)
    with pytest.raises(LintError) as caught:
        pack(PackInputs(model, ["-m", "y.gguf", "-f", "z"]), tmp_path / "out", runtime=front)
    assert [finding.kind for finding in caught.value.findings] == ["model", "arguments", "arguments"]
    assert all(finding.message in str(caught.value) for finding in caught.value.findings)


class TestProjectors:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return write(tmp_path / "x.gguf", LLAMA)

    @pytest.fixture
    def projector(self, tmp_path: Path) -> Path:
        return write(tmp_path / "mmproj-x.gguf", CLIP, text("general.type", "mmproj"))

    def test_it_is_packed_and_named(self, model: Path, projector: Path, front: Path, tmp_path: Path) -> None:
        packed = pack(PackInputs(model, ["--temp", "0"], projector=projector), tmp_path / "out", runtime=front)
        assert names(packed) == ["x.gguf", "mmproj-x.gguf", ".args"]
        written = parse_arguments(packed.payload.arguments)
        assert written == ["-m", "x.gguf", "--mmproj", "mmproj-x.gguf", "--temp", "0", "..."]

    def test_it_is_named_once(self, model: Path, projector: Path, front: Path, tmp_path: Path) -> None:
        inputs = PackInputs(model, ["-mm", "mmproj-x.gguf"], projector=projector)
        assert parse_arguments(pack(inputs, tmp_path / "out", runtime=front).payload.arguments)[2:4] == [
            "-mm",
            "mmproj-x.gguf",
        ]

    def test_swapped(self, model: Path, projector: Path, front: Path, tmp_path: Path) -> None:
        with pytest.raises(LintError, match="swapped") as caught:
            pack(PackInputs(projector, projector=model), tmp_path / "out", runtime=front)
        assert {finding.kind for finding in caught.value.findings} == {"model", "projector"}

    def test_a_model_for_a_projector(self, model: Path, front: Path, tmp_path: Path) -> None:
        other = write(tmp_path / "y.gguf", LLAMA)
        with pytest.raises(LintError, match="no projector"):
            pack(PackInputs(model, projector=other), tmp_path / "out", runtime=front)

    def test_arguments_that_forget_it(self, model: Path, projector: Path, front: Path, tmp_path: Path) -> None:
        (tmp_path / "defaults").write_bytes(b"-m\nx.gguf\n")
        inputs = PackInputs(model, args_file=tmp_path / "defaults", projector=projector)
        (finding,) = pack(inputs, tmp_path / "out", runtime=front).findings
        assert "--mmproj and mmproj-x.gguf" in finding.message
        (tmp_path / "defaults").write_bytes(b"-m\nx.gguf\n--mmproj\nmmproj-x.gguf\n")
        assert pack(inputs, tmp_path / "out", runtime=front).findings == ()


class TestShards:
    @pytest.fixture
    def shards(self, tmp_path: Path) -> list[Path]:
        return [self.write(tmp_path, number) for number in (1, 2, 3)]

    @staticmethod
    def write(
        folder: Path, position: int, *, name: int = 0, count: int = 3, tensors: int = 3, tensor: str = ""
    ) -> Path:
        pairs = [LLAMA] if position == 1 else []
        pairs += [number("split.no", position - 1, U16), number("split.count", count, U16)]
        pairs += [number("split.tensors.count", tensors)]
        return write(folder / f"x-{name or position:05}-of-00003.gguf", *pairs, tensor=tensor or f"t{position}")

    def test_all_are_packed(self, shards: list[Path], front: Path, tmp_path: Path) -> None:
        packed = pack(PackInputs(shards[0], extra=[shards[1]]), tmp_path / "out", runtime=front)
        assert names(packed) == [*(path.name for path in shards), ".args"]
        assert parse_arguments(packed.payload.arguments) == ["-m", shards[0].name, "..."]
        assert packed.findings == ()

    def test_one_is_missing(self, shards: list[Path], front: Path, tmp_path: Path) -> None:
        shards[1].unlink()
        with pytest.raises(InputError, match=r"1 of 3 shards are not beside it: x-00002-of-00003\.gguf;"):
            pack(PackInputs(shards[0]), tmp_path / "out", runtime=front)

    def test_not_the_first(self, shards: list[Path], front: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"name the first one, x-00001-of-00003\.gguf"):
            pack(PackInputs(shards[1]), tmp_path / "out", runtime=front)

    def test_renamed(self, shards: list[Path], front: Path, tmp_path: Path) -> None:
        renamed = shards[0].rename(tmp_path / "model.gguf")
        with pytest.raises(InputError, match=r"wants its name to end in -00001-of-00003\.gguf"):
            pack(PackInputs(renamed), tmp_path / "out", runtime=front)

    def test_one_is_cut_off(self, shards: list[Path], front: Path, tmp_path: Path) -> None:
        shards[2].write_bytes(shards[2].read_bytes()[:-1])
        with pytest.raises(InputError, match="incomplete") as caught:
            pack(PackInputs(shards[0]), tmp_path / "out", runtime=front)
        assert caught.value.path == shards[2]

    @pytest.mark.parametrize(
        ("wrong", "word"),
        [
            ({"position": 3, "name": 2, "tensor": "t2"}, r"shard 3 of 3 \(expected 2 of 3\)"),
            ({"position": 2, "count": 4}, r"shard 2 of 4 \(expected 2 of 3\)"),
            ({"position": 2, "tensor": "t1"}, "'t1' is in an earlier shard"),
        ],
        ids=["in the wrong place", "of another split", "with a tensor of another"],
    )
    def test_a_wrong_one(
        self, wrong: dict[str, Any], word: str, shards: list[Path], front: Path, tmp_path: Path
    ) -> None:
        self.write(tmp_path, **wrong)
        with pytest.raises(LintError, match=word) as caught:
            pack(PackInputs(shards[0]), tmp_path / "out", runtime=front)
        assert [(finding.kind, finding.path) for finding in caught.value.findings] == [("shards", shards[1])]

    def test_one_that_is_no_shard(self, shards: list[Path], front: Path, tmp_path: Path) -> None:
        write(shards[1], LLAMA, tensor="t2")
        with pytest.raises(LintError, match="no shard"):
            pack(PackInputs(shards[0]), tmp_path / "out", runtime=front)

    def test_tensors_that_are_missing(self, shards: list[Path], front: Path, tmp_path: Path) -> None:
        self.write(tmp_path, 1, tensors=4)
        with pytest.raises(LintError, match=r"hold 3 tensors \(expected 4\)"):
            pack(PackInputs(shards[0]), tmp_path / "out", runtime=front)

    def test_a_name_without_a_split(self, front: Path, tmp_path: Path) -> None:
        model = write(tmp_path / "y-00001-of-00002.gguf", LLAMA)
        (finding,) = pack(PackInputs(model), tmp_path / "out", runtime=front).findings
        assert (finding.severity, finding.kind) == (Severity.WARNING, "shards")

    @pytest.mark.slow
    def test_a_great_many(self, front: Path, tmp_path: Path) -> None:
        split = [number("split.no", 0, U16), number("split.count", 65535, U16)]
        model = write(tmp_path / "y-00001-of-65535.gguf", LLAMA, *split)
        with pytest.raises(InputError, match="65534 of 65535 shards") as caught:
            pack(PackInputs(model), tmp_path / "out", runtime=front)
        assert len(str(caught.value)) < 400


class TestMembers:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return write(tmp_path / "x.gguf", LLAMA)

    @pytest.mark.parametrize(("name", "word"), [(".args", "--args"), ("NOTICES", "licences")])
    def test_names_that_are_taken(self, name: str, word: str, model: Path, front: Path, tmp_path: Path) -> None:
        (tmp_path / "extra").mkdir()
        (tmp_path / "extra" / name).write_text("-x\n")
        with pytest.raises((LintError, InputError), match=word):
            pack(PackInputs(model, extra=[tmp_path / "extra" / name]), tmp_path / "out", runtime=front)

    def test_a_damaged_model_beside_the_model(self, model: Path, front: Path, tmp_path: Path) -> None:
        (tmp_path / "lora.gguf").write_bytes(b"GGUF")
        with pytest.raises(InputError, match="damaged") as caught:
            pack(PackInputs(model, extra=[tmp_path / "lora.gguf"]), tmp_path / "out", runtime=front)
        assert caught.value.path == tmp_path / "lora.gguf"

    def test_what_cannot_be_a_member(self, model: Path, front: Path, tmp_path: Path) -> None:
        (tmp_path / "a\\b").write_text("")
        for extra, error in (
            (tmp_path / "a\\b", EntryNameError),
            (tmp_path, InputFileError),
            (tmp_path / "no", OSError),
        ):
            with pytest.raises(error):
                pack(PackInputs(model, extra=[extra]), tmp_path / "out", runtime=front)

    def test_the_model_once_more(self, model: Path, front: Path, tmp_path: Path) -> None:
        packed = pack(PackInputs(model, extra=[model]), tmp_path / "out", runtime=front)
        assert names(packed) == ["x.gguf", ".args"]


def test_sizes_add_up(front: Path, tmp_path: Path) -> None:
    """A model of 5 GiB that takes no space: only planned."""
    sparse = replace(Gguf(), tensors=[Info(dimensions=(5 << 28,))], data_size=5 << 30).write(tmp_path / "x.gguf")
    planned = pack(PackInputs(sparse), tmp_path / "out", runtime=front, dry_run=True)
    assert planned.members[1].data_offset > 5 << 30
    assert planned.size > planned.members[1].data_offset
