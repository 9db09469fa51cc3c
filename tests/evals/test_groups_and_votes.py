"""Intervals over groups, the block jackknife, majority votes, and the best constant answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.evals.baselines import most_frequent_gold
from vision_r1.evals.benchmarks import Item
from vision_r1.evals.statistics import (
    block_jackknife,
    bootstrap_groups,
    bootstrap_mean,
    paired_difference,
)
from vision_r1.evals.votes import majority_at, majority_value, same_answers
from vision_r1.problems.problem import Problem

VALUES = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=40)


@given(VALUES)
def test_without_groups_it_is_the_plain_bootstrap(values):
    names = [str(i) for i in range(len(values))]
    assert bootstrap_groups(values, names, 200, 3) == bootstrap_mean(values, 200, 3)


def test_groups_that_agree_inside_widen_the_interval():
    rng = np.random.default_rng(0)
    groups = [str(i // 10) for i in range(400)]
    values = [float(v) for v in np.repeat(rng.integers(0, 2, 40), 10)]
    alone, together = bootstrap_mean(values, 2000, 0), bootstrap_groups(values, groups, 2000, 0)
    assert together.mean == alone.mean
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)  # 40 draws and not 400


def test_groups_of_unlike_size_keep_the_mean_over_problems():
    found = bootstrap_groups([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"], 500, 0)
    assert found.mean == 0.75
    assert (found.low, found.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="groups"):
        bootstrap_groups([1.0], [], 100, 0)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(1).normal(size=80)
    items = [(str(i), float(v)) for i, v in enumerate(values)]
    found = block_jackknife(
        items, lambda item: item[0], lambda chosen: {"mean": float(np.mean([v for _, v in chosen]))}
    )
    value, interval = found["mean"]
    assert value == pytest.approx(values.mean())
    error = values.std(ddof=1) / math.sqrt(80)
    assert interval == pytest.approx([value - 1.96 * error, value + 1.96 * error])


def test_the_jackknife_deletes_groups_whole_and_says_nothing_of_one():
    seen = []

    def statistic(chosen):
        seen.append({group for group, _ in chosen})
        return {"n": float(len(chosen))}

    block_jackknife([("a", 1), ("a", 2), ("b", 3)], lambda item: item[0], statistic)
    assert seen == [{"a", "b"}, {"b"}, {"a"}]
    assert block_jackknife([("a", 1)], lambda item: item[0], statistic) == {"n": (1.0, None)}


VOTES = st.lists(st.tuples(st.sampled_from([0, 1, 2, None]), st.booleans()), min_size=1, max_size=9)


@given(VOTES)
def test_a_vote_is_a_share_and_does_not_depend_on_the_order(votes):
    found = majority_value(votes)
    assert 0 <= found <= 1
    assert majority_value(votes[::-1]) == pytest.approx(found)
    if all(right for label, right in votes if label is not None) and any(
        label is not None for label, _ in votes
    ):
        assert found == pytest.approx(1)
    if not any(right for _, right in votes):
        assert found == 0


def test_votes():
    assert majority_value([(0, True), (0, True), (1, False)]) == 1
    assert majority_value([(0, True), (1, False), (1, False)]) == 0
    assert majority_value([(0, True), (1, False)]) == 0.5
    assert majority_value([(0, True), (None, False), (None, False)]) == 1  # silence does not vote
    assert majority_value([(None, False)]) == 0
    assert majority_at(2, [(0, True), (0, True), (1, False), (2, False), (3, True)]) == 0.5
    with pytest.raises(ValueError, match="maj@3"):
        majority_at(3, [(0, True)])


def test_answers_are_told_apart_without_the_gold():
    def same(one, other):
        return one.replace(".0", "") == other.replace(".0", "")

    assert same_answers(["5", "5.0", None, "4", " 5 ", ""], same) == [0, 0, None, 1, 0, None]


def test_a_comparison_without_a_difference_is_not_certain():
    found = paired_difference([1.0, 0.0, 1.0], [1.0, 0.0, 1.0], 200, 0)
    assert found.difference.low == -found.difference.high < 0
    assert paired_difference([0.0, 0.0], [1.0, 1.0], 200, 0, ["a", "a"]).difference.ci95 == [-1.0, 1.0]


def test_the_best_constant_answer_counts_golds_that_are_written_otherwise():
    golds = ["2", "2.0", "3", "3", "cat"]
    items = [Item(Problem(str(i), "?", gold), "?", {}) for i, gold in enumerate(golds)]
    found = most_frequent_gold(items, 10)
    assert found["accuracy"] == 2 / 10
    assert found["answer"] in ("2", "2.0", "3")
