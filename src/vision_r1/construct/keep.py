"""Which of several right samples of a question become training rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

KeepRule = Literal["first_right", "shortest_right", "all_right", "hardest"]


def chosen(
    good: Sequence[bool],
    right: Sequence[bool | None],
    tokens: Sequence[int],
    rule: KeepRule,
    at_most: int | None,
) -> set[int]:
    """The samples of one question that are kept, among those that passed every filter.

    `first_right` and `shortest_right` keep one; `all_right` the first `at_most`; `hardest` the first
    `at_most`, of questions alone to which at most half of the answers were right, so that what the
    reasoner always solves does not fill the set.

    Args:
        good: for each sample, whether it passed.
        right: whether its answer was right; None where there was none.
        tokens: its length.
        rule: as above.
        at_most: the most kept of one question; None for all.

    Returns:
        Their places.
    """
    places = [place for place, passed in enumerate(good) if passed]
    if rule == "hardest":
        answers = [each for each in right if each is not None]
        return set(places[:at_most]) if 2 * sum(answers) <= len(answers) else set()
    if rule == "all_right":
        return set(places[:at_most])
    if rule == "shortest_right":
        places.sort(key=lambda place: (tokens[place], place))
    return set(places[:1])
