"""The layout: nothing overlaps, everything is aligned."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apepack.errors import LayoutError
from apepack.format.layout import plan_layout


@given(
    st.lists(st.integers(1, 16384), max_size=2),
    st.integers(0, 2000),
    st.integers(0, 9000),
    st.lists(st.integers(1, 1 << 33), max_size=8),
)
def test_spans_are_aligned_and_apart(
    loader_sizes: list[int], second_part_size: int, first_member_size: int, image_sizes: list[int]
) -> None:
    layout = plan_layout(loader_sizes, second_part_size, first_member_size, image_sizes)
    spans = [*layout.loaders, layout.second_part, layout.first_member, *layout.images]

    assert [span.size for span in spans] == [*loader_sizes, second_part_size, first_member_size, *image_sizes]
    assert all(span.offset % 64 == 0 and span.offset >= 0x1000 for span in spans)
    assert all(span.offset % 65536 == 0 and span.offset >= 0x10000 for span in layout.images)
    assert all(before.end <= after.offset for before, after in pairwise(spans))
    assert layout.images_end % 64 == 0
    assert 0 <= layout.images_end - spans[-1].end < 64


def test_everything_else_ends_before_the_first_image() -> None:
    assert plan_layout([0xD000], 0x1000, 0x1000, [1]).first_member.end == 0x10000
    with pytest.raises(LayoutError, match="0x10001"):
        plan_layout([0xD000], 0x1000, 0x1001, [1])
    with pytest.raises(LayoutError, match="0x10040"):
        plan_layout([0xE001], 0x1000, 0, [1])


def test_streams_follow_the_images_and_nothing_else_begins_before_the_largest_program() -> None:
    layout = plan_layout([64], 0, 100, [0x10001], [0x3000, 0x1000], 0x90001)

    assert [(span.offset, span.size) for span in layout.streams] == [(0x21000, 0x3000), (0x24000, 0x1000)]
    assert layout.images_end == 0x90040
    assert plan_layout([], 0, 0, [], [0x1000], 0).images_end == 0x11000
