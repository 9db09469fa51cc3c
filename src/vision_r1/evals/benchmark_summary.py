"""Scored answers of one benchmark -> its figures. Pure functions.

The unit of every interval is the group: a problem, or the problems that the benchmark scores together.
A row that could not be used counts as a problem answered wrongly in every accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vision_r1.core.seeds import derive_seed
from vision_r1.evals.baselines import most_frequent_gold
from vision_r1.evals.benchmarks import Benchmark, Item
from vision_r1.evals.scoring import JUDGE_FAILED, STRICT, scorers
from vision_r1.evals.statistics import block_jackknife, bootstrap_groups, by_length, pass_at_k
from vision_r1.evals.votes import Vote, majority_at, same_answers
from vision_r1.grading import GradeSpec, grade_answer

Row = dict[str, Any]
Samples = dict[str, list[Row]]


def benchmark_block(
    benchmark: Benchmark,
    items: Sequence[Item],
    rows: Sequence[Row],
    *,
    unusable: int,
    cap: int,
    bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Every figure of one benchmark.

    Args:
        benchmark: for its further scores.
        items: what was asked, in order.
        rows: of `scoring.score_answers`, all samples of all items.
        unusable: rows that could not be asked.
        cap: completion cap in tokens; sets the length buckets.
        bootstrap: resamples.
        seed: of the bootstrap.

    Returns:
        Plain data: `n` problems (unusable ones included), `samples`, `scorers` with `accuracy` (pass@1
        over the samples), its 95% interval, `pass_at`, `maj_at`, breakdowns and further scores,
        `chance`, `most_frequent`, rates over answers, and lengths.
    """
    samples = _by_problem(items, rows)
    n = len(items) + unusable
    cut = [row for row in rows if row["stop_reason"] == "length"]
    counted = [row for row in rows if row["tokens"] is not None]
    return {
        "n": n,
        "asked": len(items),
        "samples": min(len(found) for found in samples.values()),
        "scorers": {
            name: _scorer_block(benchmark, items, samples, name, unusable, bootstrap, seed)
            for name in scorers(rows)
        },
        "chance": sum(item.chance for item in items) / n,
        "most_frequent": most_frequent_gold(items, n),
        "truncation_rate": len(cut) / len(rows),
        "format_rate": _share(rows, lambda row: row["format_ok"]),
        "unparseable_rate": _share(rows, lambda row: row[STRICT]["status"] == "unparseable"),
        "timeout_rate": _share(rows, lambda row: row[STRICT]["status"] == "timeout"),
        "error_rate": _share(rows, lambda row: row["stop_reason"] == "error"),
        "judge_failed": sum(_judge_failed(row) for row in rows),
        "mean_tokens": sum(r["tokens"] for r in counted) / len(counted) if counted else None,
        "mean_rolls": sum(row["rolls"] for row in rows) / len(rows),
        "cap": cap,
        "by_length": by_length(
            [min(r["tokens"], cap) for r in counted], [r[STRICT]["correct"] for r in counted], cap
        ),
    }


def _by_problem(items: Sequence[Item], rows: Sequence[Row]) -> Samples:
    samples: Samples = {item.problem.id: [] for item in items}
    for row in sorted(rows, key=lambda row: int(row["sample_index"])):
        samples[row["id"]].append(row)
    return samples


def _share(rows: Sequence[Row], holds: Callable[[Row], bool]) -> float:
    return sum(holds(row) for row in rows) / len(rows)


def _judge_failed(row: Row) -> bool:
    return any(row[name]["reason"].startswith(JUDGE_FAILED) for name in scorers([row]))


