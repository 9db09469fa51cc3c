"""What becomes of a reasoner's reply: the rules, the rewriting, and the assistant's turn of a kept row."""

from __future__ import annotations

from dataclasses import dataclass

from vision_r1.construct.config import FilterLimits
from vision_r1.construct.filters import Candidate, Reading, apply_rules
from vision_r1.construct.replies import Dropped
from vision_r1.construct.rewrite import residual_talk
from vision_r1.grading import Verdict, extract
from vision_r1.grading.extract import strip_marks
from vision_r1.teachers.reasoner import wrap


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome for one candidate.

    Attributes:
        dropped: every rule that fires; the first is the reason, none means that the row is kept. Residual
            talk is looked for only where no other rule fires.
        verdict: the grader's, on the reply.
        final_text: the assistant's turn of a kept row, else "".
        rewritten: whether rewriting changed the thought of a kept row.
    """

    dropped: tuple[Dropped, ...]
    verdict: Verdict
    final_text: str = ""
    rewritten: bool = False

    @property
    def kept(self) -> bool:
        """Whether the row is a training row."""
        return not self.dropped

    @property
    def reason(self) -> str:
        """ "kept", or the name of the first rule that fired."""
        return self.dropped[0].rule if self.dropped else "kept"


def judge(row: Candidate, limits: FilterLimits) -> Judgement:
    """Apply the rules to a candidate and rewrite the thought of one that passes."""
    reading = Reading(row, limits)
    dropped = tuple(apply_rules(reading))
    if dropped:
        return Judgement(dropped, reading.verdict)
    before, thought = row.thought.strip(), reading.thought.strip()
    left = residual_talk(thought)
    if left is not None:
        return Judgement((Dropped("residual_talk", f"still says: {left}"),), reading.verdict)
    return Judgement((), reading.verdict, final_text(thought, row.reply), thought != before)


def final_text(thought: str, reply: str) -> str:
    """Thought and answer in the layout of Vision-R1-cold.

    That is `<think> ... </think><answer> Final Answer:X </answer>`, X being the answer that the grader
    finds in the reply.
    """
    return wrap(thought, strip_marks(extract(reply).answer or ""))
