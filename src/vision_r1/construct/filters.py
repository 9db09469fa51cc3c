"""The filter: named rules over what the reasoner wrote; the first that fires is the reason.

The paper names two operations, agreement with the ground truth and the dropping of logically
inconsistent samples by rules, and publishes no rule. These are ours. A rule sees the text, the
gold answer and the length: what a user with a real reasoner has. It never sees which fault was
put into a reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from vision_r1.construct.arithmetic import uncorrected
from vision_r1.construct.config import FilterLimits
from vision_r1.construct.known import KnownImage, contradiction_of_image
from vision_r1.construct.missing import missing_talk, refusal
from vision_r1.construct.repetition import repetition
from vision_r1.construct.replies import Dropped, control_token
from vision_r1.construct.rewrite import rewrite
from vision_r1.construct.scripts import mixed_scripts
from vision_r1.grading import GradeSpec, Parts, Verdict, extract, grade_answer, grade_response, split_parts
from vision_r1.grading.choice import resolve
from vision_r1.grading.formats import has_tag


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rules see of a row.

    Attributes:
        thought: what the reasoner thought, without tags.
        reply: what it said after its thought, in whatever form it states an answer.
        spec: the gold answer and how it is compared.
        tokens: length of thought and reply.
        stopped: False where the reply was cut off at its cap, or its thought never ends.
        hidden: why the thought is not there in full ("encrypted", "summary", ...); "" where it is.
        facts: what is known of the image.
        question: what was asked; "" where that does not matter.
        broken: what is wrong with the layout that the reasoner was told to keep; "" for nothing, or where
            it was told none.
    """

    thought: str
    reply: str
    spec: GradeSpec
    tokens: int
    stopped: bool = True
    hidden: str = ""
    facts: KnownImage | None = None
    question: str = ""
    broken: str = ""

    @classmethod
    def tagged(cls, text: str, spec: GradeSpec, tokens: int, stopped: bool = True) -> Candidate:
        """The candidate of a reply in one text, `<think>...</think><answer>...</answer>`.

        Any other layout is broken: a reasoner that was told this one can keep it.
        """
        parts = split_parts(text)
        broken = "" if isinstance(parts, Parts) else parts
        end = next((tag for tag in ("</think>", "<answer>") if tag in text), "")
        thought, _, rest = text.partition(end) if end else (text, "", "")
        reply = rest if end == "</think>" else end + rest
        ended = stopped and bool(end)
        return cls(thought.removeprefix("<think>"), reply, spec, tokens, ended, broken=broken)


class Reading:
    """A candidate as the rules read it: what several of them need is worked out once."""

    def __init__(self, row: Candidate, limits: FilterLimits) -> None:
        self.row, self.limits = row, limits

    @cached_property
    def verdict(self) -> Verdict:
        """The grader's verdict on the reply; `extracted` is the answer that it states, if it states one."""
        return grade_response(self.row.reply, self.row.spec)

    @cached_property
    def thought(self) -> str:
        """The thought with talk of a description turned into talk of the image."""
        return rewrite(self.row.thought)


Rule = Callable[[Reading], str | None]

_ANSWER_IS = re.compile(r"answer\s{0,3}(?:is\b|:|=)", re.IGNORECASE)
# "12 cm", "about \\frac{1}{2}", "x = 5": not "twice the 5 that I found".
_VALUE = re.compile(
    r"\W{0,4}(?:(?:about|approximately|exactly|just|simply|indeed|now|[a-z]\s?=)\s{0,2})?\W{0,4}(?:\d|[dt]?frac|sqrt|pi\b)",
    re.IGNORECASE,
)


def _truncated(reading: Reading) -> str | None:
    """Cut off at its cap, or a thought that never ends."""
    return None if reading.row.stopped else "cut off at its cap, or the thought never ends"


def _control(reading: Reading) -> str | None:
    """A spelt-out control token or image mark."""
    mark = control_token(reading.row.thought) or control_token(reading.row.reply)
    return f"the reply contains {mark}" if mark else None


def _hidden_thought(reading: Reading) -> str | None:
    """A thought that the endpoint hides or sums up."""
    return f"thought not shown in full: {reading.row.hidden[:80]}" if reading.row.hidden else None


def _no_thought(reading: Reading) -> str | None:
    """No thought before the answer."""
    row = reading.row
    return None if row.hidden or row.thought.strip() else "the reasoner answered without a thought"