def _scorer_block(
    benchmark: Benchmark,
    items: Sequence[Item],
    samples: Samples,
    name: str,
    unusable: int,
    bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    groups = [item.group for item in items] + [f"\x1funusable {i}" for i in range(unusable)]
    votes = [_votes(item, samples[item.problem.id], name) for item in items]
    k_max = min(len(found) for found in votes)

    def figure(values: list[float], *key: str | int) -> dict[str, Any]:
        padded = values + [0.0] * unusable
        interval = bootstrap_groups(padded, groups, bootstrap, derive_seed(seed, name, *key))
        return {"value": interval.mean, "ci95": interval.ci95}

    mean = [sum(right for _, right in found) / len(found) for found in votes]
    accuracy = figure(mean, "accuracy")
    block = {
        "accuracy": accuracy["value"],
        "ci95": accuracy["ci95"],
        "pass_at": {
            str(k): figure([pass_at_k(len(f), sum(right for _, right in f), k) for f in votes], "pass", k)
            for k in _powers(k_max)
        },
        "maj_at": {
            str(k): figure([majority_at(k, found) for found in votes], "maj", k) for k in _powers(k_max)
        },
        "by_family": _broken_down(items, mean, "family", bootstrap, seed),
        "by_level": _broken_down(items, mean, "level", bootstrap, seed),
    }
    firsts = [[row.get("first_roll", {}).get(name) for row in samples[item.problem.id]] for item in items]
    if all(first is not None for found in firsts for first in found):
        block["first_roll"] = figure([sum(found) / len(found) for found in firsts], "first")
    if benchmark.scores is not None:
        block["scores"] = _further(benchmark, items, samples, name)
    return block


def _votes(item: Item, rows: Sequence[Row], name: str) -> list[Vote]:
    """The votes of one problem's samples. Strict answers are compared by the grader, others as text."""
    problem = item.problem

    def same(one: str, other: str) -> bool:
        if name != STRICT:
            return one == other
        spec = GradeSpec(other, problem.answer_type, problem.options, problem.precision, problem.unit)
        return grade_answer(one, spec).correct

    shown = [row[name].get("normalized" if name == STRICT else "extracted") for row in rows]
    labels = same_answers(shown, same) if len(rows) > 1 else [0]
    return [(label, bool(row[name]["correct"])) for label, row in zip(labels, rows, strict=True)]


def _powers(most: int) -> list[int]:
    """2, 4, 8, ... up to `most`, and `most` itself; k = 1 is the accuracy."""
    ks = [2**i for i in range(1, most.bit_length()) if 2**i <= most]
    return sorted({*ks, most} - {1})


def _broken_down(
    items: Sequence[Item], values: Sequence[float], key: str, bootstrap: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Accuracy by a field of `meta`; a field that is a list counts the problem under each of its parts."""
    parts: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        found = item.problem.meta.get(key)
        for part in found if isinstance(found, list | tuple) else [found]:
            if part is not None:
                parts.setdefault(str(part), []).append(index)
    table = {}
    for part in sorted(parts):
        chosen = parts[part]
        groups = [items[index].group for index in chosen]
        interval = bootstrap_groups(
            [values[i] for i in chosen], groups, bootstrap, derive_seed(seed, key, part)
        )
        table[part] = {"accuracy": interval.mean, "ci95": interval.ci95, "n": len(chosen)}
    return table


def _further(
    benchmark: Benchmark, items: Sequence[Item], samples: Samples, name: str
) -> dict[str, dict[str, Any]]:
    """The benchmark's further scores, each the mean over the samples, with a block jackknife interval."""
    scores = benchmark.scores
    if scores is None:
        return {}
    k = min(len(found) for found in samples.values())
    correct = [
        {key: bool(found[index][name]["correct"]) for key, found in samples.items()} for index in range(k)
    ]

    def statistic(chosen: Sequence[Item]) -> dict[str, float]:
        found = [scores(chosen, right) for right in correct]
        return {key: float(np.mean([one[key] for one in found if key in one])) for key in found[0]}

    return {
        key: {"value": value, "ci95": pair}
        for key, (value, pair) in block_jackknife(items, lambda item: item.group, statistic).items()
    }


def texts_of(answers: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], str]:
    """(id, sample index) -> what the model wrote."""
    return {(answer["id"], answer["sample_index"]): answer["text"] for answer in answers}
