"""maj@k: what the majority of k samples of a problem says. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def majority_value(answers: Sequence[tuple[str | None, bool]]) -> float:
    """The chance that the most frequent answer is right; ties are drawn among the tied answers.

    Args:
        answers: (answer in its normal form, whether it is right) of each sample. Answers without a
            normal form do not vote. All right answers are one answer, however they are written.

    Returns:
        1.0, 0.0, or a share where answers tie; 0.0 if nobody votes.
    """
    votes: Counter[tuple[bool, str]] = Counter()
    for shown, right in answers:
        if right:
            votes[True, ""] += 1
        elif shown is not None and shown.strip():
            votes[False, shown.strip().casefold()] += 1
    if not votes:
        return 0.0
    most = max(votes.values())
    tied = [answer for answer, count in votes.items() if count == most]
    return sum(right for right, _ in tied) / len(tied)


def majority_at(k: int, answers: Sequence[tuple[str | None, bool]]) -> float:
    """maj@k of one problem from n >= k samples: the mean over the disjoint blocks of k, in order.

    Raises:
        ValueError: fewer than k samples.
    """
    if not 1 <= k <= len(answers):
        raise ValueError(f"maj@{k} of {len(answers)} samples is not defined")
    starts = range(0, len(answers) - k + 1, k)
    return sum(majority_value(answers[start : start + k]) for start in starts) / len(starts)


def vote_of(score: Mapping[str, Any]) -> tuple[str | None, bool]:
    """The vote of one scored answer: its normal form where the scorer has one, else what it extracted."""
    return score.get("normalized") or score.get("extracted"), bool(score["correct"])
