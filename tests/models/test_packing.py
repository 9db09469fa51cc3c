"""Packed rows: the fast attention is the reference, the model's outputs are those of each sequence alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.models.packing import Layout, Segment, attend, attend_reference, row_of


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Groups of a prompt and its completions, some prompts alone, some completions of one token."""
    segments, end = [], 0
    for _ in range(draw(st.integers(1, 3))):
        prompt = (end, end + draw(st.integers(1, 9)))
        segments.append(Segment(*prompt))
        end = prompt[1]
        for _ in range(draw(st.integers(0, 3))):
            stop = end + draw(st.integers(1, 7))
            segments.append(Segment(end, stop, prompt))
            end = stop
    return Layout(tuple(segments))


@settings(max_examples=60, deadline=None)
@given(layouts(), st.sampled_from([(4, 4), (4, 2), (6, 1)]), st.integers(0, 99))
def test_the_fast_attention_is_the_reference_gradients_too(
    layout: Layout, heads: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, heads[0], layout.length, 8), *[(1, heads[1], layout.length, 8)] * 2]
    found = []
    tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    upstream = torch.randn(shapes[0], generator=generator)
    for function in (attend, attend_reference):
        query, key, value = (tensor.clone().requires_grad_() for tensor in tensors)
        out = function(query, key, value, layout, 8**-0.5)
        out.backward(upstream)
        found.append([out.detach(), query.grad, key.grad, value.grad])
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, atol=2e-5, rtol=1e-5)


def test_a_layout_must_be_the_row() -> None:
    assert row_of([3, 2]).segments == (Segment(0, 3), Segment(3, 5))
    with pytest.raises(ValueError, match="follow"):
        Layout((Segment(0, 3), Segment(4, 5)))
    with pytest.raises(ValueError, match="before"):
        Layout((Segment(0, 3), Segment(3, 5, (2, 4))))
