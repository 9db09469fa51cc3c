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
    """One sum of a solution: `a op b = value`."""

    a: int
    op: str
    b: int
    value: int

    def text(self, value: int | None = None) -> str:
        """`8+2=10`, or with another value, for slips."""
        return f"{self.a}{self.op}{self.b}={self.value if value is None else value}"


@dataclass(frozen=True, slots=True)
class Solution:
    """Sentences and sums in the order a person would write them, and the result.

    Attributes:
        parts: each a plain sentence (str) or a run of sums that ends in a full stop.
        answer: the result.
    """

    parts: tuple[str | tuple[Step, ...], ...]
    answer: int


def apply(a: int, op: str, b: int) -> int:
    """`a op b` for +, - and *."""
    return a + b if op == "+" else a - b if op == "-" else a * b


def _chain(numbers: Sequence[int]) -> tuple[tuple[Step, ...], int]:
    """The running sum over `numbers`."""
    total, steps = numbers[0], []
    for number in numbers[1:]:
        steps.append(Step(total, "+", number, total + number))
        total += number
    return tuple(steps), total


def _step(a: int, op: str, b: int) -> Step:
    return Step(a, op, b, apply(a, op, b))


def _added(lead: str, numbers: Sequence[int]) -> tuple[list[str | tuple[Step, ...]], int]:
    """`lead` names the numbers; then their running sum."""
    if not numbers:
        return [f"{lead} none."], 0
    steps, total = _chain(numbers)
    parts: list[str | tuple[Step, ...]] = [f"{lead} {spaced(numbers)}."]
    return parts + ([steps] if steps else []), total


def solve(question: str, facts: Facts) -> Solution | None:
    """Solve a question of the tiny world; None where the words or the facts do not fit."""
    numbers = facts.numbers
    if "top row minus" in question and len(facts.rows) == 2:
        steps, total = _chain(facts.rows[0])
        largest = max(facts.rows[1])
        last = _step(total, "-", largest)
        return Solution((steps, f"The largest in the bottom row is {largest}.", (last,)), last.value)
    if "taller than the first bar" in question and facts.heights:
        first = facts.heights[0]
        taller = [n for n, height in zip(numbers, facts.heights, strict=True) if height > first]
        parts, total = _added(f"Taller than {first}:", taller)
        return Solution(tuple(parts), total)
    wanted = next((shape for shape in SHAPES if f"in {shape}s?" in question), None)
    if wanted is not None and facts.shapes:
        inside = [n for n, shape in zip(numbers, facts.shapes, strict=True) if shape == wanted]
        parts, total = _added(f"In {wanted}s:", inside)
        return Solution(tuple(parts), total)
    return _solve_row(question, numbers)


def _solve_row(question: str, numbers: Sequence[int]) -> Solution | None:
    largest, smallest = max(numbers), min(numbers)
    if "minus the smallest number, plus the first" in question:
        spread = _step(largest, "-", smallest)
        last = _step(spread.value, "+", numbers[0])
        words = f"The largest is {largest} and the smallest is {smallest}."
        return Solution((words, (spread, last)), last.value)
    if "How many numbers are even" in question:
        evens = [n for n in numbers if n % 2 == 0]
        product = _step(len(evens), "*", numbers[0])
        words = f"Even: {spaced(evens) if evens else 'none'}, so {len(evens)}."
        return Solution((words, (product,)), product.value)
    if "Sort the numbers" in question:
        order = sorted(numbers)
        total = _step(order[1], "+", order[-1])
        return Solution((f"Sorted: {spaced(order)}.", (total,)), total.value)
    if "difference between the sum of the even" in question:
        return _parity(numbers)
    if "What is the sum of the numbers" in question:
        return _sum_minus(question, numbers)
    return None


def _parity(numbers: Sequence[int]) -> Solution:
    even_parts, even = _added("Even:", [n for n in numbers if n % 2 == 0])
    odd_parts, odd = _added("Odd:", [n for n in numbers if n % 2])
    last = _step(max(even, odd), "-", min(even, odd))
    return Solution((*even_parts, *odd_parts, (last,)), last.value)


def _sum_minus(question: str, numbers: Sequence[int]) -> Solution | None:
    steps, total = _chain(numbers)
    for word, value in (("largest", max(numbers)), ("smallest", min(numbers))):
        if f"minus the {word} number?" in question:
            last = _step(total, "-", value)
            return Solution((steps, f"The {word} is {value}.", (last,)), last.value)
    return Solution((steps,), total) if question.endswith("the sum of the numbers?") else None
