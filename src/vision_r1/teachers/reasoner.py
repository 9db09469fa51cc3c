"""The scripted text-only reasoner: it parses the description it is given, and nothing else.

It stands in for DeepSeek-R1 where there is no network. It writes human-like traces with
questioning and self-correction, and at set rates traces that are wrong, contradict themselves,
loop, or are broken in form. What went wrong in a trace is returned beside the text for scoring
the filter; the filter itself never sees it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vision_r1.teachers.config import ReasonerRates
from vision_r1.teachers.language import Facts, description, facts_of, parse_description, reading
from vision_r1.teachers.steps import Solution, Step, solve

Fault = Literal["none", "wrong", "contradiction", "loop", "broken_form", "no_facts"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the reasoner wrote, and the fault it was told to make (hidden from the filter)."""

    text: str
    fault: Fault


READING_LEADS = {
    "row": "the numbers are",
    "table": "the table reads",
    "bars": "the bars are",
    "shapes": "the shapes are",
}
_AGAIN = {"row": "the numbers", "table": "the table", "bars": "the bars", "shapes": "the shapes"}
_WAIT, _HMM = "Wait, let me check {} again:", "Hmm, let me look at {} again:"
_OPENINGS = (
    "Okay, let me think step by step.",
    "Alright, let me look at this.",
    "So I need to find the answer.",
)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _digit_changed(facts: Facts, rng: random.Random) -> Facts:
    rows = [list(row) for row in facts.rows]
    row = rng.choice(rows)
    place = rng.randrange(len(row))
    row[place] = (row[place] + rng.randrange(1, 10)) % 10
    return replace(facts, rows=tuple(map(tuple, rows)))


def _look_again(facts: Facts, rates: ReasonerRates, rng: random.Random) -> list[str]:
    """Re-checks of the reading, each confirmed or misread and taken back."""
    sentences = []
    for _ in range(rates.max_rechecks):
        if rng.random() >= rates.recheck:
            break
        doubt = rng.choice((_WAIT,) * (rates.hmm_one_in - 1) + (_HMM,)).format(_AGAIN[facts.layout])
        if rng.random() < rates.misread:
            misread = reading(_digit_changed(facts, rng))
            sentences.append(f"{doubt} {misread}. No, that is a mistake, it is {reading(facts)}.")
        else:
            sentences.append(f"{doubt} {reading(facts)}. Yes, that is right.")
    return sentences


def _sums(steps: Sequence[Step], rates: ReasonerRates, rng: random.Random) -> str:
    """A run of sums; a slip is written, doubted and corrected."""
    written = []
    for step in steps:
        if step.op and rng.random() < rates.slip:
            written.append(f"{step.text(step.value + rng.choice((-2, -1, 1, 2)))}, wait, that is a mistake")
        written.append(step.text())
    return ", ".join(written) + "."


def _work(solution: Solution, rates: ReasonerRates, rng: random.Random) -> list[str]:
    return [part if isinstance(part, str) else _sums(part, rates, rng) for part in solution.parts]


def _thought(facts: Facts, solution: Solution, rates: ReasonerRates, rng: random.Random) -> list[str]:
    sentences = [rng.choice(_OPENINGS)] if rng.random() < 0.3 else []
    lead = READING_LEADS[facts.layout]
    if rng.random() < rates.talk:
        sentences.append(f"The description says {lead} {reading(facts)}.")
    else:
        sentences.append(f"{_capital(lead)} {reading(facts)}.")
    sentences += _look_again(facts, rates, rng)
    sentences += _work(solution, rates, rng)
    if rng.random() < rates.restate:
        sentences.append("Alternatively, let me work it out again.")
        sentences += _work(solution, rates, rng)
    return [*sentences, f"So the answer is {solution.answer}."]


def wrap(thought: str, answer: str) -> str:
    """The form that data, model and evaluation share."""
    return f"<think> {thought} </think><answer> Final Answer:{answer} </answer>"


