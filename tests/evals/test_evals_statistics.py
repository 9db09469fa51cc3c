"""Statistics against brute force and against properties that their definitions imply."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from vision_r1.evals.statistics import (
    bootstrap_mean,
    by_length,
    length_edges,
    paired_difference,
    pass_at_k,
    sign_test,
    wilson,
)


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(
    right: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(right)))
    subsets = list(itertools.combinations(right, k))
    expected = sum(any(subset) for subset in subsets) / len(subsets)
    assert pass_at_k(len(right), sum(right), k) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "correct", "k"), [(4, 1, 5), (4, 5, 1), (4, -1, 1), (4, 1, 0)])
def test_pass_at_k_refuses_what_is_not_defined(n: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(n, correct, k)


@given(st.integers(1, 400), st.data())
def test_wilson_solves_its_equation_and_holds_the_share(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    found = wilson(successes, n)
    assert 0 <= found.low <= found.mean == successes / n <= found.high <= 1
    assert found.low < found.high
    for bound in (found.low, found.high):
        # Both bounds p satisfy |share - p| = z sqrt(p (1-p) / n), unless clipped at an end.
        if 1e-9 < bound < 1 - 1e-9:
            z = abs(found.mean - bound) / math.sqrt(bound * (1 - bound) / n)
            assert z == pytest.approx(1.959964, abs=1e-4)


def test_wilson_known_value() -> None:
    found = wilson(8, 10)  # as statsmodels' proportion_confint(8, 10, method="wilson")
    assert (found.low, found.high) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


def test_bootstrap_mean_equals_a_plain_loop() -> None:
    values = np.random.default_rng(5).random(17)
    rng = np.random.default_rng(3)
    means = [values[row].mean() for row in rng.integers(17, size=(300, 17))]
    found = bootstrap_mean(values, 300, seed=3)
    assert found.mean == pytest.approx(values.mean())
    assert found.ci95 == pytest.approx([np.quantile(means, 0.025), np.quantile(means, 0.975)])


@limits(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 5))
def test_bootstrap_is_seeded_bounded_and_follows_shift_free_order(values: list[float], seed: int) -> None:
    found = bootstrap_mean(values, 200, seed)
    assert found == bootstrap_mean(values, 200, seed)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9 or set(values) <= {0.0, 1.0}


def test_bootstrap_covers_about_95_percent() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        found = bootstrap_mean(rng.binomial(1, 0.4, size=120), 300, trial)
        hits += found.low <= 0.4 <= found.high
    assert 0.90 <= hits / 300 <= 0.99


def test_bootstrap_of_equal_grades_does_not_claim_certainty() -> None:
    assert bootstrap_mean([1.0] * 20, 200, 0) == wilson(20, 20)
    assert bootstrap_mean([0.0] * 20, 200, 0).high > 0.1
    assert bootstrap_mean([0.5] * 20, 200, 0).ci95 == [0.5, 0.5]


def test_blocks_of_resamples_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import vision_r1.evals.statistics as module

    values = np.random.default_rng(1).random(10)
    whole = bootstrap_mean(values, 101, 4)
    monkeypatch.setattr(module, "_BLOCK", 70)
    assert bootstrap_mean(values, 101, 4) == whole


def test_empty_input_is_refused() -> None:
    for call in (
        lambda: bootstrap_mean([], 100, 0),
        lambda: paired_difference([], [], 100, 0),
        lambda: wilson(0, 0),
    ):
        with pytest.raises(ValueError):
            call()


@given(st.integers(0, 12), st.integers(0, 12))
def test_sign_test_counts_coin_flips(first: int, second: int) -> None:
    n = first + second
    distance = abs(second - n / 2)
    extreme = sum(math.comb(n, heads) for heads in range(n + 1) if abs(heads - n / 2) >= distance)
    assert sign_test(first, second) == pytest.approx(extreme / 2**n)


def test_sign_test_of_many_problems_does_not_overflow() -> None:
    assert 0 < sign_test(900, 1100) < 1e-4
    assert sign_test(5000, 5000) == 1.0


@limits(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=25))
def test_paired_difference_is_antisymmetric(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = paired_difference(first, second, 200, 1), paired_difference(second, first, 200, 1)
    assert there.difference.mean == pytest.approx(-back.difference.mean, abs=1e-12)
    assert there.difference.low == pytest.approx(-back.difference.high, abs=1e-9)
    assert (there.first_better, there.p_value) == (back.second_better, back.p_value)
    assert there.n == len(pairs)


def test_pairing_is_narrower_than_two_separate_intervals() -> None:
    rng = np.random.default_rng(2)
    first = rng.binomial(1, 0.5, size=400).astype(float)
    second = first.copy()
    second[rng.choice(np.flatnonzero(first == 0), 24, replace=False)] = 1.0
    found = paired_difference(first, second, 2000, 0)
    assert found.difference.mean == pytest.approx(24 / 400)
    assert 0 < found.difference.low < found.difference.high < 0.1
    assert found.p_value == pytest.approx(2 / 2**24)
    assert bootstrap_mean(first, 2000, 0).high > bootstrap_mean(second, 2000, 0).low


@given(st.integers(1, 5000))
def test_length_buckets_cover_every_length_once(cap: int) -> None:
    edges = length_edges(cap)
    assert edges[0][0] == 0
    assert edges[-1][1] == cap
    assert all(high + 1 == low for (_, high), (low, _) in itertools.pairwise(edges))


@given(st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=50))
def test_length_buckets_add_up(rows: list[tuple[int, bool]]) -> None:
    tokens, correct = [t for t, _ in rows], [c for _, c in rows]
    buckets = by_length(tokens, correct, 300)
    assert sum(b["share"] for b in buckets) == pytest.approx(1)
    assert sum(b["share"] * b["accuracy"] for b in buckets) == pytest.approx(sum(correct) / len(rows))
