"""Reports on a result: lines of text for users, and objects for JSON with the schema apepack.schema.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import parse_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apepack.format.link import LinkedApe, LinkedImage
    from apepack.packing.pack import PackResult
    from apepack.packing.runtime_part import RuntimePart

__all__ = ["link_json", "link_map", "pack_json", "pack_map"]


def link_json(output: Path, runtime: RuntimePart) -> dict[str, Any]:
    """Return the JSON object for a linked APE."""
    return {"output": str(output), "size": runtime.size, **_runtime_json(runtime)}


def pack_json(packed: PackResult, output: Path, runtime: Path | None) -> dict[str, Any]:
    """Return the JSON object for the llamafile OUTPUT. RUNTIME is its runtime, or None if the runtime was linked."""
    model = packed.model
    return {
        "output": str(output),
        "size": packed.size,
        "companion": str(packed.companion) if packed.companion else None,
        "runtime": {
            "path": str(runtime) if runtime else None,
            "size": packed.runtime.size,
            **_runtime_json(packed.runtime),
        },
        "model": {
            "architecture": model.architecture,
            "tensors": sum(len(shard.tensors) for shard in packed.payload.shards),
            "shards": len(packed.payload.shards),
        },
        "models": [
            {
                "name": given.name,
                "member": given.shards[0].path.name,
                "architecture": given.shards[0].architecture,
                "tensors": sum(len(shard.tensors) for shard in given.shards),
                "shards": len(given.shards),
                "projector": given.projector.path.name if given.projector else None,
            }
            for given in packed.payload.models
        ],
        "members": [
            {
                "name": member.name,
                "size": member.size,
                "data_offset": member.data_offset,
                "alignment": member.alignment,
            }
            for member in packed.members
        ],
        "arguments": parse_arguments(packed.payload.arguments),
        "findings": [finding.to_json() for finding in packed.findings],
    }


def _runtime_json(runtime: RuntimePart) -> dict[str, Any]:
    facts: dict[str, Any] = {"platforms": list(runtime.platforms), "members": list(runtime.members)}
    if runtime.linked:
        facts["profile"] = "default" if runtime.linked.magic.value.startswith(b"MZ") else "no-windows"
        facts["images"] = [_image_json(image) for image in runtime.linked.images]
    return facts


def _image_json(image: LinkedImage) -> dict[str, Any]:
    return {
        "platform": image.platform.name,
        "path": str(image.path),
        "offset": image.span.offset,
        "size": image.span.size,
        "loader": {"offset": image.loader.offset, "size": image.loader.size} if image.loader.size else None,
        "unpacked_size": image.unpacked.size if image.unpacked else None,
    }


def link_map(output: Path, runtime: RuntimePart) -> Iterator[str]:
    """Yield the lines of a map of a linked APE."""
    if runtime.linked:
        yield from _image_map(runtime.linked)
    yield _map_line(runtime.size, None, f"end of {output}")


def pack_map(packed: PackResult, output: Path, runtime: Path | None) -> Iterator[str]:
    """Yield the lines of a map of a llamafile, and its default arguments."""
    if packed.runtime.linked:
        yield from _image_map(packed.runtime.linked)
    else:
        yield _map_line(0, packed.runtime.size, f"{runtime}, for {', '.join(packed.runtime.platforms)}")
    for member in packed.members:
        yield _map_line(member.data_offset, member.size, f"{member.name}, aligned to {member.alignment}")
    yield _map_line(packed.size, None, f"end of {output}")
    if packed.companion:
        yield f"{packed.companion}: {packed.companion_size} bytes, to start it on Windows"
    yield f"{ARGS_NAME}:"
    for argument in parse_arguments(packed.payload.arguments):
        yield "    " + argument.replace("\n", "\\n")


def _image_map(linked: LinkedApe) -> Iterator[str]:
    parts = []
    for image in linked.images:
        parts.append((image.loader, f"{image.platform.name} loader"))
        how = f" (compressed, {image.unpacked.size} bytes)" if image.unpacked else ""
        parts.append((image.span, f"{image.platform.name} image of {image.path}{how}"))
    for span, name in sorted(parts, key=lambda part: part[0].offset):
        if span.size:
            yield _map_line(span.offset, span.size, name)


def _map_line(offset: int, size: int | None, name: str) -> str:
    return f"{offset:#12x} {'' if size is None else size:>12} {name}"
