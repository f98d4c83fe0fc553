"""Promises C: the commands of the examples. What a model says is forced by grammars, or compared with itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.completions import ENVIRONMENT, Completer, packed_program
from tests.builders.gguf import TinyProjector
from tests.builders.hosts import windows_command
from tests.builders.image import Picture
from tests.pipeline.conftest import run
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path

C_FUNCTION = "```c\nvoid *memcpy_sse2(char *dst, const char *src, size_t size) {\n"


@pytest.fixture(scope="module")
def tiny(program: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Completer:
    packed = packed_program(program, tmp_path_factory.mktemp("commands"), Member("yes.gbnf", b'root ::= "yes"\n'))
    return Completer((str(packed), "-m", str(tiny_model), "-c", "256"))


def forced(text: str) -> list[str]:
    """Options that leave the model nothing to say but TEXT."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return ["--grammar", f'root ::= "{quoted}"']


def test_c1_prompt_and_text_and_one_newline(tiny: Completer) -> None:
    prompt = "[INST]Write a story about llamas[/INST]"
    assert tiny.text("-ngl", 0, "--temp", 0.7, "-p", prompt, *forced(" Once.")) == prompt.encode() + b" Once.\n"
    assert tiny.text("-p", "x", *forced("line\n")) == b"xline\n"  # no second newline
    assert tiny.text("-p", "x", "-n", 0) == b"x\n"


def test_c2_escapes_and_a_reverse_prompt(tiny: Completer) -> None:
    """The reverse prompt is part of the text: it is the end of a block of code."""
    arguments = ["--temp", 0, "-e", "-r", "```\\n", "-p", C_FUNCTION.replace("\n", "\\n")]
    assert tiny.text(*arguments, *forced("}\n```\nAnd so on")) == C_FUNCTION.encode() + b"}\n```\n"


