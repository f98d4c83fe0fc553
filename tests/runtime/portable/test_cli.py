"""The command of the portable runtime: its output, and its error messages."""

from __future__ import annotations

import io
import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from runtime.gguf.header import GgufHeader
from runtime.portable import cli
from runtime.portable.cli import main
from tests.builders.gguf import Gguf, TinyModel, sized, text
from zipalign import Member, add_files

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, bytes, str]]

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that talks nonsense; its context has room for 64 tokens."""
    return TinyModel(context=64).write(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def said(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the command, and return its status, output and messages."""

    def run(*arguments: str | Path) -> tuple[int, bytes, str]:
        status = main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return status, out, err.decode()

    return run


def packed(tiny: Path, *arguments: str, **members: bytes) -> Path:
    """A llamafile with the model, and default arguments."""
    path = Path("my.llamafile")
    path.write_bytes(b"MZqFpD='\n")
    lines = "".join(f"{argument}\n" for argument in arguments)
    extra = [Member(name, content) for name, content in members.items()]
    add_files(path, [Member("tiny.gguf", tiny), Member(".args", lines.encode()), *extra])
    return path


def test_a_text(said: Run, tiny: Path) -> None:
    status, out, err = said(tiny, "-p", "hello", "-n", "8", "--temp", "0")
    assert (status, err) == (0, "")
    assert out.startswith(b"hello")
    assert out.endswith(b"\n")
    added = out.removeprefix(b"hello")
    assert added.strip()
    assert said(tiny, "-p", "hello", "-n", "8", "--temp", "0", "--no-display-prompt") == (0, added, "")
    assert said(tiny, "-p", "hello", "-n", "8", "--temp", "0", "--cache-weights", "-t", "1") == (0, out, "")


def test_seeds(said: Run, tiny: Path) -> None:
    one, again, other = (said(tiny, "-p", "hello", "-n", "20", "--seed", seed)[1] for seed in ("1", "1", "2"))
    assert one == again != other


