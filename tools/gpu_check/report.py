"""The results as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["print_report"]


def print_report(results: dict[str, Any], out: TextIO) -> int:
    """Print RESULTS; return 1 if a check failed."""
    out.writelines(f"{line}\n" for line in _lines(results))
    failed = [name for name, result in results.items() if _has_failed(result)]
    out.write(f"failed: {', '.join(failed) or 'none'}\n")
    return 1 if failed else 0


def _has_failed(result: Any) -> bool:  # JSON
    if not isinstance(result, dict):
        return False
    return "error" in result or result.get("ok") is False or any(map(_has_failed, result.values()))


def _lines(results: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name}: {value}" for name, value in results["machine"].items())
    for kind, row in results.get("logits", {}).items():
        if isinstance(row, dict):
            yield f"logits {kind}: cosine {row['cosine']:.6f}, largest difference {row['difference']:.4f}"
    for name in ("bench_gpu", "bench_cpu"):
        rows = results.get(name)
        for row in rows if isinstance(rows, list) else ():
            yield f"{name} {row['model']} {row['test']}: {row['speed']:.1f} ± {row['spread']:.1f} tokens/s"
