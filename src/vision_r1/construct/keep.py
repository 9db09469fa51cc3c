"""Which of several right samples of a question become training rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

KeepRule = Literal["first_right", "shortest_right", "all_right", "hardest"]


def chosen(good: Sequence[bool], tokens: Sequence[int], rule: KeepRule, at_most: int) -> set[int]:
    """The samples of one question that are kept, among those that passed every filter.

    `first_right` and `shortest_right` keep one; `all_right` the first `at_most`; `hardest` the first
    `at_most`, of questions alone that were got right by at most half of their samples, so that what the
    reasoner always solves does not fill the set.

    Args:
        good: for each sample, whether it passed.
        tokens: its length.
        rule: as above.
        at_most: the most kept of one question.

    Returns:
        Their places.
    """
    right = [place for place, passed in enumerate(good) if passed]
    if rule == "hardest":
        return set(right[:at_most]) if 2 * len(right) <= len(good) else set()
    if rule == "all_right":
        return set(right[:at_most])
    if rule == "shortest_right":
        right.sort(key=lambda place: (tokens[place], place))
    return set(right[:1])