def test_prompts(said: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p").write_bytes(b"from a\\nfile\n\n")
    assert said(tiny, "-f", "p", "-n", "0") == (0, b"from a\\nfile\n", "")
    assert said(tiny, "-e", "-f", "p", "-n", "0") == (0, b"from a\nfile\n", "")
    assert said(tiny, "-bf", "p", "-n", "0") == (0, b"from a\\nfile\n\n", "")
    assert said(tiny, "-p", "no \udcff UTF-8", "-n", "0") == (0, b"no \xff UTF-8\n", "")
    assert said(tiny, "--random-prompt", "-n", "0") == (0, b"Once upon a time\n", "")
    assert said(tiny, "-p", "", "-n", "0") == (0, b"", "")
    assert said(tiny, "--cli", "-n", "0") == (0, b"", "")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped\n")))
    assert said(tiny, "-f", "/dev/stdin", "-n", "0") == (0, b"piped\n", "")


def test_a_reverse_prompt_ends_the_text(said: Run, tiny: Path) -> None:
    text = said(tiny, "-p", "hello", "-n", "30", "--temp", "0", "--no-display-prompt")[1]
    stop = text[3:5]
    stopped = said(
        tiny,
        "-p",
        "hello",
        "-n",
        "30",
        "--temp",
        "0",
        "--no-display-prompt",
        "-r",
        stop.decode(errors="surrogateescape"),
    )
    assert stopped == (0, text[: text.index(stop) + 2] + b"\n", "")


def test_default_arguments(said: Run, tiny: Path) -> None:
    plain = said(tiny, "-p", "hello", "-n", "8", "--temp", "0")
    path = packed(tiny, "-m", "tiny.gguf", "-p", "hello", "...", "--temp", "0", t=b"a member\n")
    assert said(path, "-n", "8") == plain
    assert said(path, "-n", "8", "-m", "/zip/tiny.gguf") == plain
    assert said(path, "-n", "8", "-m", tiny) == plain
    assert said(path, "-n", "0", "-f", "t") == (0, b"a member\n", "")
    assert said(f"{path}@tiny.gguf", "-p", "hello", "-n", "8", "--temp", "0") == plain


def test_the_value_of_a_default_argument_may_come_from_the_command_line(said: Run, tiny: Path) -> None:
    path = packed(tiny, "-m", "tiny.gguf", "-n", "0", "-p", "...")
    assert said(path, "hello") == (0, b"hello\n", "")


def test_options_without_effect_are_named_once(said: Run, tiny: Path) -> None:
    path = packed(tiny, "-m", "tiny.gguf", "-ngl", "999", "--host", "0.0.0.0", "--mlock")  # noqa: S104  # as files have it
    status, out, err = said(path, "-p", "hello", "-n", "0", "-ngl", "1")
    assert (status, out) == (0, b"hello\n")
    assert err == "llamafile: without effect in the portable runtime: '-ngl', '--host', '--mlock'\n"


def test_a_full_context(said: Run, tiny: Path) -> None:
    status, out, err = said(tiny, "-p", "hello", "--temp", "0", "-r", "</never>")
    assert (status, err) == (0, "llamafile: the context is full; give a larger one with -c\n")
    assert out.endswith(b"\n")
    assert said(tiny, "-p", "hello", "--temp", "0", "-n", "-2") == (0, out, "")
    small = said(tiny, "-p", "hello", "--temp", "0", "-n", "-2", "-c", "16")[1]
    assert out.startswith(small.removesuffix(b"\n"))
    assert len(small) < len(out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the file comes first"),
        (["-p", "x"], "the file comes first"),
        (["nowhere.gguf", "-p", "x"], "there is no file 'nowhere.gguf'"),
        (["TINY"], "continues a text, -p TEXT; page and API need the native program"),
        (["TINY", "-p", "x", "--server"], "continues a text"),
        (["TINY", "x"], "'x' belongs to no option"),
        (["TINY", "-p", "x", "--nope"], "there is no option '--nope'"),
        (["TINY", "-p", "x", "--grammar", "root ::= x"], "'--grammar' is not supported by the portable runtime"),
        (["TINY", "-p", "x", "-n", "many"], "'-n' is a whole number from -2 to 2147483647, not 'many'"),
        (["TINY", "-f", "nothing"], "there is no file 'nothing'"),
        (["TINY", "-p", "x" * 100], "the prompt has 102 tokens, but the context holds only 64"),
        (["TINY", "-p", "x", "-m", "nothing"], "there is no file 'nothing'"),
        (["TINY", "-p", "x", "-m", "\x1b[2J"], r"there is no file '\x1b[2J'"),
    ],
)
def test_what_is_wrong_is_a_sentence(said: Run, tiny: Path, arguments: list[str], words: str) -> None:
    status, out, err = said(*[str(tiny) if argument == "TINY" else argument for argument in arguments])
    assert (status, out) == (1, b"")
    assert err.startswith("llamafile: ")
    assert words in err
    assert err.count("\n") == 1


LENGTH_OF_TOKENS = struct.pack("<Q", len("tokenizer.ggml.tokens"))  # the key behind the tokenizer's kind
DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "not a GGUF file": lambda _whole: b"something else",
    "at offset": lambda whole: whole[:3000],
    "incomplete": lambda whole: whole[:-1],
    "mamba": lambda _whole: Gguf([text("general.architecture", "mamba")]).pack_header() + bytes(16),
    "'berts'": lambda whole: whole.replace(sized(b"llama") + LENGTH_OF_TOKENS, sized(b"berts") + LENGTH_OF_TOKENS),
    "no vocabulary": lambda whole: whole.replace(b"tokenizer.ggml.tokens", b"tokenizer.ggml.tokenz"),
}


