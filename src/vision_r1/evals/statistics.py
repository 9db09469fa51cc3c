"""Shares, intervals and paired tests. Pure functions over numpy arrays; the unit is the problem.

Completions of one problem depend on each other, so whatever is averaged over several completions is
first averaged within its problem and then resampled by problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vision_r1.analysis import intervals

T = TypeVar("T")
Floats = npt.NDArray[np.float64]

# Resamples are drawn in blocks of about this many indices, so that memory stays bounded.
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float

    @property
    def ci95(self) -> list[float]:
        """`[low, high]`, as results are written."""
        return [self.low, self.high]


@dataclass(frozen=True, slots=True)
class Paired:
    """Two variants on the same problems.

    Attributes:
        difference: mean of second minus first, with its paired 95% bootstrap interval.
        p_value: of the exact two-sided sign test over problems that differ. For right-or-wrong
            values this is the exact McNemar test.
        first_better: problems (groups, where there are any) on which the first is better.
        second_better: those on which the second is better.
        n: problems.
    """

    difference: Interval
    p_value: float
    first_better: int
    second_better: int
    n: int


def wilson(successes: int, n: int) -> Interval:
    """A share with its 95% interval, see `analysis.intervals.wilson`.

    Raises:
        ValueError: `n` is not positive, or `successes` is not in [0, n].
    """
    if n < 1:
        raise ValueError("a share of nothing has no mean")
    low, high = intervals.wilson(successes, n)
    return Interval(successes / n, low, high)


def bootstrap_mean(values: Sequence[float] | Floats, resamples: int, seed: int) -> Interval:
    """Mean of one value a problem, with the percentile bootstrap interval over problems (Efron 1979).

    Where every problem has the same 0 or 1, no resample differs and the bootstrap would claim
    certainty; Wilson's interval stands in.

    Args:
        values: float, shape (problems,).
        resamples: how often the problems are drawn anew.
        seed: same seed, same interval.

    Raises:
        ValueError: no values.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError("expected one value a problem, and at least one problem")
    if array[0] in (0.0, 1.0) and (array == array[0]).all():
        return wilson(int(array.sum()), array.size)
    low, high = np.quantile(_resampled_means(array, resamples, seed), [0.025, 0.975])
    return Interval(float(array.mean()), float(low), float(high))


def _resampled_means(array: Floats, resamples: int, seed: int) -> Floats:
    """Means of `resamples` draws with replacement, float64 of shape (resamples,)."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // array.size)
    sizes = [min(block, resamples - start) for start in range(0, resamples, block)]
    draws = [array[rng.integers(array.size, size=(size, array.size))].mean(1) for size in sizes]
    return np.concatenate(draws)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased chance that at least one of k samples is right: 1 - C(n-c, k) / C(n, k).

    Equation 1 of Chen et al. 2021 (arXiv 2107.03374); exact integers, no product of floats.

    Raises:
        ValueError: not 1 <= k <= n, or `correct` not in [0, n].
    """
    if not 1 <= k <= n or not 0 <= correct <= n:
        raise ValueError(f"pass@{k} of {correct} right among {n} is not defined")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def sign_test(first_better: int, second_better: int) -> float:
    """Exact two-sided sign test of p = 1/2; ties are left out beforehand. 1.0 if nothing differs."""
    if first_better < 0 or second_better < 0:
        raise ValueError("counts are not negative")
    n = first_better + second_better
    tail, ways = 0, 1
    for i in range(min(first_better, second_better) + 1):
        tail += ways
        ways = ways * (n - i) // (i + 1)
    # The ratio of two integers stays exact where a power of floats would overflow.
    return min(1.0, float(2 * tail / 2**n))


