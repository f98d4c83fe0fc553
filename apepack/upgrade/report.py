"""Reports on upgrades and changes: lines for users, and objects for JSON with the schema apepack.schema.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from apepack.upgrade.plan import Way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apepack.upgrade.members import ChangeResult
    from apepack.upgrade.upgrade import UpgradeResult

__all__ = ["change_json", "upgrade_json", "upgrade_lines"]

_NAMES_SHOWN_MAX: Final = 5


def upgrade_json(result: UpgradeResult) -> dict[str, Any]:
    """Return the JSON object for one upgraded file."""
    plan = result.plan
    return {
        "path": str(result.path),
        "output": str(result.output),
        "way": plan.way.value,
        "runtime": {"size": plan.front_size, "platforms": list(plan.runtime.part.platforms)},
        "written_size": plan.written_size,
        "space_needed": plan.space_needed + _undo_size(result),
        "shift": plan.shift,
        "members": {
            "kept": [entry.name for entry in plan.old.contents.author],
            "dropped": [*plan.dropped],
        },
        "undo": str(result.undo) if result.undo else None,
        "companion": str(result.companion) if result.companion else None,
        "findings": [finding.to_json() for finding in result.findings],
    }


def upgrade_lines(result: UpgradeResult, *, is_full: bool) -> Iterator[str]:
    """Yield what an upgrade does and costs: one line, and if IS_FULL, the members and files concerned."""
    plan = result.plan
    if plan.way is Way.NONE:
        yield f"{result.path}: has this runtime already"
        return
    platforms = ", ".join(plan.runtime.part.platforms)
    space = _size(plan.space_needed + _undo_size(result))
    if plan.way is Way.IN_PLACE:
        how = f"in place, the weights stay where they are; {_size(plan.written_size)} to write"
    else:
        weights = "are shared with the old file" if plan.shares_blocks else f"are copied, {_size(plan.copied_size)}"
        how = f"to a new file, the weights {weights}; {_size(plan.written_size)} to write"
    yield f"{result.path}: {how}, {space} of free space needed"
    if not is_full:
        return
    yield f"  runtime: {plan.front_size} bytes for {platforms}"
    for entry in plan.old.contents.author:
        moved = entry.header_offset < plan.old.block.offset or not plan.old.block.size
        place = "behind the weights" if moved else f"at {entry.data_offset + plan.shift:#x}"
        yield f"  {entry.name}: {entry.size} bytes, {place}"
    if plan.dropped:
        more = f", and {len(plan.dropped) - _NAMES_SHOWN_MAX} more" if len(plan.dropped) > _NAMES_SHOWN_MAX else ""
        yield f"  dropped: {', '.join(plan.dropped[:_NAMES_SHOWN_MAX])}{more}"
    if result.companion:
        yield f"  companion: {result.companion}"
    if result.undo:
        yield f"  undo record: {result.undo}, {_size(plan.saved_size)}"


def change_json(result: ChangeResult) -> dict[str, Any]:
    """Return the JSON object for a change."""
    return {
        "path": str(result.path),
        "names": list(result.names),
        "replaced": list(result.replaced),
        "arguments": list(result.arguments) if result.arguments is not None else None,
        "findings": [finding.to_json() for finding in result.findings],
    }


def _undo_size(result: UpgradeResult) -> int:
    return 0 if result.output != result.path or result.plan.way is Way.NONE else result.plan.saved_size


def _size(size: int) -> str:
    if size < 1_000_000:
        return f"{size} bytes"
    return f"{size / 1e6:.1f} MB" if size < 1_000_000_000 else f"{size / 1e9:.2f} GB"
