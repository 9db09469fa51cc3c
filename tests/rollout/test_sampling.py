"""Noise keyed by completion and position, and draws that follow the distribution."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from vision_r1.rollout.row import Row
from vision_r1.rollout.sampling import draw_tokens, warp_of


def config(**more: Any) -> SimpleNamespace:
    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
    return SimpleNamespace(**{**plain, **more})


@given(st.integers(0, 2**31 - 1))
def test_noise_is_that_of_the_whole_cap_drawn_at_once(seed: int) -> None:
    row, found = Row(0, 0, seed, 200), []
    for _ in range(200):
        found.append(row.uniform())
        row.ids.append(0)
    assert found == np.random.default_rng(seed).random(200).tolist()


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=30), st.floats(0, 1, exclude_max=True), st.data())
def test_a_forbidden_token_is_never_drawn(values: list[float], uniform: float, data: Any) -> None:
    allowed = data.draw(st.integers(0, len(values) - 1))
    banned = [k for k in range(len(values)) if k != allowed and data.draw(st.booleans())]
    warp = warp_of(GenerationConfig(), banned)
    uniforms = torch.tensor([uniform, 1.0 - 2**-53], dtype=torch.float64)
    logits = warp(torch.zeros(2, 1).long(), torch.tensor([values, values]))
    for noise in (uniforms, None):
        tokens, logprobs, usable = draw_tokens(logits, noise)
        assert not set(tokens.tolist()) & set(banned)
        assert bool(usable.all()) and bool(torch.isfinite(logprobs).all())


def test_draws_follow_the_distribution_to_rounding() -> None:
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).expand(4000, 4)
    uniforms = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    tokens, logprobs, usable = draw_tokens(logits, uniforms)
    counts = torch.bincount(tokens, minlength=4) / 4000
    assert torch.allclose(counts, torch.tensor([0.1, 0.2, 0.3, 0.4]), atol=1e-3)
    assert torch.allclose(logprobs, logits[0][tokens], atol=1e-6)
    assert bool(usable.all())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("greedy", [True, False])
def test_rows_that_are_not_finite_are_told_apart(value: float, greedy: bool) -> None:
    logits = torch.zeros(3, 4)
    logits[1, 2] = value
    uniforms = None if greedy else torch.full((3,), 0.5, dtype=torch.float64)
    assert draw_tokens(logits, uniforms)[2].tolist() == [True, False, True]


def test_log_probs_are_those_of_the_warped_distribution() -> None:
    logits = torch.randn(50, 9, generator=torch.Generator().manual_seed(0))
    warp = warp_of(config(temperature=0.7, top_p=0.8), [3])
    warped = warp(torch.empty(0), logits)
    tokens, logprobs, _ = draw_tokens(warped, torch.rand(50, dtype=torch.float64))
    expected = torch.log_softmax(warped, -1).gather(1, tokens[:, None])[:, 0]
    assert torch.allclose(logprobs, expected, atol=1e-6)
    assert bool((warped[:, 3] == float("-inf")).all()) and not bool((tokens == 3).any())


def test_only_a_repetition_penalty_reads_ids() -> None:
    assert not warp_of(config(temperature=0.5), []).reads_ids
    assert warp_of(config(repetition_penalty=1.5), []).reads_ids
