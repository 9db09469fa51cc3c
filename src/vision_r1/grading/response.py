"""Grade a whole model output: extraction, then equivalence. Data filters and evaluation use this."""

from __future__ import annotations

from vision_r1.grading.equivalence import grade_answer
from vision_r1.grading.extract import extract
from vision_r1.grading.spec import GradeSpec
from vision_r1.grading.verdict import Status, Verdict


def grade_response(response: str, spec: GradeSpec) -> Verdict:
    """The verdict on a whole output, whatever its format.

    Returns:
        As `grade_answer`. No answer is "unparseable" with the reason "no_answer"; final answers that
        differ are "wrong" with the reason "several_answers".
    """
    found = extract(response)
    if found.answer is not None:
        return grade_answer(found.answer, spec)
    blank = grade_answer("", spec)
    status: Status = "wrong" if found.reason == "several_answers" else "unparseable"
    return Verdict(status, None, blank.normalized_gold, None, found.reason)
