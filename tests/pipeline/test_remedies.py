"""The remedy that a message names works: the refused command, what its message advises, and the advised command.

Remedies that need more than a command are tested beside their message: archives behind a program (zip -A) in
tests/zipalign/test_prefixed_archive.py, ports, sockets and origins in tests/acceptance/api/, and interrupted
conversions in tests/assimilate/test_in_place.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.builders.gguf import Gguf, TinyModel, TinyProjector, text
from tests.conftest import tool


@dataclass(frozen=True)
class Remedy:
    """Shell commands in a folder with `rt`, a runtime, and `x`, a copy of it, models, and other files."""

    name: str
    wrong: str
    advice: tuple[str, ...]  # parts of the message
    right: str
    before: str = "true"


PACK: Final = "apepack -o y --runtime rt"
HELLO: Final = "-p hello -n 2"
REMEDIES: Final = (
    # zipalign
    Remedy("trailing bytes", "zipalign x b", ("--recover",), "zipalign --recover x && zipalign x b",
           before="zipalign x a && printf junk >> x"),
    Remedy("a folder", "zipalign x folder", ("-r",), "zipalign -r x folder"),
    # apepack
    Remedy("two models", f"{PACK} tiny.gguf second.gguf", ("--add",),
           f"{PACK} --add second.gguf tiny.gguf -- -m tiny.gguf"),
    Remedy("a projector as a second model", f"{PACK} tiny.gguf projector.gguf", ("--mmproj",),
           f"{PACK} --mmproj projector.gguf tiny.gguf"),
    Remedy("a projector as the model", f"{PACK} projector.gguf", ("--mmproj",),
           f"{PACK} --mmproj projector.gguf tiny.gguf"),
    Remedy("an adapter as the model", f"{PACK} lora.gguf", ("--add FILE -- --lora FILE",),
           f"{PACK} --add lora.gguf tiny.gguf -- --lora lora.gguf"),
    Remedy("no model named", f"{PACK} --args .args --add second.gguf tiny.gguf", ("add two lines, -m",),
           f"printf '%s\\n' -m tiny.gguf >> .args && {PACK} --args .args --add second.gguf tiny.gguf"),
    Remedy("a model behind no option", f"{PACK} tiny.gguf -- tiny.gguf", ("add a line -m before it",),
           f"{PACK} tiny.gguf -- -m tiny.gguf"),
    Remedy("a model elsewhere", f"{PACK} tiny.gguf -- -hf a/b", ("add --unsealed",),
           f"{PACK} tiny.gguf -- --unsealed -m tiny.gguf -hf a/b"),
    Remedy("a file that is no member", f"{PACK} tiny.gguf -- --grammar-file yes.gbnf", ("--add",),
           f"{PACK} --add yes.gbnf tiny.gguf -- --grammar-file yes.gbnf"),
    Remedy("a member by its name on disk", f"{PACK} --add folder/c tiny.gguf -- -f folder/c",
           ("its name in the archive is 'c'",), f"{PACK} --add folder/c tiny.gguf -- -f c"),
    Remedy(".args as a member", f"{PACK} --add .args tiny.gguf", ("--args",),
           f"{PACK} --args .args tiny.gguf"),
    Remedy("arguments twice", f"{PACK} --args .args tiny.gguf -- --temp 0", ("--args or after --",),
           f"{PACK} tiny.gguf -- --temp 0"),
    Remedy("a runtime that is none", "apepack -o y --runtime a tiny.gguf", ("--runtime",),
           f"{PACK} tiny.gguf"),
    # the runtime
    Remedy("no weights", f"sh x {HELLO}", ("-m FILE.gguf", "zipalign -j0"),
           f"zipalign -j0 x tiny.gguf && sh x {HELLO}"),
    Remedy("no weights, but a file", f"sh x {HELLO}", ("-m FILE.gguf",), f"sh x -m tiny.gguf {HELLO}"),
    Remedy("weights as an argument", f"sh x tiny.gguf {HELLO}", ("a model with -m",), f"sh x -m tiny.gguf {HELLO}"),
    Remedy("a prompt as an argument", "sh x -m tiny.gguf hello", ("a prompt is given with -p",),
           f"sh x -m tiny.gguf {HELLO}"),
    Remedy("two members with weights", f"sh x {HELLO}", ("choose with -m", "'second.gguf'"),
           f"sh x -m second.gguf {HELLO}",
           before="zipalign -j0 x tiny.gguf second.gguf"),
    Remedy("compressed weights", f"sh x {HELLO}", ("zipalign -j0",),
           f"mv tiny tiny.gguf && zipalign -j0 x tiny.gguf && sh x {HELLO}",
           before="cp tiny.gguf tiny && head -c 1000K /dev/zero >> tiny.gguf && zipalign -9 x tiny.gguf && rm *.gguf"),
    Remedy("a long prompt", "sh x -m tiny.gguf -c 64 -f long -n 2", ("-c",), "sh x -m tiny.gguf -c 1024 -f long -n 2"),
)  # fmt: skip  # a command and its correction beside each other


@pytest.fixture
def folder(runtime: Path, tmp_path: Path) -> Path:
    (tmp_path / "rt").symlink_to(runtime)
    shutil.copy(runtime, tmp_path / "x")
    for name in ("tiny.gguf", "second.gguf"):
        TinyModel().write(tmp_path / name)
    TinyProjector().write(tmp_path / "projector.gguf")
    Gguf([text("general.type", "adapter"), text("general.architecture", "llama")], []).write(tmp_path / "lora.gguf")
    (tmp_path / "folder").mkdir()
    for name, content in (
        ("a", "a"), ("b", "b"), ("folder/c", "hello"), ("yes.gbnf", 'root ::= "yes"'), (".args", "--temp\n0\n"),
        ("long", "word " * 100),
    ):  # fmt: skip  # a list
        (tmp_path / name).write_text(content)
    return tmp_path


def in_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(tool('zipalign')).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True,
        errors="replace", stdin=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip  # more about the process than about the command


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.name)
def test_14_a_remedy_works(remedy: Remedy, folder: Path) -> None:
    assert in_shell(remedy.before, folder).returncode == 0
    refused = in_shell(remedy.wrong, folder)
    assert refused.returncode in {1, 2}, refused.stderr
    for part in remedy.advice:
        assert part in refused.stderr
    corrected = in_shell(remedy.right, folder)
    assert corrected.returncode == 0, corrected.stderr
