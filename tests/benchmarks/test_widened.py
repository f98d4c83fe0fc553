"""The demo model's places in the matrices of a larger one."""

from __future__ import annotations

import numpy as np

from benchmarks.widened import widen


def test_a_matrix_keeps_its_numbers_and_gets_zeros() -> None:
    down = np.arange(576 * 1536, dtype=np.float32).reshape(576, 1536) % 1000

    wide = widen("blk.0.ffn_down.weight", down)

    assert wide.shape == (1024, 4096)
    assert np.array_equal(wide[:576, :1536], down)
    assert not wide[576:].any()
    assert not wide[:, 1536:].any()


def test_heads_stay_with_the_key_head_that_they_share() -> None:
    heads = np.repeat(np.arange(1, 10, dtype=np.float32), 64)

    wide = widen("blk.0.attn_q.weight", np.outer(heads, np.ones(576, np.float32)))
    output = widen("blk.0.attn_output.weight", np.outer(np.ones(576, np.float32), heads))
    keys = widen("blk.0.attn_k.weight", np.ones((192, 576), np.float32))

    expected = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0]
    assert wide[::64, 0].tolist() == expected
    assert output[0, ::64].tolist() == expected
    assert keys[:, 0].sum() == 192
    assert keys.shape == (256, 1024)


def test_a_norm_undoes_the_mean_over_more_numbers() -> None:
    state = np.linspace(-1, 1, 576, dtype=np.float32)
    wide_state = np.concatenate([state, np.zeros(1024 - 576, np.float32)])

    normed = wide_state / np.sqrt(np.mean(wide_state**2)) * widen("output_norm.weight", np.ones(576, np.float32))

    assert np.allclose(normed[:576], state / np.sqrt(np.mean(state**2)), rtol=1e-5)
