"""A small model whose memory is one state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

from tests.builders.gguf import TinyModel

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_recurrent"]


def write_recurrent(path: Path) -> Path:
    """Write a model whose memory is one state, which cannot be cut, as PATH; return PATH."""
    width, inner, state, rank, convolution = 32, 64, 16, 2, 4
    random = np.random.default_rng(7)
    shapes = {
        "ssm_in.weight": (2 * inner, width),
        "ssm_conv1d.weight": (inner, convolution),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (rank + 2 * state, inner),
        "ssm_dt.weight": (inner, rank),
        "ssm_dt.bias": (inner,),
        "ssm_d": (inner,),
        "ssm_out.weight": (width, inner),
    }
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(2)
    writer.add_ssm_conv_kernel(convolution)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    TinyModel().add_vocabulary(writer)
    for layer in range(2):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", np.ones(width, np.float32))
        writer.add_tensor(f"blk.{layer}.ssm_a", -np.ones((inner, state), np.float32))
        for name, shape in shapes.items():
            writer.add_tensor(f"blk.{layer}.{name}", random.standard_normal(shape, dtype=np.float32) * 0.3)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    writer.add_tensor("token_embd.weight", random.standard_normal((TinyModel().vocabulary, width), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
