"""A file whose changes are recorded, torn, or made to fail."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from zipalign.marked_head import MARKER_SIZE
from zipalign.output_file import OutputFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

__all__ = [
    "SECTOR",
    "FailingFile",
    "MarkerOnlyFile",
    "RecordingFile",
    "Step",
    "apply",
    "fail_at_step",
    "states",
    "states_in_place",
]

SECTOR = 512


@dataclass(frozen=True)
class Step:
    """One change of the file: a write, a cut, or a barrier that all earlier ones are behind."""

    kind: str  # write, truncate, sync
    offset: int = 0
    data: bytes = field(default=b"", repr=False)


class RecordingFile(OutputFile):
    """Does everything and remembers it."""

    steps: ClassVar[list[Step]]

    def write(self, data: bytes | memoryview, offset: int) -> None:
        self.steps.append(Step("write", offset, bytes(data)))
        super().write(data, offset)

    def clone(self, source_fd: int, source_offset: int, offset: int, size: int) -> bool:
        """Take the file system for one that cannot, so that every byte comes by."""
        del source_fd, source_offset, offset, size
        return False

    def clear(self, offset: int, size: int) -> None:
        """Take the file system for one without holes."""
        if size > 0:
            self.write(bytes(size), offset)

    def truncate(self, size: int) -> None:
        self.steps.append(Step("truncate", size))
        super().truncate(size)

    def sync(self) -> None:
        self.steps.append(Step("sync"))


class FailingFile(OutputFile):
    """Fails at the k-th change, a write after having done half of it; from then on only cutting works."""

    fail_at: ClassVar[int]
    error: ClassVar[BaseException]
    cutting_fails: ClassVar[bool] = False
    count: ClassVar[int]

    def _step(self) -> bool:
        type(self).count += 1
        return self.count == self.fail_at

    def write(self, data: bytes | memoryview, offset: int) -> None:
        if self._step():
            super().write(bytes(data)[: len(data) // 2], offset)
            raise self.error
        super().write(data, offset)

    def clear(self, offset: int, size: int) -> None:
        if size > 0 and self._step():
            raise self.error
        super().clear(offset, size)

    def reserve(self, offset: int, size: int) -> None:
        if self._step():
            raise self.error
        super().reserve(offset, size)

    def truncate(self, size: int) -> None:
        failed = self.count >= self.fail_at
        if self._step() or (failed and self.cutting_fails):
            raise self.error
        super().truncate(size)

    def sync(self) -> None:
        if self._step():
            raise self.error


class MarkerOnlyFile(RecordingFile):
    """A disk that takes no more than the marker of a change in place (zipalign.marked_head)."""

    def write(self, data: bytes | memoryview, offset: int) -> None:
        if offset == MARKER_SIZE:
            raise OSError(errno.EIO, "Input/output error")
        super().write(data, offset)


def fail_at_step(monkeypatch: pytest.MonkeyPatch, target: str, fail_at: int, error: BaseException) -> None:
    """Let the file of the module attribute TARGET fail with ERROR at its change number FAIL_AT, from now on."""
    monkeypatch.setattr(target, FailingFile)
    for name, value in (("error", error), ("fail_at", fail_at), ("count", 0)):
        monkeypatch.setattr(FailingFile, name, value, raising=False)


def apply(old: bytes, steps: list[Step]) -> bytes:
    """Return the file after some steps."""
    state = bytearray(old)
    for step in steps:
        if step.kind == "write":
            state.extend(bytes(max(0, step.offset - len(state))))
            state[step.offset : step.offset + len(step.data)] = step.data
        elif step.kind == "truncate":
            state = state[: step.offset].ljust(step.offset, b"\0")
    return bytes(state)


def _torn(step: Step) -> Iterator[Step]:
    """Yield the ways a disk may do part of a write: up to each of its sectors."""
    cut = step.offset - step.offset % SECTOR + SECTOR
    while cut < step.offset + len(step.data):
        yield Step("write", step.offset, step.data[: cut - step.offset])
        cut += SECTOR


def _holed(step: Step) -> Iterator[list[Step]]:
    """Yield a write with one of its sectors lost though later ones arrived."""
    for part in [*_torn(step), step]:
        start = max(step.offset, (step.offset + len(part.data) - 1) // SECTOR * SECTOR) - step.offset
        lost = bytes(len(part.data) - start)
        yield [Step("write", step.offset, step.data[:start] + lost + step.data[len(part.data) :])]


def states(old: bytes, steps: list[Step]) -> Iterator[tuple[str, bytes]]:
    """Yield every file that a kill or a power loss may leave: each prefix of the steps and each torn write;
    and, as the disk orders writes between two barriers as it likes, each loss of a single sector or write there.
    """
    barrier = 0
    for n, step in enumerate(steps):
        done = steps[:n]
        yield f"before step {n}", apply(old, done)
        if step.kind == "sync":
            for lost in range(barrier, n):
                others = steps[barrier:lost]
                for rest in _holed(steps[lost]) if steps[lost].kind == "write" else []:
                    tail = [*others, *rest, *steps[lost + 1 : n]]
                    yield f"part of step {lost} lost", apply(old, [*steps[:barrier], *tail])
            barrier = n + 1
        if step.kind == "write":
            for part in _torn(step):
                yield f"step {n} torn behind {len(part.data)} bytes", apply(old, [*done, part])
    yield "complete", apply(old, steps)


def states_in_place(old: bytes, steps: list[Step], sector: int = SECTOR) -> Iterator[tuple[str, bytes]]:
    """Yield every file that a kill or a power loss may leave, where bytes of the old file are overwritten.

    Each prefix of the steps; each write that the disk did up to one of its sectors; and, since the disk orders what is
    between two barriers as it likes, each of these writes without one of its sectors, which then are what they were.
    """
    barrier = 0
    for n, step in enumerate(steps):
        before = apply(old, steps[:n])
        yield f"before step {n}", before
        if step.kind == "sync":
            barrier = n + 1
        for _, end in _sectors(step, sector):
            head = Step("write", step.offset, step.data[: end - step.offset])
            yield f"step {n} up to {end:#x}", apply(before, [head])
        done = apply(old, steps[: n + 1])
        for lost in range(barrier, n + 1):
            for start, end in _sectors(steps[lost], sector):
                kept = apply(old, steps[:lost])[start:end].ljust(end - start, b"\0")[: max(0, len(done) - start)]
                yield f"after step {n}, {start:#x} of step {lost} lost", done[:start] + kept + done[start + len(kept) :]
    yield "complete", apply(old, steps)


def _sectors(step: Step, sector: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a write that no disk tears."""
    start, last = step.offset, step.offset + len(step.data)
    while start < last:
        end = min(last, start // sector * sector + sector)
        yield start, end
        start = end