def _wrong_solution(solution: Solution, rng: random.Random) -> Solution:
    """The solution with its last sum wrong and not noticed; what is kept after it is kept wrong."""
    answer = solution.answer + rng.choice((-3, -2, -1, 1, 2, 3))
    parts = list(solution.parts)
    index = max(place for place, part in enumerate(parts) if not isinstance(part, str))
    run = [step for step in parts[index] if isinstance(step, Step)]
    # Where nothing was added up, what is kept at the end is wrong.
    first = max((place for place, step in enumerate(run) if step.op), default=len(run) - 1)
    parts[index] = (*run[:first], *(replace(step, value=answer) for step in run[first:]))
    return Solution(tuple(parts), answer)


def _looping(facts: Facts, solution: Solution, rates: ReasonerRates, rng: random.Random) -> str:
    """One doubt over and over; half of these never come to an answer."""
    lead = f"{_capital(READING_LEADS[facts.layout])} {reading(facts)}."
    doubt = f"Wait, let me check {_AGAIN[facts.layout]} again: {reading(facts)}. Hmm."
    thought = " ".join([lead] + [doubt] * rng.randint(7, 12))
    if rng.random() < 0.5:
        return f"<think> {thought}"
    return wrap(f"{thought} So the answer is {solution.answer}.", str(solution.answer))


def _broken(thought: str, answer: str, rng: random.Random) -> str:
    """A form that the hard reward refuses."""
    return rng.choice(
        (
            f"<think> {thought} <answer> Final Answer:{answer} </answer>",
            f"<think> {thought} </think> Final Answer:{answer}",
            f"<think> {thought} </think><answer> Final Answer:{answer} </answer> Hmm, wait.",
            f"<think> {thought} </think><answer> Final Answer:{answer} </answer><answer> {answer} </answer>",
            f"{thought} </think><answer> Final Answer:{answer} </answer>",
        )
    )


def _draw_fault(rates: ReasonerRates, rng: random.Random) -> Fault:
    roll = rng.random()
    shares: tuple[tuple[Fault, float], ...] = (
        ("wrong", rates.wrong),
        ("contradiction", rates.contradiction),
        ("loop", rates.loop),
        ("broken_form", rates.broken_form),
    )
    for fault, share in shares:
        if roll < share:
            return fault
        roll -= share
    return "none"


def reason(
    text: str, question: str, rates: ReasonerRates, rng: random.Random, answer: str | None = None
) -> Reply:
    """Reason over a description.

    Args:
        text: the description; the only thing known of the picture.
        question: the question as the model gets it.
        rates: how often the reasoner errs in which way.
        rng: source of every choice.
        answer: the gold answer, where the switch `answer_to_reasoner` gives it; then the trace
            ends with it whatever the sums said, as a model that rationalises does.

    Returns:
        The reply as text in the form the data set uses, and the fault put into it.
    """
    facts = parse_description(text)
    solution = solve(question, facts) if facts is not None else None
    if facts is None or solution is None:
        guess = answer if answer is not None else str(rng.randint(0, 20))
        thought = (
            f"The description does not mention the numbers, so I have to guess. So the answer is {guess}."
        )
        return Reply(wrap(thought, guess), "no_facts")
    fault = _draw_fault(rates, rng)
    if fault == "loop":
        return Reply(_looping(facts, solution, rates, rng), fault)
    if fault == "wrong":
        solution = _wrong_solution(solution, rng)
    final = str(solution.answer) if answer is None else answer
    thought = " ".join(_thought(facts, solution, rates, rng))
    if fault == "contradiction":
        said = str(solution.answer + rng.choice((-2, -1, 1, 2)))
        thought = thought.rsplit(" ", 1)[0] + f" {said}."
    if fault == "broken_form":
        return Reply(_broken(thought, final, rng), fault)
    return Reply(wrap(thought, final), fault)


def sample_corpus(seed: int, n: int) -> list[str]:
    """Traces over random scenes of the train split, for the tokenizer."""
    import numpy as np

    from vision_r1.problems.tiny_world import FAMILIES, TRAINING_FAMILIES, random_problem

    generator, rng = np.random.default_rng(seed), random.Random(seed)
    texts = []
    for index in range(n):
        family = FAMILIES[TRAINING_FAMILIES[index % len(TRAINING_FAMILIES)]]
        problem = random_problem(generator, family, "train")
        words = description(facts_of(problem.meta["scene"]))
        texts.append(reason(words, problem.question, ReasonerRates(), rng).text)
    return texts
