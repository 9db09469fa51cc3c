"""A reward of your own: right answers pay, and short thoughts pay a little more.

vision-r1 run vision-r1 stages.rl.reward=examples/reward.py:short_and_right
"""

from vision_r1.grading import GradeSpec, hfrrf
from vision_r1.problems.problem import Problem


def short_and_right(completion: str, problem: Problem, stop_reason: str) -> dict[str, object]:
    """1 for a right answer in the right form, and up to 0.2 more for brevity."""
    graded = hfrrf(completion, GradeSpec.of(problem), stop_reason)
    bonus = 0.2 * max(0.0, 1 - len(completion) / 600) if graded.reward else 0.0
    return {"reward": graded.reward + bonus, "reason": graded.reason}
