"""Model cards: README.md with the Hub's metadata, and a section for each llamafile.

A section stands between two comments with the llamafile's name. It is renewed; everything else in a card is its
author's and stays as it is.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from apepack.errors import CardError
from apepack.hub.front_matter import merge_metadata
from apepack.packing.plan import WINDOWS_SIZE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from apepack.hub.llamafile import Llamafile

__all__ = ["CARD_NAME", "card_metadata", "load_card", "renew_card"]

CARD_NAME: Final = "README.md"

_LICENSE: Final = re.compile(r"[a-z0-9][a-z0-9.-]*")
_SYSTEMS: Final = {
    "linux": "Linux", "macos": "macOS", "freebsd": "FreeBSD", "netbsd": "NetBSD", "openbsd": "OpenBSD",
}  # fmt: skip  # in the order of their names in a sentence


def load_card(path: Path) -> str:
    """Return the card in the file PATH, with its own kind of newlines.

    Raises:
        CardError: it is not UTF-8.
        OSError: it cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CardError(path, "it is not UTF-8: save it as UTF-8 first") from error


def renew_card(card: str, llamafiles: Sequence[Llamafile], path: Path) -> str:
    """Return CARD, the content of PATH or empty, with the sections of LLAMAFILES and the metadata that it lacks.

    Raises:
        CardError: a section has no end, or the metadata is damaged.
        MissingPackageError: PyYAML is not installed.
    """
    card = card or f"# {_text(llamafiles[0].title)}\n"
    newline = "\r\n" if "\r\n" in card else "\n"
    for llamafile in llamafiles:
        card = _renew_section(card, llamafile, newline, path)
    return merge_metadata(card, card_metadata(llamafiles), path)


def _renew_section(card: str, llamafile: Llamafile, newline: str, path: Path) -> str:
    name = quote(llamafile.name)
    begin, end = f"<!-- apepack: begin of {name} -->", f"<!-- apepack: end of {name} -->"
    lines = [begin, "<!-- apepack renews this part; write before it or behind it -->", "", *_section(llamafile), end]
    section = newline.join(lines)
    if card.count(begin) > 1 or card.count(end) > 1 or (begin in card) != (end in card):
        raise CardError(path, f"it needs one line {begin!r} and one line {end!r} behind it, or neither")
    if begin not in card:
        return card.rstrip() + newline * 2 + section + newline
    start, stop = card.index(begin), card.index(end)
    if stop < start:
        raise CardError(path, f"the line {end!r} is before its begin")
    return card[:start] + section + card[stop + len(end) :]


def card_metadata(llamafiles: Sequence[Llamafile]) -> dict[str, Any]:
    """Return the metadata for the Hub, by the names that it uses; what is not known is absent."""
    first = llamafiles[0].metadata
    tags = ["llamafile", "gguf", *([first.architecture] if first.architecture else [])]
    values: dict[str, Any] = {
        "library_name": "llamafile",
        "tags": list(dict.fromkeys(tags)),
        **_license(first.license, first.license_link),
        "base_model": first.base_models[0] if len(first.base_models) == 1 else list(first.base_models),
        "base_model_relation": "quantized" if first.base_models else None,
        "pipeline_tag": first.pipeline_tag,
        "language": list(first.languages),
    }
    return {key: value for key, value in values.items() if value}


def _license(name: str | None, link: str | None) -> dict[str, str | None]:
    """Return the keys for a licence. The Hub knows a list of names, in lower case, and calls all others `other`."""
    if name is None or _LICENSE.fullmatch(name.lower()):
        return {"license": name and name.lower(), "license_link": link if name and name.lower() == "other" else None}
    return {"license": "other", "license_name": name, "license_link": link}


def _section(llamafile: Llamafile) -> Iterator[str]:
    yield from (f"## {_text(llamafile.name)}", "")
    yield from (f"{_text(llamafile.description)}: one file with the weights and the programs that run them.", "")
    yield from _start(llamafile)
    yield from ("### What is inside", "", "| part | bytes | SHA-256 |", "|---|---:|---|")
    yield f"| {_code(llamafile.name)} | {llamafile.size} | `{llamafile.sha256}` |"
    for member in llamafile.models:
        yield f"| weights {_code(member.name)} | {member.size} | `{member.sha256}` |"
    for program in llamafile.manifest.programs:
        yield f"| program for {program.platform} | {program.size} | `{program.sha256}` |"
    yield ""
    for model in llamafile.manifest.models:
        if model.source:
            source = f"{_text(model.source.repo)}, revision {_text(model.source.revision)}"
            yield from (f"{_code(model.member)} is from {source}.", "")
    yield from _verification(llamafile)


def _text(text: str) -> str:
    """Return TEXT, which others wrote, as Markdown that shows it."""
    return re.sub(r"([\\`*_\[\]|<>&])", r"\\\1", text) if re.search(r"[\\`*\[\]|<>&]", text) else text


def _code(text: str) -> str:
    """Return TEXT as code in a line or a cell of a table."""
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"


def _start(llamafile: Llamafile) -> Iterator[str]:
    """Yield how the file is started on each of its systems."""
    names = {program.platform.partition("-")[0] for program in llamafile.manifest.programs}
    systems = [title for name, title in _SYSTEMS.items() if name in names]
    if systems:
        name = shlex.quote(llamafile.name)
        named = " and ".join([*([", ".join(systems[:-1])] if systems[:-1] else []), systems[-1]])
        yield from (f"On {named}:", "", "```sh", f"chmod +x {name}", f"./{name}", "```", "")
    if "windows" not in names:
        return
    exe = _code(f"{llamafile.stem}.exe")
    if llamafile.companion:
        yield f"On Windows, download {exe} into the same folder, and start that: Windows starts no file of 4 GiB or"
        yield "more."
    elif llamafile.size >= WINDOWS_SIZE_LIMIT:
        yield "Windows starts no file of 4 GiB or more, and so not this one."
    else:
        yield f"On Windows, rename the file to {exe}, and start that."
    yield ""


def _verification(llamafile: Llamafile) -> Iterator[str]:
    key = "--key PUBLIC_KEY " if llamafile.is_signed else ""
    yield from ("### How to verify it", "", "```sh", "pip install llamafile-toolchain")
    yield from (f"apepack verify {key}{shlex.quote(llamafile.name)}", "```", "")
    if llamafile.signature:
        yield from (f"Its signature is in {_code(llamafile.signature.name)}, which belongs into the same folder.", "")
