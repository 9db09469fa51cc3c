"""What can be had without a model: the same answer to every question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from vision_r1.evals.benchmarks import Item
from vision_r1.grading import GradeSpec, grade_answer

# The most frequent gold need not be the best constant ("2" also equals "2.0"), so a few are tried.
_TRIED = 3


def most_frequent_gold(items: Sequence[Item], n: int) -> dict[str, Any]:
    """The accuracy, by the strict grader, of one answer given to every question.

    Args:
        items: what was asked.
        n: problems, those that could not be asked included.

    Returns:
        `{"answer", "accuracy"}` of the best of the most frequent golds.
    """
    golds = Counter(item.problem.answer for item in items)
    tried = [gold for gold, _ in sorted(golds.items(), key=lambda pair: (-pair[1], pair[0]))[:_TRIED]]
    specs = [GradeSpec.of(item.problem) for item in items]
    right = {gold: sum(grade_answer(gold, spec).correct for spec in specs) for gold in tried}
    best = max(tried, key=lambda gold: right[gold])
    return {"answer": best, "accuracy": right[best] / n}