@pytest.mark.parametrize("words", DAMAGED)
def test_damaged_files(said: Run, tiny: Path, words: str) -> None:
    path = Path("damaged.gguf")
    path.write_bytes(DAMAGED[words](tiny.read_bytes()))
    status, out, err = said(path, "-p", "x", "-n", "1")
    assert (status, out) == (1, b"")
    assert err.startswith("llamafile: ")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_damaged_header_is_a_sentence_or_a_text(said: Run, tiny: Path) -> None:
    whole = tiny.read_bytes()
    end = GgufHeader.unpack(whole).data_offset
    source = random.Random(1)
    statuses = set()
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(source.choice((1, 1, 4))):
            data[source.randrange(end)] = source.choice((0, 1, 0xFF, source.randrange(256)))
        Path("damaged.gguf").write_bytes(data)
        with np.errstate(all="ignore"):
            status, _, err = said("damaged.gguf", "-p", "hello", "-n", "1")
        statuses.add(status)
        assert err.count("\n") == status
        assert len(err) < 2000
    assert statuses == {0, 1}


def test_weights_that_are_no_numbers(said: Run, tiny: Path) -> None:
    """Nonsense, but no traceback."""
    data = np.frombuffer(tiny.read_bytes(), np.uint8).copy()
    data[-8192:] = 0xFF
    Path("nan.gguf").write_bytes(data.tobytes())
    with np.errstate(all="ignore"):
        status, _, err = said("nan.gguf", "-p", "x", "-n", "2")
    assert (status, err) == (0, "")


def test_default_arguments_that_are_no_text(said: Run, tiny: Path) -> None:
    path = Path("my.llamafile")
    path.write_bytes(b"MZqFpD='\n")
    add_files(path, [Member("tiny.gguf", tiny), Member(".args", b"-p\n\xff\n")])
    assert said(path) == (1, b"", "llamafile: .args: byte 0xff is not UTF-8 in line 2\n")


def test_help_and_version_need_no_model(said: Run, tiny: Path) -> None:
    for arguments in (["--help"], ["-h"], [tiny, "-help"], [tiny, "-p", "x", "--usage"], [packed(tiny, "--help")]):
        status, out, err = said(*arguments)
        assert (status, err) == (0, "")
        assert out.startswith(b"usage: python3 -m runtime FILE -p TEXT")
        assert out.isascii()  # whatever the locale, it can be shown
        assert max(map(len, out.decode().splitlines())) <= 120
    status, out, err = said("--version")
    assert (status, err) == (0, "")
    assert out.startswith(b"llamafile 0.")


def module(*arguments: str | Path, **options: object) -> subprocess.Popen[bytes]:
    """Start `python -m runtime`."""
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # options are Popen's own
        [sys.executable, "-m", "runtime", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        **options,
    )


ENDLESS = ("-p", "hello", "--temp", "0", "-c", "1000000")


def test_help_imports_neither_numpy_nor_gguf() -> None:
    code = "import sys; from runtime.portable.cli import main; main(['--help']); print(sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    modules = result.stdout.splitlines()[-1]
    assert not [name for name in ("numpy", "gguf", "click", "tqdm", "lief") if f"'{name}'" in modules]


def test_a_missing_package_is_named(said: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name.startswith("runtime.portable.") and name != "runtime.portable.cli"
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gguf", None)
    status, out, err = said(tiny, "-p", "x")
    assert (status, out) == (1, b"")
    assert err.startswith("llamafile: there is no package gguf for this Python: ")


def test_control_c_ends_it_quietly(tiny: Path, tmp_path: Path) -> None:
    with module(tiny, *ENDLESS, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(20)  # it is at it
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (130, b"")


def test_a_closed_pipe_ends_it(tiny: Path) -> None:
    with module(tiny, *ENDLESS, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(20)
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (1, b"")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-p hello -n 1 >&-", b"cannot write the text to standard output: it is closed"),
        ("-f - -n 1 <&-", b"cannot read standard input: it is closed"),
    ],
)
def test_a_stream_is_closed(tiny: Path, arguments: str, words: bytes) -> None:
    command = f'exec "{sys.executable}" -m runtime "{tiny}" {arguments}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (1, b"", b"llamafile: " + words + b"\n")


def test_memory_runs_out(said: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cli, "open_container", fail)
    status, out, err = said(tiny, "-p", "x")
    assert (status, out) == (1, b"")
    assert err.startswith("llamafile: out of memory")
