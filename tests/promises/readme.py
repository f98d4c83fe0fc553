"""The README as a test reads it: by section, and the commands that it tells people to run."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["COMMANDS", "commands", "gotcha", "platform_rows", "section"]

_README: Final = Path(__file__).parents[2] / "README.md"
_LLAMAFILES: Final = {"./my.llamafile", "my.llamafile", "my.exe", "llamafile.exe"}

# What commands are expected to be: ours, and those of the systems that the section is about.
COMMANDS: Final = {
    **dict.fromkeys(["apepack", "assimilate", "zipalign", "llamafile"], "this project"),
    **dict.fromkeys(["sh", "install", "tee", "echo", "sha256sum", "uname"], "any Linux"),
    "ssh": "OpenSSH",
    "systemctl": "systemd",
    "update-binfmts": "Debian's binfmt-support",
    "xattr": "macOS",
    "Get-FileHash": "PowerShell",
}


@cache
def section(title: str) -> str:
    """The text of one section, its lines joined where only the width of the page breaks them."""
    text = _README.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no section {title}"
    return re.sub(r"(?<=\S)\n {0,2}(?=[^\s|-])", " ", found[1])


def gotcha(*words: str) -> str:
    """The one entry of the section Gotchas that has all these words in it."""
    entries = re.split(r"^- (?=\*\*)", section("Gotchas"), flags=re.MULTILINE)[1:]
    found = [entry for entry in entries if all(word in entry for word in words)]
    assert len(found) == 1, f"{len(found)} entries have the words {words}"
    return found[0]


def platform_rows() -> list[list[str]]:
    """The cells of each row of the table of platforms."""
    lines = re.findall(r"^\| (.*) \|$", section("Platforms"), re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[1:]]


def commands(text: str) -> list[list[str]]:
    """The commands in a text, as words: lines set apart, and code in it that begins with a command's name."""
    lines = re.findall(r"^ {6,}(\S.*)$", text, re.MULTILINE)
    lines += [code for code in re.findall(r"`([^`]+)`", text) if " " in code and _normal(code.split())[0] in COMMANDS]
    parts = [part for line in lines for part in re.split(r"&&|\||;| do ", line) if part.strip()]
    return [_normal(words) for words in map(shlex.split, parts) if words[0] not in {"for", "done"}]


def _normal(words: list[str]) -> list[str]:
    """Without sudo, sh and variables in front of what is run."""
    while len(words) > 1 and (words[0] in {"sudo", "sh"} or re.match(r"[A-Z]+=", words[0])):
        words = words[1:]
    return ["llamafile" if words[0] in _LLAMAFILES else words[0], *words[1:]]