def test_c3_without_e_a_backslash_is_a_backslash(tiny: Completer) -> None:
    assert tiny.text("-p", "a\\n", "-r", "\\n", *forced("b\nc\\nd")) == b"a\\nb\nc\\n\n"
    assert tiny.text("-p", "a\n", "-r", "\n", *forced("b\nc")) == b"a\nb\n"


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp"])
def test_c4_an_image_for_an_embedded_projector(
    llamafile: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str], suffix: str
) -> None:
    picture = Picture()
    image = tmp_path / f"lemurs.{suffix}"
    image.write_bytes({"jpg": picture.jpeg, "png": picture.png, "gif": picture.gif, "bmp": picture.bmp}[suffix]())
    projector = TinyProjector().write(tmp_path / "mmproj.gguf")
    defaults = b"-m\ntiny.gguf\n--mmproj\nmmproj.gguf\n"
    members = [Member("tiny.gguf", tiny_model), Member("mmproj.gguf", projector), Member(".args", defaults)]
    add_files(llamafile, members)
    prompt = "### User: What do you see?\\n### Assistant:"
    arguments = ["--temp", "0.2", "--image", str(image), "-e", "-p", prompt, "-n", "4"]
    result = run(llamafile, *arguments, env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("### User: What do you see?\n### Assistant:")
    assert run(llamafile, *arguments[:3], "/nonexistent.jpg", *arguments[4:], env=bare).returncode == 1


def test_c5_several_reverse_prompts(tiny: Completer) -> None:
    arguments = ["--temp", 0, "-r", "}\\n", "-r", "```\\n", "-e", "-p", "x", "--no-display-prompt"]
    assert tiny.text(*arguments, *forced("a```\nb}\nc")) == b"a```\n"
    assert tiny.text(*arguments, *forced("a}\nb```\nc")) == b"a}\n"


def test_c6_a_chatbot(tiny: Completer) -> None:
    """The example's options, in its spelling; the turns are in test_conversation.py."""
    arguments = ["--interactive", "--color", "--batch_size", 1024, "--ctx_size", 4096, "--keep", -1, "--temp", 0]
    arguments += ["--mirostat", 2, "--in-prefix", " ", "--interactive-first", "--in-suffix", "Digital Athena:"]
    arguments += ["--reverse-prompt", "Researcher:", "-p", "A chat.\nResearcher:", *forced(" Yes.\nResearcher:")]
    result = tiny.run(*arguments, stdin=b"Are you there?\nAnd now?\n")
    assert result.returncode == 0
    shown = re.sub(rb"\x1b\[\d+m", b"", result.stdout)
    turn = b" Digital Athena: Yes.\nResearcher:"
    assert shown == b"A chat.\nResearcher:" + turn + turn + b" \n"
    assert b"\x1b[" in result.stdout  # asked for, so also where there is no terminal


@pytest.mark.parametrize("silent", ["--no-display-prompt", "--silent-prompt"])
@pytest.mark.parametrize("context", ["0", "6700"])
def test_c7_c8_standard_input_is_summarised(tiny: Completer, silent: str, context: str) -> None:
    arguments = ["-f", "/dev/stdin", "-c", context, "-ngl", 35, "--temp", 0, "-n", 500, silent]
    result = tiny.run(*arguments, *forced("A summary."), stdin=b"[INST]Summarize:\n" + b"x" * 200 + b"\n[/INST]\n")
    assert (result.returncode, result.stdout) == (0, b"A summary.\n")


def test_standard_input_may_be_a_socket(tiny: Completer) -> None:
    """Some programs start others that way, and Linux does not open /dev/stdin then."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"a prompt\n")
        ours.shutdown(socket.SHUT_WR)
        command = [*tiny.command, "-f", "/dev/stdin", "-n", "0"]
        result = subprocess.run(
            command, stdin=theirs.fileno(), stdout=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False
        )
    assert (result.returncode, result.stdout) == (0, b"a prompt\n")


def test_c9_an_image_is_described(tiny: Completer, tmp_path: Path) -> None:
    projector = TinyProjector().write(tmp_path / "mmproj.gguf")
    image = tmp_path / "l.jpg"
    image.write_bytes(Picture().jpeg())
    arguments = ["--image", image, "--mmproj", projector, "-e", "-p", "### User: What?\\n### Assistant: "]
    assert tiny.text(*arguments, "--no-display-prompt", *forced("Four squares")) == b"Four squares\n"


def test_c10_yes_or_no(tiny: Completer, tmp_path: Path) -> None:
    grammar = 'root ::= "yes" | "no"'
    arguments = ["--temp", 0, "-p", "Is it? ", "--no-display-prompt"]
    answer = tiny.text(*arguments, "--grammar", grammar)
    assert answer in (b"yes\n", b"no\n")
    file = tmp_path / "answer.gbnf"
    file.write_text(grammar)
    assert tiny.text(*arguments, "--grammar-file", file) == answer
    assert tiny.text(*arguments, "--grammar-file", "yes.gbnf") == b"yes\n"  # a member of the program's archive
    assert tiny.text(*arguments, "--grammar-file", "/zip/yes.gbnf") == b"yes\n"


def test_c11_a_file_name(tiny: Completer) -> None:
    """Piped through the example's own `sed`."""
    grammar = 'root ::= [a-z]+ (" " [a-z]+)+'
    text = tiny.text("--temp", 0, "-p", "x", "-n", 30, "--no-display-prompt", "--grammar", grammar, "-s", 3)
    name = subprocess.run(
        ["sed", "-e", "s/ /_/g", "-e", "s/$/.jpg/"], input=text, capture_output=True, timeout=60, check=True
    ).stdout
    assert re.fullmatch(rb"[a-z_]+\.jpg\n", name)


def test_c14_external_weights_on_windows(llamafile: Path, tiny_model: Path) -> None:
    """Lines end as they do everywhere: what follows in a pipe is used to that."""
    program = llamafile.rename(llamafile.with_name("llamafile.exe"))
    arguments = ["-m", str(tiny_model), "-ngl", "9999", "-p", "x", *forced("a\nb")]
    command, environment = windows_command(program, *arguments)
    result = subprocess.run(command, capture_output=True, env=environment, timeout=300, check=False)
    assert result.stdout == b"xa\nb\n", result.stderr


def test_c15_external_weights(runtime: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    result = run(runtime, "-m", str(tiny_model), "-p", "hello", *forced(" there"), env=bare)
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello there\n", "")


def test_the_same_seed_says_the_same(tiny: Completer) -> None:
    arguments = ["-p", "x", "-n", 40, "--temp", 2]
    texts = [tiny.text(*arguments, "-s", seed) for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


def test_special_tokens_are_shown_when_asked_for(tiny: Completer) -> None:
    assert tiny.text("-p", "x", "--special", *forced("y")) == b"xy</s>\n"


def test_a_full_context(tiny: Completer) -> None:
    """It is the end, whatever -n is; or its older half is forgotten, all but what is to be kept."""
    arguments = ["-p", "hello", "--temp", 0, "--ignore-eos", "--no-display-prompt"]
    text = tiny.text(*arguments, "-n", 600, "--context-shift")
    assert len(text) > 256  # no token of this model is more than a character
    kept = tiny.text(*arguments, "-n", 600, "--context-shift", "--keep", -1)
    until_full = tiny.text(*arguments, "-n", -2)
    assert len(until_full) < 256 + 1
    assert text.startswith(until_full[:-1])
    assert kept.startswith(until_full[:-1])
    assert kept != text
    for limit in ([], ["-n", -1], ["-n", 600], ["-n", 600, "--no-context-shift"]):
        result = tiny.run(*arguments, *limit)
        assert (result.returncode, result.stdout) == (0, until_full)
        assert b"the context is full; give a larger one with -c" in result.stderr


def test_self_extend(tiny: Completer) -> None:
    arguments = ["-p", "hello", "--temp", 0, "--ignore-eos", "-n", 150]
    assert tiny.text(*arguments, "-gan", 2, "-gaw", 64) != tiny.text(*arguments)
    assert "-gaw must be a multiple" in tiny.sentence(*arguments, "-gan", 3, "-gaw", 64)


def test_characters_are_whole(tiny: Completer) -> None:
    """This model spells ä in two tokens and 😀 in four; no read sees a part of one."""
    arguments = ["-p", "ü", "-n", "240", "--grammar", 'root ::= ("ä😀"){30}']
    for byte in "ä😀".encode():  # the engine's grammars do not check how a character goes on
        arguments += ["--logit-bias", f"{3 + byte}+100"]
    with subprocess.Popen([*tiny.command, *arguments], stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        texts = [read.decode() for read in iter(lambda: os.read(pipe, 4096), b"")]
    assert process.returncode == 0
    assert "".join(texts) == "ü" + "ä😀" * 30 + "\n"


def test_control_c_ends_a_completion(tiny: Completer) -> None:
    command = [*tiny.command, "-p", "x", "--ignore-eos"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stdout.read(10).startswith(b"x")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=10) == 130


def test_a_closed_pipe_ends_it(tiny: Completer) -> None:
    command = [*tiny.command, "-p", "x", "--ignore-eos"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(timeout=10) == -signal.SIGPIPE
        assert process.stderr.read() == b""


@pytest.mark.parametrize(("redirection", "word"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left")])
def test_an_unreadable_file(tiny: Completer, redirection: str, word: str) -> None:
    command = ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *tiny.command, "-p", "x", "-n", "1"]
    result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False)
    assert result.returncode == 1
    assert "cannot write the text to standard output: " + word in result.stderr


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"a\0b", b"a\0b\n"),
        (b"\xff\xfe \xc3", b"\xff\xfe \xc3\n"),
        (b"a\n", b"a\n"),
        (b"a\r\n\n", b"a\r\n"),
        ("\u00e4\u4e16\U0001f600".encode(), "\u00e4\u4e16\U0001f600\n".encode()),
    ],
    ids=["NUL", "no UTF-8", "a newline", "two newlines", "UTF-8"],
)
def test_any_bytes_are_a_prompt(tiny: Completer, tmp_path: Path, content: bytes, shown: bytes) -> None:
    """But for the newline that editors put at the end of a file."""
    file = tmp_path / "prompt"
    file.write_bytes(content)
    assert tiny.text("-f", file, "-n", 0) == shown


def test_an_empty_prompt(tiny: Completer) -> None:
    assert tiny.text("-p", "", *forced("y")) == b"y\n"


def test_a_prompt_that_is_no_prompt(tiny: Completer, tmp_path: Path) -> None:
    long = tmp_path / "long"
    long.write_bytes(b"word " * 200_000)
    assert "the prompt has" in tiny.sentence("-f", long)
    assert "there is no file" in tiny.sentence("-f", tmp_path / "missing")
    assert "it is a folder" in tiny.sentence("-f", tmp_path)
    assert "there is no file" in tiny.sentence("-p", "x", "--grammar-file", "missing.gbnf")
