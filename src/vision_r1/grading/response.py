"""Grade a whole model output: extraction, then equivalence. Data filters and evaluation use this."""

from __future__ import annotations

from dataclasses import replace

from vision_r1.grading.budget import answer_budget
from vision_r1.grading.closing import closing_claims
from vision_r1.grading.equivalence import grade_answer
from vision_r1.grading.extract import Extraction, extract
from vision_r1.grading.spec import GradeSpec
from vision_r1.grading.verdict import Status, Verdict


def grade_response(response: str, spec: GradeSpec) -> Verdict:
    """The verdict on a whole output, whatever its format.

    Returns:
        As `grade_answer`. No answer is "unparseable" with the reason "no_answer"; final answers that
        differ are "wrong" with the reason "several_answers".
    """
    with answer_budget():
        found = extract(response)
        verdict = _of_extraction(found, spec)
        if verdict.correct or not found.unmarked:
            return verdict
        return _of_closing(found.unmarked, spec) or verdict


def _of_extraction(found: Extraction, spec: GradeSpec) -> Verdict:
    if found.answer is not None:
        return grade_answer(found.answer, spec)
    blank = grade_answer("", spec)
    status: Status = "wrong" if found.reason == "several_answers" else "unparseable"
    return Verdict(status, None, blank.normalized_gold, None, found.reason)


def _of_closing(text: str, spec: GradeSpec) -> Verdict | None:
    """The verdict on what a text without marks closes with, where that is right; else None."""
    verdicts = (grade_answer(claim, spec) for claim in closing_claims(text, spec.options))
    right = next((verdict for verdict in verdicts if verdict.correct), None)
    return replace(right, reason="closing_claim") if right else None
