"""Interactive completions: whose turn it is, and what the model is told; through a pipe and on a terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.completions import ENVIRONMENT, Completer, packed_program
from tests.acceptance.api.servers import free_port, send_together
from tests.builders.gguf import TinyModel
from zipalign import Member

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWER = ["--grammar", 'root ::= " Yes.\\nUser:"']


@pytest.fixture(scope="module")
def tiny(program: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Completer:
    packed = packed_program(program, tmp_path_factory.mktemp("conversation"), Member("tiny.gguf", tiny_model))
    return Completer((str(packed), "--cli", "-m", "tiny.gguf", "-c", "256", "--temp", "0", "--simple-io"))


@dataclass
class Terminal:
    """The other end of a terminal."""

    process: subprocess.Popen[bytes]
    descriptor: int
    shown: bytes = b""

    def wait_for(self, text: bytes) -> None:
        """Read until TEXT is the last that is shown."""
        deadline = time.monotonic() + 60
        while not self.shown.endswith(text):
            ready, _, _ = select.select([self.descriptor], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, self.shown
            self.shown += os.read(self.descriptor, 4096)

    def type(self, keys: bytes) -> None:
        os.write(self.descriptor, keys)

    def edits_lines(self) -> bool:
        """Whether the kernel does, and shows what is typed: not while the program does."""
        flags = termios.tcgetattr(self.descriptor)[3]
        assert bool(flags & termios.ICANON) == bool(flags & termios.ECHO)
        return bool(flags & termios.ICANON)

    def leave(self) -> int:
        """The exit status, when all that was shown is read."""
        try:
            while data := os.read(self.descriptor, 4096):
                self.shown += data
        except OSError:  # Linux's error when the other end is closed
            pass
        return self.process.wait(timeout=60)


@contextmanager
def on_terminal(command: tuple[str, ...]) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    shell = ["setsid", "--ctty", "--wait", *command]
    with subprocess.Popen(shell, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=ENVIRONMENT) as process:
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            os.close(ours)


def test_the_users_turn_comes_first_if_asked_for(tiny: Completer) -> None:
    text = tiny.text("-if", "-r", "User:", "-p", "Chat.", *ANSWER, stdin=b"hi\n")
    assert text == b"Chat. Yes.\nUser:\n"


def test_the_users_turn_comes_first_after_a_reverse_prompt(tiny: Completer) -> None:
    text = tiny.text("-i", "-r", "User:", "-p", "User:", *ANSWER, stdin=b"hi\nyou\n")
    assert text == b"User: Yes.\nUser: Yes.\nUser:\n"


def test_the_models_turn_comes_first_otherwise(tiny: Completer) -> None:
    assert tiny.text("-i", "-r", "User:", "-p", "Chat.", *ANSWER) == b"Chat. Yes.\nUser:\n"


def test_at_its_end_the_model_hands_over_with_the_reverse_prompt(tiny: Completer) -> None:
    text = tiny.text("-if", "-r", "User:", "-p", "Chat.", "--grammar", 'root ::= " No."', stdin=b"hi\nyou\n")
    assert text == b"Chat. No.\nUser: No.\nUser:\n"


def test_the_model_reads_what_is_shown(tiny: Completer, tmp_path: Path) -> None:
    """Prefix, line with its newline, and suffix: the same text as one prompt goes on in the same way."""
    model = TinyModel(space_prefix=False).write(tmp_path / "tiny.gguf")
    options = ["-m", model, "-n", 24, "--ignore-eos"]
    whole = tiny.text(*options, "-p", "Chat. [hi\n] Bot:", "--no-display-prompt")
    turns = tiny.text(*options, "-if", "-p", "Chat.", "--in-prefix", " [", "--in-suffix", "] Bot:", stdin=b"hi\n")
    # Before the next turn nothing but its prefix is shown.
    assert turns.startswith(b"Chat. [] Bot:")
    assert len(whole) > 1
    assert turns == b"Chat. [] Bot:" + whole[:-1] + b" [\n"


def test_an_empty_line_lets_the_model_go_on(tiny: Completer) -> None:
    options = ["--ignore-eos", "-p", "Chat."]
    assert tiny.text(*options, "-i", "-n", 8, stdin=b"\n\n") == tiny.text(*options, "-n", 24)


def test_several_lines(tiny: Completer) -> None:
    """A backslash joins lines, or separates turns where every line is joined to the next."""
    options = ["-if", "-n", 8, "--ignore-eos", "-p", "Chat."]
    one = tiny.text(*options, stdin=b"a\\\nb\n")
    assert one == tiny.text(*options, "--multiline-input", stdin=b"a\nb\\\n")
    assert one != tiny.text(*options, stdin=b"a\nb\n")


def test_what_does_not_fit_is_said_again(tiny: Completer) -> None:
    result = tiny.run("-if", "-r", "User:", "-p", "Chat.", *ANSWER, stdin=b"x" * 300 + b"\nhi\n")
    assert (result.returncode, result.stdout) == (0, b"Chat. Yes.\nUser:\n")
    assert b"the context holds only 256" in result.stderr


def test_a_long_conversation_forgets(tiny: Completer) -> None:
    text = tiny.text("--context-shift", "-if", "-r", "User:", "-p", "Chat.", *ANSWER, stdin=b"twelve bytes\n" * 40)
    assert text.count(b"Yes.") == 40


def test_lines_are_edited_on_a_terminal(tiny: Completer) -> None:
    command = tuple(argument for argument in tiny.command if argument != "--simple-io")
    with on_terminal((*command, "-if", "-r", "User:", "-p", "User:", "--in-suffix", "Bot:", *ANSWER)) as terminal:
        terminal.wait_for(b"User:")
        terminal.type("hä".encode() + b"\x7fi\n")  # a backspace takes a whole character
        terminal.wait_for(b"hi\r\nBot: Yes.\r\nUser:".replace(b"hi", "hä\b \bi".encode()))
        terminal.type(b"\x04")
        assert terminal.leave() == 0
    assert terminal.shown.endswith(b"User:\r\n")


def test_control_c_interrupts_and_then_ends(tiny: Completer) -> None:
    command = tuple(argument for argument in tiny.command if argument != "--simple-io")
    options = ("-i", "-p", "Chat.", "--ignore-eos", "--in-prefix", "\nUser> ", "--grammar", "root ::= [a-z]*")
    with on_terminal((*command, *options)) as terminal:
        while len(terminal.shown) < 20:
            terminal.shown += os.read(terminal.descriptor, 4096)
        terminal.type(b"\x03")
        terminal.wait_for(b"\r\nUser> ")
        terminal.type(b"\x03")
        assert terminal.leave() == 130


def test_colours_are_for_terminals(tiny: Completer) -> None:
    options = ("-p", "Chat.", "-n", "0")
    assert tiny.text(*options, "--color", "auto") == b"Chat.\n"
    for colour, shown in (("auto", b"\x1b[33mChat.\x1b[0m\r\n"), ("off", b"Chat.\r\n")):
        with on_terminal((*tiny.command, *options, "--color", colour)) as terminal:
            assert terminal.leave() == 0
        assert terminal.shown == shown


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(tiny: Completer, sign: signal.Signals) -> None:
    command = tuple(argument for argument in tiny.command if argument != "--simple-io")
    with on_terminal((*command, "-if", "-p", "User:")) as terminal:
        terminal.wait_for(b"User:")
        while terminal.edits_lines():
            assert terminal.process.poll() is None
        terminal.process.send_signal(sign)
        assert terminal.process.wait(timeout=60) == 128 + sign
        assert terminal.edits_lines()


def test_two_signals_leave_the_terminal_of_a_chat_as_it_was(tiny: Completer) -> None:
    program = tiny.command[0]
    with on_terminal((program, "--chat", "-m", "tiny.gguf", "--port", str(free_port()))) as terminal:
        terminal.wait_for(b"> ")
        while terminal.edits_lines():
            assert terminal.process.poll() is None
        send_together(terminal.process, signal.SIGINT, signal.SIGTERM)
        assert terminal.process.wait(timeout=60) == 130
        assert terminal.edits_lines()
