"""Default arguments: errors, warnings, and those that are accepted without a remark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from apepack.format.prologue import Magic
from apepack.packing import lint_options
from apepack.packing.lint import LintError, Severity
from apepack.packing.lint_args import has_option, lint_arguments
from apepack.packing.pack import PackInputs, pack
from apepack.packing.portable_part import portable_members
from runtime.args import parse_arguments
from runtime.errors import ArgumentsError
from tests.builders.gguf import TinyModel
from zipalign import add_files

MEMBERS = ("tiny.gguf", "g.gbnf", "www/index.html", ".args")


@pytest.fixture
def front(tmp_path: Path) -> Path:
    path = tmp_path / "front"
    path.write_bytes(Magic.MZ.value + b"\n'\n#'\"\nexit 0\n" + bytes(8192))
    return path


@dataclass(frozen=True)
class Row:
    """The content of an .args file, and what becomes of it: accepted, refused, or told of."""

    name: str
    data: bytes
    error: type[Exception] | None = None
    word: str = ""


FILES = (
    Row("empty", b""),
    Row("CRLF", b"-m\r\ntiny.gguf\r\n...\r\n"),
    Row("byte order mark", b"\xef\xbb\xbf-m\ntiny.gguf\n"),
    Row("no final newline", b"-m\ntiny.gguf"),
    Row("NUL", b"-m\ntiny.gguf\0\n", ArgumentsError, "NUL"),
    Row("no dots", b"-m\ntiny.gguf\n--temp\n0\n"),
    Row("dots twice", b"-m\ntiny.gguf\n...\n--temp\n0\n...\n", LintError, "more than once"),
    Row("quotes", b"-m\ntiny.gguf\n-p\n'hello'\n", None, "quotes are part"),
    Row("option and value in one line", b"-m tiny.gguf\n", LintError, "one line each"),
    Row("a line of 1 MiB", b"-m\ntiny.gguf\n-p\n" + b"x" * (1 << 20) + b"\n"),
    Row("invalid UTF-8", b"-m\n\xfftiny.gguf\n", ArgumentsError, "UTF-8"),
    Row("more than the runtime reads", b"-p\n" + b"x" * (16 << 20) + b"\n", LintError, "more than the"),
)


@pytest.mark.parametrize("row", FILES, ids=lambda row: row.name)
def test_files(row: Row, model: Path, front: Path, tmp_path: Path) -> None:
    (tmp_path / "defaults").write_bytes(row.data)
    inputs = PackInputs(model, args_file=tmp_path / "defaults")
    if row.error:
        with pytest.raises(row.error, match=row.word):
            pack(inputs, tmp_path / "out", runtime=front)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["defaults", "front"]
    else:
        findings = pack(inputs, tmp_path / "out", runtime=front).findings
        assert [finding.severity for finding in findings] == [Severity.WARNING] * bool(row.word)
        assert all(row.word in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ("-m tiny.gguf", None),
        ("--model /zip/tiny.gguf", None),
        ("-m other.gguf", "-m 'other.gguf', and no such member: add it with --add"),
        ("-m Tiny.gguf", "'Tiny.gguf', and no such member"),
        ("-m models/tiny.gguf", "its name in the archive is 'tiny.gguf'"),
        ("-m C:models\\tiny.gguf", "its name in the archive is 'tiny.gguf'"),
        ("-m /zip/other.gguf", "'/zip/other.gguf', and no such member"),
        ("-m /models/tiny.gguf", "would have to have there"),
        ("-m C:\\models\\tiny.gguf", "would have to have there"),
        ("-m", None),
        ("-m ...", None),
        ("--image ...", None),
        ("-f -m", "-f '-m'"),
        ("--mmproj m.gguf", "--mmproj 'm.gguf'"),
        ("-mm m.gguf", "-mm 'm.gguf'"),
        ("-md draft.gguf", "'draft.gguf'"),
        ("--model_draft draft.gguf", "--model-draft 'draft.gguf'"),
        ("--lora tiny.gguf,b.gguf", "--lora 'b.gguf'"),
        ("--lora-scaled tiny.gguf:0.5,b.gguf:2", "'b.gguf'"),
        ("--control-vector-scaled tiny.gguf:0.5", None),
        ("--grammar-file g.gbnf", None),
        ("--grammar-file other.gbnf", "'other.gbnf'"),
        ("--chat-template-file /zip/t.jinja", "'/zip/t.jinja'"),
        ("-f /dev/stdin", None),
        ("-f prompt.txt", "'prompt.txt'"),
        ("--path /zip/www", None),
        ("--path /zip/", None),
        ("--path /zip/web", "'/zip/web'"),
        ("--ssl-key-file key.pem", None),
        ("--log-file log.txt", None),
        ("--prompt-cache cache.bin", None),
        ("-p other.gguf", None),
        ("--alias other.gguf", None),
        ("--temp 0 tiny.gguf", "behind no option"),
        ("tiny.gguf", "behind no option"),
    ],
    ids=str,
)
def test_names(lines: str, word: str | None) -> None:
    found = [finding.message for finding in lint_arguments(lines.split(" "), 100, MEMBERS)]
    if word is None:
        assert found == []
    else:
        assert len(found) == 1
        assert word in found[0]


def test_an_option_and_its_value_in_one_line() -> None:
    found = [finding.message for finding in lint_arguments(["--temp 0.7", "-n=5", "-p", "--help me"], 100, MEMBERS)]
    assert ["'--temp 0.7'" in found[0], "'-n=5'" in found[1], len(found)] == [True, True, 2]


def test_long_lines_are_told_of_briefly() -> None:
    (finding,) = lint_arguments(["-m", "x" * 1000], 100, MEMBERS)
    assert len(finding.message) < 200


def test_several_models_and_none_named(model: Path, front: Path, tmp_path: Path) -> None:
    other = TinyModel(seed=2).write(tmp_path / "other.gguf")
    (tmp_path / "defaults").write_bytes(b"--temp\n0\n")
    with pytest.raises(LintError, match="names no model"):
        pack(PackInputs(model, args_file=tmp_path / "defaults", extra=[other]), tmp_path / "out", runtime=front)
    for option in ("-m", "--model", "-hf"):
        named = ["--unsealed", option, "tiny.gguf"]
        assert list(lint_arguments(named, 100, {*MEMBERS, "other.gguf"})) == []


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ("--nosuch", "there is no option '--nosuch'"),
        ("-x 3", "there is no option '-x'"),
        ("--nosuch ...", "there is no option '--nosuch'"),
        ("--n_predict 4", None),
        ("--port 99999", "'--port' is a whole number from 0 to 65535, not '99999'"),
        ("--port ...", None),
        ("--port", None),
        ("... --port", "'--port' needs a value"),
        ("... --temp 0 -n", "'-n' needs a value"),
        ("-ctk f17", "'-ctk' is f32, f16,"),
        ("--color", None),
        ("--color on", None),
        ("--color red", "'red' belongs to no option"),
        ("--flash-attn -p x", None),
        ("-p --nosuch", None),
        ("--control-vector-layer-range 1 ...", None),
        ("--control-vector-layer-range a 1", "'--control-vector-layer-range' is a whole number"),
        ("--device CUDA0", None),
        ("--recompile --tfs x", None),
        ("--mlock yes", "'yes' belongs to no option"),
        ("-", "'-' belongs to no option"),
        ("-hf a/b", "'-hf' names a model elsewhere"),
        ("--unsealed -hf a/b", None),
    ],
    ids=str,
)
def test_options(lines: str, word: str | None) -> None:
    """As the runtime starts with them or not (tests/runtime/test_options.py compares the values)."""
    arguments = lines.split(" ")
    found = list(lint_arguments(arguments, 100, MEMBERS))
    unsure = list(lint_arguments(arguments, 100, MEMBERS, own_options=False))
    assert [finding.severity for finding in found] == [Severity.ERROR] * bool(word and found)
    assert [finding.severity for finding in unsure] == [Severity.WARNING] * len(found)
    if word:
        assert word in found[0].message
        assert "another version" in unsure[0].message


def test_every_option_that_is_refused_for_its_remote_model() -> None:
    """Those that the runtime refuses in a sealed file."""
    shim = (Path(__file__).parents[3] / "runtime" / "shim" / "options" / "translation.cpp").read_text()
    found = re.search(r"REMOTE_MODEL_OPTIONS = \{(.*?)\n\};", shim, re.DOTALL)
    assert found is not None
    assert set(re.findall(r'"([^"]+)"', found[1])) == lint_options._REMOTE_MODEL_OPTIONS


def test_a_runtime_of_another_version(model: Path, front: Path, tmp_path: Path) -> None:
    """Whose portable runtime has another table of options, or which has none."""
    shown = pack(PackInputs(model, ["--nosuch"]), tmp_path / "out", runtime=front).findings
    assert ["another version" in finding.message for finding in shown] == [True]
    own = [member for member in portable_members() if member.name.endswith("runtime/options.py")]
    add_files(front, own)
    with pytest.raises(LintError, match="there is no option '--nosuch'"):
        pack(PackInputs(model, ["--nosuch"]), tmp_path / "out", runtime=front)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ([], ["-m", "tiny.gguf", "..."]),
        (["--temp", "0"], ["-m", "tiny.gguf", "--temp", "0", "..."]),
        (["-c", "0", "...", "-n", "5"], ["-m", "tiny.gguf", "-c", "0", "...", "-n", "5"]),
        (["--model", "tiny.gguf"], ["--model", "tiny.gguf", "..."]),
        (["-p", "two\nlines"], ["-m", "tiny.gguf", "-p", "two\nlines", "..."]),
    ],
    ids=["none", "some", "dots", "the model", "two lines"],
)
def test_what_is_written(given: list[str], written: list[str], model: Path, front: Path, tmp_path: Path) -> None:
    packed = pack(PackInputs(model, given), tmp_path / "out", runtime=front)
    assert parse_arguments(packed.payload.arguments) == written


def test_has_option() -> None:
    assert has_option(["--no_mmproj", "-mm"], {"-mm"})
    assert has_option(["--hf_repo"], {"--hf-repo"})
    assert not has_option(["m"], {"-m"})
