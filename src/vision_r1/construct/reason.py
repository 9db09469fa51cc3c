"""Step 3: description and question -> thought and answer, from a reasoner that sees no image.

Whether the reasoner is told the answer is a switch; the paper says no, its author says yes.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from vision_r1.core.seeds import derive_seed
from vision_r1.models.chat import IMAGE_MARK
from vision_r1.problems.problem import Problem
from vision_r1.teachers.config import ReasonerRates
from vision_r1.teachers.reasoner import Reply, reason

Reasoner = Callable[[Problem, str, str | None], Reply]


def scripted(rates: ReasonerRates, seed: int) -> Reasoner:
    """The scripted reasoner; its choices depend on the seed and on the problem's id alone.

    So the same problem meets the same faults and slips whatever its description says, and arms
    of a comparison differ by their descriptions only.
    """

    def ask(problem: Problem, description: str, answer: str | None) -> Reply:
        rng = random.Random(derive_seed(seed, "reasoner", problem.id))
        return reason(description, problem.prompt.replace(IMAGE_MARK, ""), rates, rng, answer)

    return ask
