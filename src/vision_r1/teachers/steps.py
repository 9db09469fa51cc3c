"""Step-by-step solutions of the tiny world's questions, from stated facts alone.

Written from the question's words, not from the world's own answer functions: a test holds the
two against each other on every family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision_r1.problems.drawing import SHAPES
from vision_r1.teachers.language import Facts, spaced


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a solution: a sum `a op b = value`, or, where `op` is empty, a value that is kept.

    Attributes:
        lead: words before it, such as the cell it is about.
    """

    a: int
    op: str
    b: int
    value: int
    lead: str = ""

    def text(self, value: int | None = None) -> str:
        """`8+2=10`, or with another value, for slips; only the value where nothing is worked out."""
        shown = self.value if value is None else value
        return f"{self.lead}{self.a}{self.op}{self.b}={shown}" if self.op else f"{self.lead}{shown}"


@dataclass(frozen=True, slots=True)
class Solution:
    """Sentences and steps in the order a person would write them, and the result.

    Attributes:
        parts: each a plain sentence (str) or a run of steps that ends in a full stop.
        answer: the result.
    """

    parts: tuple[str | tuple[Step, ...], ...]
    answer: int


def plain(solution: Solution) -> str:
    """The solution as text, without doubts or slips."""
    return " ".join(
        part if isinstance(part, str) else ", ".join(step.text() for step in part) + "."
        for part in solution.parts
    )


def apply(a: int, op: str, b: int) -> int:
    """`a op b` for +, - and *."""
    return a + b if op == "+" else a - b if op == "-" else a * b


def _step(a: int, op: str, b: int, lead: str = "") -> Step:
    return Step(a, op, b, apply(a, op, b), lead)


def _kept(value: int, lead: str) -> Step:
    return Step(value, "", 0, value, lead)


def _chain(numbers: Sequence[int]) -> tuple[tuple[Step, ...], int]:
    """The running sum over `numbers`."""
    total, steps = numbers[0], []
    for number in numbers[1:]:
        steps.append(_step(total, "+", number))
        total += number
    return tuple(steps), total


def _chosen(cells: Sequence[tuple[str, int, bool]]) -> tuple[tuple[Step, ...], int]:
    """One cell after the other: a yes adds its number to the total, a no keeps the total."""
    total, steps = 0, []
    for cell, number, wanted in cells:
        steps.append(_step(total, "+", number, f"{cell} yes ") if wanted else _kept(total, f"{cell} no "))
        total = steps[-1].value
    return tuple(steps), total


def solve(question: str, facts: Facts) -> Solution | None:
    """Solve a question of the tiny world; None where the words or the facts do not fit."""
    numbers = facts.numbers
    if "top row minus" in question and len(facts.rows) == 2:
        steps, total = _chain(facts.rows[0])
        largest = max(facts.rows[1])
        last = _step(total, "-", largest)
        return Solution((steps, f"The largest in the bottom row is {largest}.", (last,)), last.value)
    if "taller than the first bar" in question and facts.heights:
        first, *others = zip(facts.heights, numbers, strict=True)
        steps, total = _chosen([(f"{height}:{n}", n, height > first[0]) for height, n in others])
        return Solution((f"The first is {first[0]}.", steps), total)
    wanted = next((shape for shape in SHAPES if f"in {shape}s?" in question), None)
    if wanted is not None and facts.shapes:
        inside = zip(numbers, facts.shapes, strict=True)
        steps, total = _chosen([(f"{n} {shape} {wanted}?", n, shape == wanted) for n, shape in inside])
        return Solution((steps,), total)
    return _solve_row(question, numbers)


def _solve_row(question: str, numbers: Sequence[int]) -> Solution | None:
    largest, smallest = max(numbers), min(numbers)
    if "minus the smallest number, plus the first" in question:
        spread = _step(largest, "-", smallest)
        last = _step(spread.value, "+", numbers[0])
        words = f"The largest is {largest} and the smallest is {smallest}."
        return Solution((words, (spread, last)), last.value)
    if "How many numbers are even" in question:
        return _count(numbers)
    if "Sort the numbers" in question:
        order = sorted(numbers)
        total = _step(order[1], "+", order[-1])
        return Solution((f"Sorted: {spaced(order)}.", (total,)), total.value)
    if "difference between the sum of the even" in question:
        return _parity(numbers)
    if "What is the sum of the numbers" in question:
        return _sum_minus(question, numbers)
    return None


def _count(numbers: Sequence[int]) -> Solution:
    """How many have been even so far, number by number; then the product."""
    counted, evens = [], 0
    for number in numbers:
        evens += number % 2 == 0
        counted.append(_kept(evens, f"{number} {('even', 'odd')[number % 2]} "))
    product = _step(evens, "*", numbers[0])
    return Solution((tuple(counted), (product,)), product.value)


def _parity(numbers: Sequence[int]) -> Solution:
    """Two totals, each number added to its own; then their difference."""
    totals, steps = [0, 0], []
    for number in numbers:
        side = number % 2
        steps.append(_step(totals[side], "+", number, f"{number} {('even', 'odd')[side]} "))
        totals[side] += number
    last = _step(max(totals), "-", min(totals))
    return Solution((tuple(steps), (last,)), last.value)


def _sum_minus(question: str, numbers: Sequence[int]) -> Solution | None:
    steps, total = _chain(numbers)
    for word, value in (("largest", max(numbers)), ("smallest", min(numbers))):
        if f"minus the {word} number?" in question:
            last = _step(total, "-", value)
            return Solution((steps, f"The {word} is {value}.", (last,)), last.value)
    return Solution((steps,), total) if question.endswith("the sum of the numbers?") else None
