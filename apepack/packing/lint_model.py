"""Checks of GGUF files: kind, architecture, and completeness of split models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apepack.errors import InputError
from apepack.packing.lint import Finding, error, quote, warning
from apepack.packing.model import read_model, shard_paths
from runtime.gguf.architectures import ARCHITECTURES, PROJECTOR
from runtime.gguf.file_names import ShardName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from apepack.packing.model import Model

__all__ = ["lint_model", "lint_projector", "lint_shards", "read_shards"]

_NOT_MODELS: Final = {
    "adapter": "a LoRA adapter: name the model, and add this with --add FILE -- --lora FILE",
    "imatrix": "an importance matrix, which serves for making models",
    "mmproj": "a projector: name the language model, and this one with --mmproj",
}
_MISSING_SHOWN_MAX: Final = 3  # names of missing shards in a message


def read_shards(first: Model) -> tuple[Model, ...]:
    """Return all shards of the model with the first shard FIRST, from the folder of FIRST. A model may be one file.

    Raises:
        InputError: FIRST is not the first shard, or a shard is missing, damaged or incomplete.
        OSError: a shard cannot be read.
    """
    if first.shard is None:
        return (first,)
    paths = shard_paths(first.path)
    number, count = first.shard.number, first.shard.count
    if paths is None or len(paths) != count or not 1 <= number <= count or paths[number - 1].name != first.path.name:
        expected = ShardName("", number, count).sibling(number)
        raise InputError(
            first.path, f"this is shard {number} of {count}: the engine wants its name to end in {expected}"
        )
    if number != 1:
        raise InputError(first.path, f"this is shard {number} of {count}: name the first one, {paths[0].name}")
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        names = ", ".join(missing[:_MISSING_SHOWN_MAX]) + (", …" if len(missing) > _MISSING_SHOWN_MAX else "")
        raise InputError(
            first.path, f"{len(missing)} of {count} shards are not beside it: {names}; put them into the same folder"
        )
    return (first, *(read_model(path) for path in paths[1:]))


def lint_shards(shards: Sequence[Model]) -> Iterator[Finding]:
    """Check that SHARDS belong to the same model."""
    first = shards[0].shard
    if first is None:
        if shard_paths(shards[0].path):
            yield warning(
                "shards",
                "this is named like a shard and says nothing of others, so it is packed alone; rename it if it is"
                " whole, or fetch it again",
                shards[0].path,
            )
        return
    for number, model in enumerate(shards, 1):
        shard = model.shard
        if shard is None or (shard.number, shard.count) != (number, first.count):
            got = f"shard {shard.number} of {shard.count}" if shard else "no shard"
            yield error("shards", f"this is {got} (expected {number} of {first.count}); fetch it again", model.path)
    yield from _lint_tensors(shards, first.tensor_count)


def _lint_tensors(shards: Sequence[Model], expected: int) -> Iterator[Finding]:
    seen: set[str] = set()
    for model in shards:
        twice = next((name for name in model.tensors if name in seen), None)
        if twice is not None:
            yield error(
                "shards", f"tensor {twice!r} is in an earlier shard too: these are of different models", model.path
            )
        seen.update(model.tensors)
    got = sum(len(model.tensors) for model in shards)
    if got != expected:
        yield error(
            "shards", f"the shards hold {got} tensors (expected {expected}): fetch all of them again", shards[0].path
        )


def lint_model(model: Model, *, own_engine: bool) -> Iterator[Finding]:
    """Check that the engine can run MODEL.

    Args:
        model: the model, or its first shard.
        own_engine: whether this toolchain built the engine.
    """
    other = "mmproj" if model.architecture == PROJECTOR else model.kind
    if other in _NOT_MODELS:
        yield error("model", f"this is {_NOT_MODELS[other]}", model.path)
    elif not model.architecture:
        yield error("architecture", "it does not say its general.architecture: the engine cannot run it", model.path)
    elif model.architecture not in ARCHITECTURES:
        unknown = f"its architecture {quote(model.architecture)} is none that this toolchain's engine knows"
        if own_engine:
            yield error("architecture", f"{unknown}: update the toolchain, or name a newer --runtime", model.path)
        else:
            yield warning("architecture", f"{unknown}: make sure that the --runtime's does", model.path)
    if not model.tensors:
        yield error("model", "it holds no tensors, just a vocabulary: name the model itself", model.path)


def lint_projector(projector: Model, model: Model) -> Iterator[Finding]:
    """Check that PROJECTOR is a projector."""
    if projector.architecture == PROJECTOR or projector.kind == "mmproj":
        return
    what = f"no projector, but a model of architecture {projector.architecture[:60] or 'unknown'}"
    swapped = model.architecture == PROJECTOR or model.kind == "mmproj"
    todo = "the two files are swapped" if swapped else "projectors have names like mmproj-….gguf"
    yield error("projector", f"--mmproj is {what}: {todo}", projector.path)
