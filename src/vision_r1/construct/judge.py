"""What becomes of a reasoner's reply: the rules, the rewriting, and the assistant's turn of a kept row."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, islice

from vision_r1.construct.config import FilterLimits
from vision_r1.construct.filters import Candidate, Reading, apply_rules
from vision_r1.construct.processes import processes
from vision_r1.construct.replies import Dropped
from vision_r1.construct.rewrite import leftover_talk
from vision_r1.grading import Verdict, extract
from vision_r1.grading.extract import strip_marks
from vision_r1.teachers.reasoner import wrap

_CHUNK = 64  # rows sent to a process at a time
_AHEAD = 8  # chunks on their way for each process


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
        """The name of the first rule that fired, or "kept"."""
        return self.dropped[0].rule if self.dropped else "kept"


def judge(row: Candidate, limits: FilterLimits) -> Judgement:
    """Apply the rules to a candidate and rewrite the thought of one that passes."""
    reading = Reading(row, limits)
    dropped = tuple(apply_rules(reading))
    if dropped:
        return Judgement(dropped, reading.verdict)
    before, thought = row.thought.strip(), reading.thought.strip()
    left = leftover_talk(thought)  # what is missing is a rule's, and was looked for
    if left is not None:
        return Judgement((Dropped("residual_talk", f"still says: {left}"),), reading.verdict)
    return Judgement((), reading.verdict, final_text(thought, row.reply), thought != before)


def final_text(thought: str, reply: str) -> str:
    """Thought and answer in the layout of Vision-R1-cold.

    That is `<think> ... </think><answer> Final Answer:X </answer>`, X being the answer that the grader
    finds in the reply.
    """
    return wrap(thought, strip_marks(extract(reply).answer or ""))


def judge_rows(
    rows: Iterable[Candidate], limits: FilterLimits, workers: int | None = None
) -> Iterator[Judgement]:
    """Judge any number of candidates in as many processes as there are processors.

    The rules are plain Python, which threads would not make faster. A process has the texts and nothing
    else; at most a few thousand candidates are on their way at a time.

    Args:
        rows: what to judge; read as the results are taken.
        limits: of the rules.
        workers: processes; 1 judges in this one, None takes one for each processor.

    Yields:
        A judgement for each candidate, in their order.

    Raises:
        VisionR1Error: a process died, for want of memory for instance.
    """
    count = workers or os.cpu_count() or 1
    chunks = _chunks(iter(rows))
    first = next(chunks, [])
    if count == 1 or len(first) < _CHUNK:
        for chunk in chain([first], chunks):
            yield from (judge(row, limits) for row in chunk)
        return
    waiting: deque[Future[list[Judgement]]] = deque()
    with processes(count, "judges rows") as pool:
        for chunk in chain([first], chunks):
            waiting.append(pool.submit(_judge_all, chunk, limits))
            if len(waiting) > _AHEAD * count:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _chunks(rows: Iterator[Candidate]) -> Iterator[list[Candidate]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def _judge_all(rows: Sequence[Candidate], limits: FilterLimits) -> list[Judgement]:
    return [judge(row, limits) for row in rows]
