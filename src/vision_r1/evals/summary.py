"""Rows of traces.jsonl -> the figures of one variant in results.json. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vision_r1.core.seeds import derive_seed
from vision_r1.evals.statistics import bootstrap_mean, by_length, pass_at_k, wilson

Row = dict[str, Any]
PASS_K = 8


def variant_block(rows: Sequence[Row], *, prompt: str, cap: int, bootstrap: int, seed: int) -> dict[str, Any]:
    """The result block of one variant.

    Accuracy, format rate, truncation and lengths are those of greedy decoding. An answer of a
    truncated completion counts if the extraction finds it; `accuracy_finished` leaves truncated
    completions out. Greedy intervals are Wilson's; those over samples are bootstrapped by problem.

    Args:
        rows: of traces.jsonl, one greedy row a problem at least.
        prompt: "direct" or "think".
        cap: completion cap in tokens; sets the length buckets.
        bootstrap: resamples.
        seed: of the bootstrap.

    Returns:
        Plain data for results.json. Figures over samples are None where nothing, or too little, was sampled.
    """
    greedy = [row for row in rows if row["decoding"] == "greedy"]
    accuracy = accuracy_block(greedy)
    finished = [row for row in greedy if row["stop_reason"] != "length"]
    return {
        **accuracy,
        **_sampled(rows, bootstrap, seed),
        "format_rate": _share(greedy, "format_ok"),
        "truncation_rate": 1 - len(finished) / len(greedy),
        "accuracy_finished": _share(finished, "correct") if finished else None,
        "mean_tokens": sum(row["tokens"] for row in greedy) / len(greedy),
        "by_family": _grouped(greedy, "family"),
        "by_level": _grouped(greedy, "level"),
        "by_length": by_length([row["tokens"] for row in greedy], [row["correct"] for row in greedy], cap),
        "prompt": prompt,
        "cap": cap,
    }


def accuracy_block(rows: Sequence[Row]) -> dict[str, Any]:
    """`{"accuracy", "ci95", "n"}` of rows that each stand for one problem."""
    share = wilson(sum(bool(row["correct"]) for row in rows), len(rows))
    return {"accuracy": share.mean, "ci95": share.ci95, "n": len(rows)}


def sampled_counts(rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """Problem id -> (samples, right samples), in the order of the rows."""
    counts: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row["decoding"] == "sampled":
            n, right = counts.get(row["problem_id"], (0, 0))
            counts[row["problem_id"]] = (n + 1, right + bool(row["correct"]))
    return counts


def _sampled(rows: Sequence[Row], bootstrap: int, seed: int) -> dict[str, Any]:
    counts = list(sampled_counts(rows).values())
    figures: dict[str, Any] = {"sampled_n": len(counts)}
    for name, k in (("pass_at_1_sampled", 1), (f"pass_at_{PASS_K}", PASS_K)):
        figures[name] = figures[f"{name}_ci95"] = None
        if counts and min(n for n, _ in counts) >= k:
            chances = [pass_at_k(n, right, k) for n, right in counts]
            interval = bootstrap_mean(chances, bootstrap, derive_seed(seed, name))
            figures[name], figures[f"{name}_ci95"] = interval.mean, interval.ci95
    return figures


def _grouped(rows: Sequence[Row], field: str) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row[field] is not None:
            groups.setdefault(str(row[field]), []).append(row)
    return {name: accuracy_block(groups[name]) for name in sorted(groups)}


def _share(rows: Sequence[Row], field: str) -> float:
    return sum(bool(row[field]) for row in rows) / len(rows)
