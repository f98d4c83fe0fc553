"""A LoRA adapter and a control vector for a tiny model (tests.builders.gguf)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders.gguf import TinyModel

__all__ = ["write_control_vector", "write_lora"]


def write_lora(path: Path, model: TinyModel, strength: float = 40) -> Path:
    """Write an adapter of MODEL to PATH and return it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 1.0)
    random = np.random.default_rng(model.seed)
    for part in ("q", "v", "output"):
        name = f"blk.0.attn_{part}.weight"
        for suffix, shape in (("lora_a", (1, model.embedding)), ("lora_b", (model.embedding, 1))):
            writer.add_tensor(f"{name}.{suffix}", random.standard_normal(shape, dtype=np.float32) * strength)
    _write(writer)
    return path


def write_control_vector(path: Path, model: TinyModel, strength: float = 40) -> Path:
    """Write a direction for the last layer of MODEL to PATH and return it."""
    writer = gguf.GGUFWriter(path, "controlvector")
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_uint32("controlvector.layer_count", model.layers)
    random = np.random.default_rng(model.seed)
    for layer in range(1, model.layers):
        direction = random.standard_normal(model.embedding, dtype=np.float32) * strength
        writer.add_tensor(f"direction.{layer}", direction)
    _write(writer)
    return path


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
