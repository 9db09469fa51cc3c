"""The filter: named rules over what the reasoner wrote; the first that fires is the reason.

The paper names two operations, agreement with the ground truth and the dropping of logically
inconsistent samples by rules, and publishes no rule. These are ours. A rule sees the text, the
gold answer and the length: what a user with a real reasoner has. It never sees which fault was
put into a reply.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from vision_r1.construct.arithmetic import uncorrected
from vision_r1.construct.config import FilterLimits
from vision_r1.construct.replies import Dropped, control_token
from vision_r1.grading import GradeSpec, Parts, extract, grade_answer, grade_response, split_parts
from vision_r1.grading.extract import strip_marks


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rules see of a row.

    Attributes:
        text: the reasoner's reply.
        spec: the gold answer and how it is compared.
        tokens: length of the reply.
        stopped: False where the reply was cut off at its cap.
    """

    text: str
    spec: GradeSpec
    tokens: int
    stopped: bool = True


Rule = Callable[[Candidate, FilterLimits], str | None]

_ANSWER_IS = re.compile(r"\banswer\s{0,3}(?:is\b|:|=)", re.IGNORECASE)
_SOURCE = r"(?:description|caption|image|picture|figure|diagram|chart|text|problem|information)"
_TOLD = r"(?:mention|say|state|provide|specify|give|include|list|tell|describe|contain|show|indicate)"
_MISSING = re.compile(
    rf"\b{_SOURCE}\s+(?:does\s+not|doesn['’]t|did\s+not|didn['’]t)\s+(?:\w+ly\s+)?{_TOLD}\b"
    r"|\b(?:(?:is|are|was|were)\s+not|(?:is|are|was|were)n['’]t)\s+(?:\w+ly\s+)?"
    r"(?:provided|mentioned|specified|stated|described)\b"
    r"|\bnot\s+provided\b"
    r"|\b(?:missing|insufficient|not\s+enough)\s+(?:information|data|details?)\b"
    r"|\b(?:have|need|going)\s+to\s+guess\b|\b(?:must|can\s+only|could\s+only|will|['’]ll|just|let\s+me)\s+guess\b"
    r"|\bguessing\b|\b(?:can(?:not|['’]t|\s+not)|unable\s+to)\s+see\s+the\s+(?:image|picture|figure|diagram)\b",
    re.IGNORECASE,
)


def missing_talk(text: str) -> str | None:
    """Words that say that something is missing or guessed, if any."""
    match = _MISSING.search(text)
    return match[0] if match else None


def _thought(row: Candidate) -> str:
    """The thought: what stands before its end, or all of it where it has none."""
    return row.text.partition("</think>")[0].removeprefix("<think>")


def _truncated(row: Candidate, _: FilterLimits) -> str | None:
    """Cut off at its cap, or a thought that never ends."""
    if not row.stopped:
        return "cut off at its cap"
    ended = "</think>" in row.text or "<answer>" in row.text
    return None if ended else "the thought never ends"


def _control(row: Candidate, _: FilterLimits) -> str | None:
    """A spelt-out control token or image mark."""
    mark = control_token(row.text)
    return f"the reply contains {mark}" if mark else None


def _broken_form(row: Candidate, _: FilterLimits) -> str | None:
    """Not exactly one think part and then one answer part."""
    parts = split_parts(row.text)
    return None if isinstance(parts, Parts) else f"form: {parts}"


def _wrong_answer(row: Candidate, _: FilterLimits) -> str | None:
    """The grader does not find the answer right."""
    verdict = grade_response(row.text, row.spec)
    if verdict.correct:
        return None
    return f"{verdict.status}: {(verdict.extracted or 'no answer')[:60]} for {row.spec.gold[:60]}"


def _contradiction(row: Candidate, _: FilterLimits) -> str | None:
    """The thought's last "the answer is" differs from the answer part."""
    parts = split_parts(row.text)
    if not isinstance(parts, Parts) or not _ANSWER_IS.search(parts.think):
        return None
    said = extract(parts.think).answer
    if said is None:
        return "the thought states several answers"
    given = strip_marks(parts.answer)
    first, second = grade_answer(said, row.spec), grade_answer(given, row.spec)
    same = first.correct if second.correct else first.normalized_answer == second.normalized_answer
    return None if same else f"the thought says {said[:60]}, the answer {given[:60]}"


def _arithmetic(row: Candidate, _: FilterLimits) -> str | None:
    """A plain sum that is wrong and not taken back."""
    wrong = uncorrected(_thought(row))
    return f"wrong and not taken back: {wrong.text}" if wrong is not None else None


def _repetition(row: Candidate, limits: FilterLimits) -> str | None:
    """The same phrase over and over."""
    words = _thought(row).split()
    size = limits.repeat_words
    phrases = Counter(zip(*(words[start:] for start in range(size)), strict=False))
    if not phrases:
        return None
    phrase, count = phrases.most_common(1)[0]
    return f"{count} times: {' '.join(phrase)[:80]}" if count > limits.max_repeats else None


def _missing_information(row: Candidate, _: FilterLimits) -> str | None:
    """Talk of missing information or of guessing."""
    found = missing_talk(_thought(row))
    return f"says: {found}" if found else None


def _too_long(row: Candidate, limits: FilterLimits) -> str | None:
    """More tokens than allowed."""
    return f"{row.tokens} tokens" if row.tokens > limits.max_tokens else None


RULES: dict[str, Rule] = {
    "truncated": _truncated,
    "control_token": _control,
    "broken_form": _broken_form,
    "wrong_answer": _wrong_answer,
    "contradiction": _contradiction,
    "arithmetic": _arithmetic,
    "repetition": _repetition,
    "missing_information": _missing_information,
    "too_long": _too_long,
}


def apply_rules(row: Candidate, limits: FilterLimits) -> list[Dropped]:
    """Every rule that fires, in the order of `RULES`; the first is the reason, none keeps the row.

    A reply far over the length cap is not read any further, whoever wrote it.
    """
    if row.tokens > 16 * limits.max_tokens:
        return [Dropped("too_long", f"{row.tokens} tokens")]
    found = ((name, rule(row, limits)) for name, rule in RULES.items())
    return [Dropped(name, reason) for name, reason in found if reason is not None]
