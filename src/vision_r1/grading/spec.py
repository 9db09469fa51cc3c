"""GradeSpec: the part of a problem that the grader looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vision_r1.core.errors import InputError, nearest
from vision_r1.problems.problem import Problem

AnswerType = Literal["auto", "choice", "number", "list", "text"]

# The names that benchmarks use for the same five comparisons.
ANSWER_TYPES: dict[str, AnswerType] = {
    "auto": "auto",
    "choice": "choice",
    "multi_choice": "choice",
    "multiple choice": "choice",
    "number": "number",
    "integer": "number",
    "float": "number",
    "list": "list",
    "text": "text",
}


@dataclass(frozen=True, slots=True)
class GradeSpec:
    """A gold answer and how it is compared.

    Attributes:
        gold: the gold answer; for a choice its letter or its text.
        answer_type: a key of `ANSWER_TYPES`; "auto" decides from the gold.
        options: texts of the choices, in the order of their letters. Options always mean a choice.
        precision: decimals that a number is compared to; None takes the gold's own decimals.
        unit: unit of the gold when it is not written in the gold itself.

    Raises:
        InputError: the gold is empty, the answer type is unknown, the precision is negative.
    """

    gold: str
    answer_type: str = "auto"
    options: tuple[str, ...] = ()
    precision: int | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if not self.gold.strip():
            raise InputError("the gold answer is empty", where="gold")
        if self.answer_type not in ANSWER_TYPES:
            fix = nearest(self.answer_type, ANSWER_TYPES, "one of")
            raise InputError(f"unknown answer type {self.answer_type!r}", where="answer_type", fix=fix)
        if self.precision is not None and not 0 <= self.precision <= 30:
            raise InputError(f"{self.precision} is not a count of decimals (0 to 30)", where="precision")

    @property
    def kind(self) -> AnswerType:
        """The comparison that `answer_type` asks for."""
        return "choice" if self.options else ANSWER_TYPES[self.answer_type]

    @classmethod
    def of(cls, problem: Problem) -> GradeSpec:
        """The spec of a problem. Raises InputError naming the problem."""
        try:
            return cls(problem.answer, problem.answer_type, problem.options, problem.precision, problem.unit)
        except InputError as error:
            raise InputError(
                error.what, where=f"problem {problem.id}, {error.where}", fix=error.fix
            ) from None
