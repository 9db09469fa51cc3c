"""The examples that the tiny models learn from, drawn without end from the train split."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vision_r1.models.tiny import Role
from vision_r1.problems.drawing import SHAPES, Layout, Scene
from vision_r1.problems.scans import Split
from vision_r1.problems.tiny_world import FAMILIES, TRAINING_FAMILIES, random_problem, random_scene
from vision_r1.teachers import language
from vision_r1.teachers.prompts import shipped_prompts
from vision_r1.teachers.reasoner import sample_corpus
from vision_r1.teachers.steps import apply, plain, solve
from vision_r1.train.curriculum import Mix, Phase

READ = "Read the image."
_PROMPTS = shipped_prompts("tiny")
# The ones that go over the cells with a question in mind take longest to learn.
WORKED_FAMILIES = (*TRAINING_FAMILIES, "parity", "bars", "shapes", "shapes", "shapes")


@dataclass(frozen=True, slots=True)
class Example:
    """A question, the reply to learn, and the picture, if any."""

    question: str
    reply: str
    scene: Scene | None = None


def arithmetic(rng: random.Random) -> Example:
    """A text-only fact: a sum, difference or product, or an order, extreme or even ones of a list."""
    kind = rng.randrange(9)
    if kind < 6:
        op = "+-*+-+"[kind]
        a, b = (rng.randrange(7), rng.randrange(10)) if op == "*" else (rng.randrange(55), rng.randrange(10))
        if op == "-":
            b = rng.randrange(10) if rng.random() < 0.5 else rng.randrange(a + 1)
            a = max(a, b)
        return _asked(f"{a}{op}{b}", apply(a, op, b), short=rng.random() < 0.5)
    numbers = [rng.randrange(10) for _ in range(rng.randint(2, 6))]
    text = language.spaced(numbers)
    if kind == 6:
        return Example(f"Sort {text} from smallest to largest.", language.spaced(sorted(numbers)))
    if kind == 7:
        which, value = ("largest", max(numbers)) if rng.random() < 0.5 else ("smallest", min(numbers))
        return Example(f"What is the {which} of {text}?", str(value))
    parity = rng.randrange(2)
    chosen = [n for n in numbers if n % 2 == parity]
    return Example(
        f"Which of {text} are {('even', 'odd')[parity]}?", language.spaced(chosen) if chosen else "none"
    )


def difference(rng: np.random.Generator) -> Example:
    """A text-only difference, never below zero; three in four take away one digit."""
    a = int(rng.integers(1, 55))
    b = int(rng.integers((min(a, 9) if rng.random() < 0.5 else a) + 1))
    return _asked(f"{a}-{b}", a - b, short=rng.random() < 0.5)


def _asked(term: str, value: int, *, short: bool) -> Example:
    if short:
        return Example(f"What is {term}?", str(value))
    return Example(f"Calculate {term}.", f"{term}={value}")


def long_sum(rng: np.random.Generator) -> Example:
    """A text-only sum of several numbers, written out."""
    numbers = [int(n) for n in rng.integers(10, size=int(rng.integers(3, 7)))]
    totals = list(itertools.accumulate(numbers))
    sums = [f"{a}+{b}={c}" for a, b, c in zip(totals, numbers[1:], totals[1:], strict=False)]
    return Example(f"Add {language.spaced(numbers)}.", ", ".join(sums) + ".")


def worked_in_text(rng: np.random.Generator, families: Sequence[str] = WORKED_FAMILIES) -> Example:
    """A training question about facts that are given as text, worked out in plain sentences."""
    family = FAMILIES[families[int(rng.integers(len(families)))]]
    problem = random_problem(rng, family, "train")
    facts = language.facts_of(problem.meta["scene"])
    solution = solve(problem.question, facts)
    if solution is None:
        raise RuntimeError(f"no steps for {problem.question!r}")
    return Example(f"{language.reading(facts)}. {problem.question}", plain(solution))


def step_fact(rng: np.random.Generator) -> Example:
    """A text-only fact about a few numbers or shapes, said in one sentence: one kind of step, never two."""
    numbers = [int(n) for n in rng.integers(10, size=int(rng.integers(3, 6)))]
    text, kind = language.spaced(numbers), int(rng.integers(7))
    if kind == 0:
        return long_sum(rng)
    if kind == 1:
        return Example(
            f"Even or odd: {text}?", ", ".join(f"{n} {('even', 'odd')[n % 2]}" for n in numbers) + "."
        )
    if kind == 2:
        largest, smallest = max(numbers), min(numbers)
        if rng.random() < 0.4:
            reply = f"The largest is {largest} and the smallest is {smallest}."
            return Example(f"Largest and smallest of {text}?", reply)
        return Example(f"Largest of {text}?", f"The largest is {largest}.")
    if kind == 3:
        return Example(f"Sort {text}.", f"Sorted: {language.spaced(sorted(numbers))}.")
    return _taller_fact(rng) if kind == 4 else _shape_fact(rng)


def _taller_fact(rng: np.random.Generator) -> Example:
    first, *heights = (int(h) + 1 for h in rng.permutation(6)[: int(rng.integers(3, 6))])
    told = ", ".join(f"{h} {('no', 'yes')[h > first]}" for h in heights)
    return Example(f"The first is {first}. Taller: {language.spaced(heights)}?", told + ".")


def _shape_fact(rng: np.random.Generator) -> Example:
    wanted = SHAPES[int(rng.integers(len(SHAPES)))]
    shapes = [SHAPES[int(i)] for i in rng.integers(len(SHAPES), size=int(rng.integers(1, 5)))]
    told = ", ".join(f"{shape} {wanted}? {('no', 'yes')[shape == wanted]}" for shape in shapes)
    return Example(f"In {wanted}s: {' '.join(shapes)}?", told + ".")


@functools.cache
def vocabulary_words() -> tuple[str, ...]:
    """The words of the tiny world's texts, in alphabetical order; repeated at random, they say nothing."""
    return tuple(
        sorted(
            {
                word
                for text in sample_corpus(0, 600)
                for word in text.split()
                if not any(c.isdigit() for c in word)
            }
        )
    )


