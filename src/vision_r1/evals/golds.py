"""Can the golds be reached at all? Each one is graded against itself before anything is generated."""

from __future__ import annotations

from collections.abc import Sequence

from vision_r1.core.errors import InputError
from vision_r1.grading import GradeSpec, grade_response
from vision_r1.problems.problem import Problem


def ungradeable(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """The problems whose own gold, given as the final answer, is not graded as right.

    No model can be right on these. They stay in every figure, as wrong, and are listed beside it.

    Returns:
        `{"problem_id", "answer", "reason"}` for each, in order.

    Raises:
        InputError: there are no problems, a gold is empty, or no gold can be graded.
    """
    if not problems:
        raise InputError("no problems to evaluate", fix="check the data section and its share or limit")
    faults = []
    for problem in problems:
        verdict = grade_response(f"<answer> Final Answer:{problem.answer} </answer>", GradeSpec.of(problem))
        if not verdict.correct:
            faults.append({"problem_id": problem.id, "answer": problem.answer, "reason": verdict.reason})
    if len(faults) == len(problems):
        raise InputError(
            f"none of the {len(problems)} gold answers is right when graded against itself"
            f" ({faults[0]['answer'][:60]!r}: {faults[0]['reason']})",
            where=f"problem {faults[0]['problem_id']}",
            fix="check the answer column and answer_type",
        )
    return faults
