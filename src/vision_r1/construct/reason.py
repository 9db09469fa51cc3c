"""Step 3: description and question -> thought and answer, from a reasoner that sees no image.

Whether the reasoner is told the answer is a switch; the paper says no, its author says yes.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from vision_r1.construct.replies import Dropped, Said
from vision_r1.core.seeds import derive_seed
from vision_r1.models.chat import IMAGE_MARK
from vision_r1.problems.problem import Problem
from vision_r1.teachers.config import ReasonerRates
from vision_r1.teachers.prompts import Prompts
from vision_r1.teachers.reasoner import Reply, reason

Reasoner = Callable[[Problem, str, str | None], Reply]


def question_in_words(problem: Problem) -> str:
    """The question for somebody who sees no image: a mark becomes nothing, or of several its number."""
    marks = problem.prompt.count(IMAGE_MARK)
    text = problem.prompt
    for number in range(1, marks + 1):
        text = text.replace(IMAGE_MARK, f"(image {number})" if marks > 1 else "", 1)
    return text.strip()


def render(prompts: Prompts, problem: Problem, description: str, answer: str | None) -> str:
    """The prompt; `answer` is what the reasoner is told, None for nothing."""
    return prompts.reason(description, question_in_words(problem), answer)


def parse(said: Said) -> dict[str, str] | Dropped:
    """Nothing is read here: the filter judges thought and reply. A reply that never came is dropped."""
    if said.stop_reason == "error":
        return Dropped("reason_unanswered", said.error)
    if said.stop_reason != "length" and not said.text.strip() and not said.thought.strip():
        return Dropped("reason_empty", "the reply is empty")
    return {}


def scripted(rates: ReasonerRates, seed: int) -> Reasoner:
    """The scripted reasoner; its choices depend on the seed and on the problem's id alone.

    So the same problem meets the same faults and slips whatever its description says, and arms
    of a comparison differ by their descriptions only.
    """

    def ask(problem: Problem, description: str, answer: str | None) -> Reply:
        rng = random.Random(derive_seed(seed, "reasoner", problem.id))
        return reason(description, problem.prompt.replace(IMAGE_MARK, ""), rates, rng, answer)

    return ask
