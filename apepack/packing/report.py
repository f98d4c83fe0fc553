"""What apepack tells about what it made, or would make: as lines for people, and as facts for JSON.

The schema of the facts is apepack.schema.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import parse_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apepack.format.link import Linked, LinkedImage
    from apepack.packing.pack import Packed
    from apepack.packing.runtime_part import RuntimePart

__all__ = ["link_facts", "link_lines", "pack_facts", "pack_lines"]


def link_facts(output: Path, runtime: RuntimePart) -> dict[str, Any]:
    """Return the facts of an APE that was linked."""
    return {"output": str(output), "size": runtime.size, **_runtime_facts(runtime)}


def pack_facts(packed: Packed, output: Path, runtime: Path | None) -> dict[str, Any]:
    """Return the facts of a llamafile, named OUTPUT, that begins with the file RUNTIME if it was not linked here."""
    model = packed.model
    return {
        "output": str(output),
        "size": packed.size,
        "companion": str(packed.companion) if packed.companion else None,
        "runtime": {
            "path": str(runtime) if runtime else None,
            "size": packed.runtime.size,
            **_runtime_facts(packed.runtime),
        },
        "model": {
            "architecture": model.architecture,
            "tensors": sum(len(shard.tensors) for shard in packed.cargo.shards),
            "shards": len(packed.cargo.shards),
        },
        "members": [
            {
                "name": member.name,
                "size": member.size,
                "data_offset": member.data_offset,
                "alignment": member.alignment,
            }
            for member in packed.members
        ],
        "arguments": parse_arguments(packed.cargo.arguments),
        "findings": [finding.facts() for finding in packed.findings],
    }


def _runtime_facts(runtime: RuntimePart) -> dict[str, Any]:
    facts: dict[str, Any] = {"platforms": list(runtime.platforms), "members": list(runtime.members)}
    if runtime.linked:
        facts["profile"] = "default" if runtime.linked.magic.value.startswith(b"MZ") else "no-windows"
        facts["images"] = [_image_facts(image) for image in runtime.linked.images]
    return facts


def _image_facts(image: LinkedImage) -> dict[str, Any]:
    return {
        "platform": image.platform.name,
        "path": str(image.path),
        "offset": image.span.offset,
        "size": image.span.size,
        "loader": {"offset": image.loader.offset, "size": image.loader.size} if image.loader.size else None,
        "unpacked_size": image.unpacked.size if image.unpacked else None,
    }


def link_lines(output: Path, runtime: RuntimePart) -> Iterator[str]:
    """Yield a map of an APE that was linked."""
    if runtime.linked:
        yield from _image_lines(runtime.linked)
    yield _line(runtime.size, None, f"end of {output}")


def pack_lines(packed: Packed, output: Path, runtime: Path | None) -> Iterator[str]:
    """Yield a map of a llamafile, and its default arguments."""
    if packed.runtime.linked:
        yield from _image_lines(packed.runtime.linked)
    else:
        yield _line(0, packed.runtime.size, f"{runtime}, for {', '.join(packed.runtime.platforms)}")
    for member in packed.members:
        yield _line(member.data_offset, member.size, f"{member.name}, aligned to {member.alignment}")
    yield _line(packed.size, None, f"end of {output}")
    if packed.companion:
        yield f"{packed.companion}: {packed.runtime.size} bytes, to start it on Windows"
    yield f"{ARGS_NAME}:"
    for argument in parse_arguments(packed.cargo.arguments):
        yield "    " + argument.replace("\n", "\\n")


def _image_lines(linked: Linked) -> Iterator[str]:
    parts = []
    for image in linked.images:
        parts.append((image.loader, f"{image.platform.name} loader"))
        how = f" (compressed, {image.unpacked.size} bytes)" if image.unpacked else ""
        parts.append((image.span, f"{image.platform.name} image of {image.path}{how}"))
    for span, name in sorted(parts, key=lambda part: part[0].offset):
        if span.size:
            yield _line(span.offset, span.size, name)


def _line(offset: int, size: int | None, name: str) -> str:
    return f"{offset:#12x} {'' if size is None else size:>12} {name}"