def paired_difference(
    first: Sequence[float] | Floats,
    second: Sequence[float] | Floats,
    resamples: int,
    seed: int,
    groups: Sequence[str] | None = None,
) -> Paired:
    """Second minus first on the same problems, in the same order.

    Args:
        first: float, shape (problems,).
        second: float, shape (problems,).
        resamples: problems are drawn anew, both values of a problem together.
        seed: same seed, same interval.
        groups: the group of each problem; groups are drawn, and tested, as a whole. None if each
            problem stands for itself.

    Where no two values differ, no resample does: the interval is then as far from 0 as Wilson's for no
    difference among so many.

    Raises:
        ValueError: no problems, or shapes that differ.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != two.shape or one.ndim != 1 or one.size == 0:
        raise ValueError(f"expected two values a problem, found shapes {one.shape} and {two.shape}")
    delta = two - one
    names = [str(index) for index in range(delta.size)] if groups is None else list(groups)
    sums, sizes = _by_group(delta, names)
    units = sums / sizes
    losses, wins = int((units < 0).sum()), int((units > 0).sum())
    if not delta.any():
        most = wilson(0, units.size).high
        interval = Interval(0.0, -most, most)
    elif units.size == 1:
        interval = Interval(float(delta.mean()), -1.0, 1.0)
    else:
        low, high = np.quantile(_resampled_group_means(delta, names, resamples, seed), [0.025, 0.975])
        interval = Interval(float(delta.mean()), float(low), float(high))
    return Paired(interval, sign_test(losses, wins), losses, wins, delta.size)


def length_edges(cap: int) -> list[tuple[int, int]]:
    """Buckets of completion lengths up to `cap`: 0-15, then doubling; both ends belong to a bucket."""
    edges, low, high = [], 0, 15
    while low <= cap:
        edges.append((low, min(high, cap)))
        low, high = high + 1, 2 * high + 1
    return edges


def by_length(tokens: Sequence[int], correct: Sequence[bool], cap: int) -> list[dict[str, float]]:
    """Share and accuracy of the completions in each length bucket that is not empty.

    Returns:
        `{"from", "to", "share", "accuracy"}`, lengths in tokens with both ends included. The buckets
        depend on the cap alone, so that variants measured at one cap can be laid side by side.

    Raises:
        ValueError: lengths and grades differ in number.
    """
    rows = []
    pairs = list(zip(tokens, correct, strict=True))
    for low, high in length_edges(cap):
        inside = [right for length, right in pairs if low <= length <= high]
        if inside:
            share, accuracy = len(inside) / len(pairs), sum(inside) / len(inside)
            rows.append({"from": low, "to": high, "share": share, "accuracy": accuracy})
    return rows


def bootstrap_groups(
    values: Sequence[float] | Floats, groups: Sequence[str], resamples: int, seed: int
) -> Interval:
    """Mean of one value a problem, with the percentile bootstrap that draws whole groups.

    Problems of one group (sub-questions, variants of one seed) are not independent; without groups of
    several this is `bootstrap_mean`. Where every problem has the same 0 or 1, Wilson's interval over
    groups stands in; a single group of several problems gives no information, [0, 1].

    Args:
        values: float, shape (problems,).
        groups: the group of each problem.
        resamples: how often the groups are drawn anew.
        seed: same seed, same interval.

    Raises:
        ValueError: no values, or shapes that differ.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(groups) != array.size:
        raise ValueError(f"{array.size} values, but {len(groups)} groups")
    _, sizes = _by_group(array, groups)
    if len(sizes) == array.size:
        return bootstrap_mean(array, resamples, seed)
    if array[0] in (0.0, 1.0) and (array == array[0]).all():
        return wilson(int(array[0]) * len(sizes), len(sizes))
    if len(sizes) == 1:
        # One group says nothing of how groups differ.
        return Interval(float(array.mean()), 0.0, 1.0)
    low, high = np.quantile(_resampled_group_means(array, groups, resamples, seed), [0.025, 0.975])
    return Interval(float(array.mean()), float(low), float(high))


def _by_group(array: Floats, groups: Sequence[str]) -> tuple[Floats, Floats]:
    """Sum and number of the values of each group, float64 of shape (groups,)."""
    _, index = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    sums: Floats = np.bincount(index, weights=array).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)


def _resampled_group_means(array: Floats, groups: Sequence[str], resamples: int, seed: int) -> Floats:
    """Means over problems of `resamples` draws of whole groups, float64 of shape (resamples,)."""
    sums, sizes = _by_group(array, groups)
    if len(sizes) == array.size:
        return _resampled_means(array, resamples, seed)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start in range(0, resamples, block := max(1, _BLOCK // len(sizes))):
        draw = rng.integers(len(sizes), size=(min(block, resamples - start), len(sizes)))
        means[start : start + block] = sums[draw].sum(1) / sizes[draw].sum(1)
    return means


def block_jackknife(
    items: Sequence[T],
    group_of: Callable[[T], str],
    statistic: Callable[[Sequence[T]], dict[str, float]],
    blocks: int = 100,
) -> dict[str, tuple[float, list[float] | None]]:
    """Named statistics of a set with 95% intervals from the delete-a-block jackknife (Shao and Wu 1989).

    For statistics that are no mean over problems, such as a score over groups of sub-questions.

    Args:
        items: the set.
        group_of: groups are deleted whole.
        statistic: items -> named values.
        blocks: groups are dealt to at most so many blocks, in turn.

    Returns:
        name -> (value, `[low, high]`); no interval where there are fewer than two groups, or where a
        value is not defined without some block.
    """
    whole = statistic(items)
    names = list(dict.fromkeys(group_of(item) for item in items))
    count = min(blocks, len(names))
    block = {name: index % count for index, name in enumerate(names)}
    parts = (
        [
            statistic([item for item in items if block[group_of(item)] != left_out])
            for left_out in range(count)
        ]
        if count > 1
        else []
    )
    result: dict[str, tuple[float, list[float] | None]] = {}
    for name, value in whole.items():
        found = np.asarray([part[name] for part in parts if name in part])
        if len(parts) < 2 or len(found) < len(parts) or not np.isfinite(found).all():
            result[name] = (value, None)
            continue
        error = math.sqrt((count - 1) / count * float(((found - found.mean()) ** 2).sum()))
        result[name] = (value, [value - 1.96 * error, value + 1.96 * error])
    return result
