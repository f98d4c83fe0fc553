"""The offsets and the size of a llamafile, computed before the weights are copied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from apepack.packing.lint import Finding, note, warning
from apepack.provenance.description import UNKNOWN, plan_manifest
from apepack.provenance.manifest import MEMBER_NAME, MemberDigest
from runtime.platforms import Launch, platform_named
from zipalign.alignment import align_up
from zipalign.layout import DEFAULT_ALIGNMENT, NewMember, central_header_size, plan_append

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from apepack.packing.runtime_part import RuntimePart
    from apepack.provenance.manifest import Manifest, ModelFacts
    from zipalign import Member

__all__ = [
    "WINDOWS_SIZE_LIMIT",
    "Plan",
    "PlannedMember",
    "companion_path",
    "lint_size",
    "plan_members",
    "plan_with_reserve",
    "reserve_for",
]

WINDOWS_SIZE_LIMIT: Final = 1 << 32  # Windows starts only smaller programs

_SUFFIX: Final = ".llamafile"
_RESERVED_PART: Final = 4  # of the runtime: a quarter (docs/decisions/file-format.md)


def reserve_for(runtime_size: int) -> int:
    """Return the number of bytes left free between a runtime of RUNTIME_SIZE bytes and weights, for a larger one."""
    return align_up(runtime_size // _RESERVED_PART, DEFAULT_ALIGNMENT)


@dataclass(frozen=True, slots=True)
class PlannedMember:
    """A member and the offset of its data in the file."""

    name: str
    size: int
    data_offset: int

    @property
    def alignment(self) -> int:
        """The largest power of two that divides the offset of its data."""
        return self.data_offset & -self.data_offset


@dataclass(frozen=True, slots=True)
class Plan:
    """The members between a runtime and the manifest, the size of the file, and the space left free before them."""

    members: tuple[PlannedMember, ...]
    size: int
    reserve: int = 0


def plan_members(
    runtime: RuntimePart, members: Sequence[Member], models: Sequence[ModelFacts], *, reserve: int = 0
) -> Plan:
    """Return the offsets at which zipalign.add_files() stores MEMBERS after RUNTIME.

    Args:
        runtime: the runtime.
        members: the members, weights first.
        models: the facts about those of them that are models, for the manifest.
        reserve: the number of bytes to leave free before them.
    """
    sizes = {
        member.name: len(member.source) if isinstance(member.source, bytes) else member.source.stat().st_size
        for member in members
    }
    # The manifest is replaced, too, but by an append of its own.
    kept_size = runtime.directory_size - _headers_size(name for name in runtime.members if name in sizes)
    added = [NewMember(name.encode(), size, DEFAULT_ALIGNMENT) for name, size in sizes.items()]
    append = plan_append(runtime.size, added, kept_size=kept_size, reserve=reserve)
    planned = [
        PlannedMember(name, size, planned.data_offset)
        for (name, size), planned in zip(sizes.items(), append.members, strict=True)
    ]
    manifest = _manifest(runtime.contents, sizes, models)
    kept_size = append.directory_size - _headers_size(name for name in runtime.members if name == MEMBER_NAME)
    return Plan(tuple(planned), plan_manifest(append.end, manifest, kept_size).end, reserve)


def _headers_size(names: Iterable[str]) -> int:
    return sum(central_header_size(name.encode()) for name in names)


def _manifest(runtime: Manifest, sizes: Mapping[str, int], models: Sequence[ModelFacts]) -> Manifest:
    """Return the manifest of a runtime with members of SIZES and MODELS, with unknown digests."""
    return replace(
        runtime,
        members=(
            *(member for member in runtime.members if member.name not in sizes),
            *(MemberDigest(name, UNKNOWN, size, UNKNOWN[:8]) for name, size in sizes.items()),
        ),
        models=(*(model for model in runtime.models if model.member not in sizes), *models),
    )


def plan_with_reserve(
    runtime: RuntimePart,
    members: Sequence[Member],
    models: Sequence[ModelFacts],
    *,
    reserve: int | None = None,
    limit: int = WINDOWS_SIZE_LIMIT,
) -> Plan:
    """Return the plan with RESERVE bytes before the members.

    Without a number, that is a part of the runtime's size, unless it makes the file too large for Windows: LIMIT bytes.
    """
    if reserve is not None:
        return plan_members(runtime, members, models, reserve=reserve)
    plan = plan_members(runtime, members, models, reserve=reserve_for(runtime.size))
    if _is_too_large(runtime, plan, limit):
        without = plan_members(runtime, members, models)
        return plan if _is_too_large(runtime, without, limit) else without
    return plan


def companion_path(output: Path, runtime: RuntimePart, plan: Plan, limit: int = WINDOWS_SIZE_LIMIT) -> Path | None:
    """Return the path of the companion that runs OUTPUT on Windows, or None if none is needed or possible.

    Args:
        output: the llamafile. A companion finds it only if its name ends in .llamafile.
        runtime: its runtime.
        plan: its members and size.
        limit: the smallest size in bytes that Windows does not start.
    """
    possible = output.suffix == _SUFFIX and runtime.size < limit
    return output.with_suffix(".exe") if possible and _is_too_large(runtime, plan, limit) else None


def lint_size(output: Path, runtime: RuntimePart, plan: Plan, companion: Path | None, limit: int) -> Iterator[Finding]:
    """Report a size that Windows does not start. COMPANION is the path of the program for that case, if any."""
    if not _is_too_large(runtime, plan, limit):
        return
    large = f"Windows starts no program of {limit} bytes or more, and this has {plan.size}"
    if companion:
        yield note("size", f"{large}: start {companion.name} beside it there", output)
    elif output.suffix != _SUFFIX:
        yield warning("size", f"{large}: name it …{_SUFFIX}, and it gets an .exe beside it to start there", output)
    else:
        yield warning("size", f"{large}, and no .exe beside it to start there is made", output)


def _is_too_large(runtime: RuntimePart, plan: Plan, limit: int) -> bool:
    """Return whether Windows would start a file of this plan if it were smaller than LIMIT bytes."""
    for_windows = any(platform_named(name).launch is Launch.PE for name in runtime.platforms)
    return for_windows and plan.size >= limit