def _refusal(reading: Reading) -> str | None:
    """The reasoner declines to answer."""
    found = refusal(reading.row.reply) or refusal(reading.row.thought)
    return f"says: {found}" if found else None


def _broken_form(reading: Reading) -> str | None:
    """No single answer after the thought, tags inside the thought, or not the layout that was asked for."""
    row = reading.row
    if row.broken:
        return f"form: {row.broken}"
    answer = reading.verdict.extracted
    if answer is None:
        return f"form: {reading.verdict.reason}"
    return "form: extra_tag" if has_tag(row.thought) or has_tag(answer) else None


def _wrong_answer(reading: Reading) -> str | None:
    """The grader does not find the answer right."""
    verdict = reading.verdict
    if verdict.correct:
        return None
    return f"{verdict.status}: {(verdict.extracted or 'no answer')[:60]} for {reading.row.spec.gold[:60]}"


def _contradiction(reading: Reading) -> str | None:
    """The thought's last "the answer is" differs from the answer that is given."""
    row, given = reading.row, reading.verdict.extracted
    if row.broken or given is None or not _ANSWER_IS.search(row.thought):
        return None
    found = extract(row.thought)
    if found.answer is None:
        return "the thought states several answers" if found.reason == "several_answers" else None
    if not _is_answer(found.answer, row.spec):
        return None
    first, second = grade_answer(found.answer, row.spec), reading.verdict
    same = first.correct if second.correct else first.normalized_answer == second.normalized_answer
    return None if same else f"the thought says {found.answer[:60]}, the answer {given[:60]}"


def _is_answer(said: str, spec: GradeSpec) -> bool:
    """Whether what follows "the answer is" names an answer: it may go on about how to find it."""
    if spec.options:
        return bool(resolve(said, spec.options).indices)
    if any(char.isdigit() for char in spec.gold):
        return _VALUE.match(said) is not None and len(said.split()) <= 5
    return len(said.split()) <= max(4, len(spec.gold.split()))


def _arithmetic(reading: Reading) -> str | None:
    """A plain sum that is wrong and not taken back."""
    wrong = uncorrected(reading.row.thought)
    return f"wrong and not taken back: {wrong.text}" if wrong is not None else None


def _repetition(reading: Reading) -> str | None:
    """The same phrase, sentence or string over and over."""
    return repetition(reading.row.thought, reading.limits.repeat_words, reading.limits.max_repeats)


def _language_mix(reading: Reading) -> str | None:
    """Another script than that of the question, or two of them in one thought."""
    row = reading.row
    allowed = "\n".join((row.question, row.spec.gold, *row.spec.options)) if row.question else ""
    return mixed_scripts(row.thought, allowed)


def _image_contradicted(reading: Reading) -> str | None:
    """A value that the image is known to show otherwise."""
    facts = reading.row.facts
    return contradiction_of_image(reading.thought, facts) if facts else None


def _missing_information(reading: Reading) -> str | None:
    """Talk of missing information, of an image that is not seen, or of guessing."""
    found = missing_talk(reading.thought)
    return f"says: {found}" if found else None


def _too_long(reading: Reading) -> str | None:
    """More tokens than allowed."""
    row = reading.row
    return f"{row.tokens} tokens" if row.tokens > reading.limits.max_tokens else None


RULES: dict[str, Rule] = {
    "truncated": _truncated,
    "control_token": _control,
    "hidden_thought": _hidden_thought,
    "no_thought": _no_thought,
    "refusal": _refusal,
    "broken_form": _broken_form,
    "wrong_answer": _wrong_answer,
    "contradiction": _contradiction,
    "arithmetic": _arithmetic,
    "repetition": _repetition,
    "language_mix": _language_mix,
    "image_contradicted": _image_contradicted,
    "missing_information": _missing_information,
    "too_long": _too_long,
}


def apply_rules(reading: Reading) -> list[Dropped]:
    """Every rule that fires, in the order of `RULES`; the first is the reason, none keeps the row.

    A reply far over the length cap is not read any further, whoever wrote it.
    """
    row, limits = reading.row, reading.limits
    if row.tokens > 16 * limits.max_tokens:
        return [Dropped("too_long", f"{row.tokens} tokens")]
    found = ((name, rule(reading)) for name, rule in RULES.items())
    return [Dropped(name, reason) for name, reason in found if reason is not None]
