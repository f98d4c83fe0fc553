"""The README and the pages of docs/ as tests read them: by section, with the commands that they contain."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["COMMANDS", "PAGES", "ROOT", "commands", "page", "platform_rows", "problem", "section"]

ROOT: Final = Path(__file__).parents[3]
# All pages with commands for users, relative to the root.
PAGES: Final = [
    "README.md",
    "SECURITY.md",
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/**/*.md"))),
]
_LLAMAFILES: Final = {
    "./my.llamafile",
    "my.llamafile",
    "./llamafile-server",
    "my.exe",
    "llamafile.exe",
    "./all.llamafile",
}

# The expected commands: ours, and those of the systems that a section is about.
COMMANDS: Final = {
    **dict.fromkeys(["apepack", "assimilate", "zipalign", "llamafile", "llamafile-build"], "this project"),
    "./llamafile-rpc-server": "this project",
    **dict.fromkeys(["sh", "install", "tee", "echo", "sha256sum", "uname"], "any Linux"),
    **dict.fromkeys(["chmod", "cp", "ln", "printf", "curl", "make", "python3"], "any Unix"),
    "docker": "Docker",
    "gh": "GitHub's command line",
    "haproxy": "HAProxy",
    "kubectl": "Kubernetes",
    "openssl": "OpenSSL",
    "pip": "Python",
    "pipx": "pipx",
    "podman": "Podman",
    "skopeo": "Skopeo",
    "ssh": "OpenSSH",
    "systemctl": "systemd",
    "unzip": "Info-ZIP",
    "uv": "uv",
    "update-binfmts": "Debian's binfmt-support",
    "xattr": "macOS",
    "Get-FileHash": "PowerShell",
}


@cache
def page(name: str) -> str:
    """The text of a page, named relative to the root."""
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def _sections(name: str) -> dict[str, str]:
    """The sections of a page, by title, their lines joined where only the width of the page breaks them."""
    parts = re.split(r"^## (.+)\n", page(name), flags=re.MULTILINE)[1:]
    texts = [re.sub(r"(?<=\S)\n {0,2}(?=[^\s|*-])", " ", text) for text in parts[1::2]]
    return dict(zip(parts[::2], texts, strict=True))


def section(name: str, title: str) -> str:
    """The text of one section of a page."""
    assert title in _sections(name), f"{name} has no section {title}"
    return _sections(name)[title]


def problem(words: str) -> str:
    """The one section of docs/troubleshooting.md that has these words in its title."""
    found = [text for title, text in _sections("docs/troubleshooting.md").items() if words in title]
    assert len(found) == 1, f"{len(found)} titles have the words {words}"
    return found[0]


def platform_rows() -> list[list[str]]:
    """The cells of each row of the table of platforms."""
    table = page("docs/platforms.md").partition("\n## ")[0]
    lines = re.findall(r"^\| (.*) \|$", table, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[1:]]


def commands(text: str) -> list[list[str]]:
    """The commands in a text, as words: lines set apart, and code in it that begins with a command's name."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL).replace("\\\n", " ")
    blocks = re.findall(r"(?:^ {4,}\S.*\n(?:\n(?= {4,}\S))?)+", text, re.MULTILINE)
    lines = [line for block in blocks for line in _entered(block)]
    lines += [code for code in re.findall(r"`([^`]+)`", text) if " " in code and _normal(code.split())[0] in COMMANDS]
    parts = [part for line in lines for part in re.split(r"&&|\||;| do |&$", line) if part.strip()]
    return [_normal(words) for words in map(shlex.split, parts) if words[0] not in {"for", "done"}]


def _entered(block: str) -> list[str]:
    """The lines of a block that are commands: all of them, or, in a transcript, those after a dollar sign."""
    transcript = re.findall(r"^ +\$ (.*)$", block, re.MULTILINE)
    return transcript or [line.strip() for line in block.splitlines() if line.strip()]


def _normal(words: list[str]) -> list[str]:
    """Without sudo, sh and variables in front of the program."""
    while len(words) > 1 and (words[0] in {"sudo", "sh"} or re.match(r"[A-Z]+=", words[0])):
        words = words[1:]
    return ["llamafile" if words[0] in _LLAMAFILES else words[0], *words[1:]]