def _reading_scene(rng: np.random.Generator, phase: Phase, jitter: float, split: Split) -> Scene:
    if phase.digits:
        return random_scene(rng, "row", (1, int(rng.integers(1, phase.digits + 1))), split, jitter)
    layout: Layout = ("row", "row", "table", "bars", "shapes", "shapes")[int(rng.integers(6))]
    size = (2, int(rng.integers(2, 4))) if layout == "table" else (1, int(rng.integers(3, 6)))
    return random_scene(rng, layout, size, split, jitter)


def base_example(
    rng: np.random.Generator, phase: Phase, mix: Mix, jitter: float, split: Split = "train"
) -> Example:
    """Reading, a text-only fact, a difference, longer text, or a direct answer."""
    draw_kind = rng.random()
    if phase.digits or draw_kind < mix[0]:
        scene = _reading_scene(rng, phase, jitter, split)
        return Example(READ, language.reading(language.facts_of(scene)), scene)
    if draw_kind < mix[1]:
        return arithmetic(random.Random(int(rng.integers(2**31))))
    if draw_kind < mix[2]:
        return difference(rng) if rng.random() < 0.55 else worked_in_text(rng, ("parity",))
    if draw_kind < mix[3]:
        return longer_text(rng, mix[4:])
    family = FAMILIES[TRAINING_FAMILIES[int(rng.integers(len(TRAINING_FAMILIES)))]]
    problem = random_problem(rng, family, split, jitter=jitter)
    return Example(problem.question, problem.answer, problem.meta["scene"])


def longer_text(rng: np.random.Generator, shares: Mix) -> Example:
    """A single step, a question worked in text, a long sum, or words to repeat; never with a picture."""
    roll = rng.random()
    if roll < shares[0]:
        return step_fact(rng)
    if roll < shares[1]:
        return worked_in_text(rng)
    if rng.random() < 0.3:
        return long_sum(rng)
    words = " ".join(rng.choice(vocabulary_words(), size=int(rng.integers(3, 13))))
    return Example(f"Repeat: {words}", words)


def pseudo_cot(facts: language.Facts, answer: str) -> str:
    """The reply the teacher learns for step 1."""
    return (
        f"Caption: {language.caption(facts)}\n"
        f"Reasoning: The image reads {language.transcript(facts)}. So the answer is {answer}."
    )


def _misread(facts: language.Facts, rng: np.random.Generator) -> language.Facts:
    """The facts with one digit changed, as a careless Pseudo-CoT has them."""
    rows = [list(row) for row in facts.rows]
    row = rows[int(rng.integers(len(rows)))]
    row[int(rng.integers(len(row)))] = int(rng.integers(10))
    return language.Facts(facts.layout, tuple(map(tuple, rows)), facts.heights, facts.shapes)


def teacher_example(
    rng: np.random.Generator, phase: Phase, mix: Mix, jitter: float, split: Split = "train"
) -> Example:
    """Reading, a caption, a Pseudo-CoT (answer told or not), or a question-aware description.

    A third of the thinking processes shown in step 2 misread a digit, so that the description is
    learned from the pixels and not by copying.
    """
    draw_kind = rng.random()
    if phase.digits or draw_kind < mix[0]:
        scene = _reading_scene(rng, phase, jitter, split)
        return Example(READ, language.transcript(language.facts_of(scene)), scene)
    family = FAMILIES[TRAINING_FAMILIES[int(rng.integers(len(TRAINING_FAMILIES)))]]
    problem = random_problem(rng, family, split, jitter=jitter)
    scene = problem.meta["scene"]
    facts = language.facts_of(scene)
    if draw_kind < mix[1]:
        return Example(_PROMPTS.caption(), language.caption(facts), scene)
    if draw_kind < mix[2]:
        told = problem.answer if rng.random() < 0.8 else None
        return Example(_PROMPTS.pseudo_cot(problem.question, told), pseudo_cot(facts, problem.answer), scene)
    thought = pseudo_cot(_misread(facts, rng) if rng.random() < 0.34 else facts, problem.answer)
    return Example(_PROMPTS.describe(problem.question, thought), language.description(facts), scene)


EXAMPLES: dict[Role, Callable[..., Example]] = {"base": base_example, "teacher": teacher_example}
