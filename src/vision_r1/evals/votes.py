"""maj@k: what the majority of k samples of a problem says. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

# (which answer was given, as a number; None for no answer; whether it is right)
Vote = tuple[int | None, bool]


def same_answers(answers: Sequence[str | None], same: Callable[[str, str], bool]) -> list[int | None]:
    """Number the different answers of one problem, without regard to its gold.

    Args:
        answers: in their normal form; None or empty where there is none.
        same: whether the first of two answers says what the second says.

    Returns:
        The number of each answer; None for those that do not vote.
    """
    known: list[str] = []
    numbers: dict[str, int] = {}
    labels: list[int | None] = []
    for answer in answers:
        text = (answer or "").strip().casefold()
        if text and text not in numbers:
            found = next((at for at, other in enumerate(known) if same(text, other)), len(known))
            if found == len(known):
                known.append(text)
            numbers[text] = found
        labels.append(numbers.get(text))
    return labels


def majority_value(votes: Sequence[Vote]) -> float:
    """The chance that the most frequent answer is right; ties are drawn among the tied answers.

    Returns:
        1.0, 0.0, or a share where answers tie, or where one answer is graded both ways; 0.0 if nobody
        votes.
    """
    counts = Counter(label for label, _ in votes if label is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    tied = [label for label, count in counts.items() if count == most]
    right = [sum(correct for label, correct in votes if label == winner) / most for winner in tied]
    return sum(right) / len(tied)


def majority_at(k: int, votes: Sequence[Vote]) -> float:
    """maj@k of one problem from n >= k samples: the mean over the disjoint blocks of k, in order.

    Raises:
        ValueError: fewer than k samples.
    """
    if not 1 <= k <= len(votes):
        raise ValueError(f"maj@{k} of {len(votes)} samples is not defined")
    starts = range(0, len(votes) - k + 1, k)
    return sum(majority_value(votes[start : start + k]) for start in starts) / len(starts)
