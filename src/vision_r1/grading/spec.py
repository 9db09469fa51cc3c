"""GradeSpec: the part of a problem that the grader looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vision_r1.core.errors import InputError, nearest
from vision_r1.problems.problem import Problem

AnswerType = Literal["auto", "choice", "number", "list", "text"]

# The names that benchmarks use for the same five comparisons, in lower case with underscores.
_NAMES: dict[AnswerType, str] = {
    "auto": """
        auto free_form free_text free single_answer open open_ended short_answer string expression equation
        formula latex math interval set tuple point coordinate coordinates vector matrix date time ratio range
        symbolic angle money unit other none""",
    "choice": "choice multi_choice multiple_choice mcq mc multiple_select option letter option_letter",
    "number": """
        number numeric numerical integer int integer_number float decimal decimal_number fraction percent
        percentage real year count""",
    "list": "list array",
    "text": """
        text boolean boolean_text bool yes_no yes/no true_false true/false judgement extractive_text
        other_text word name colour color""",
}
ANSWER_TYPES: dict[str, AnswerType] = {name: kind for kind, names in _NAMES.items() for name in names.split()}


def _type_name(answer_type: str) -> str:
    """The name as `ANSWER_TYPES` spells it: benchmarks write "multiple choice" and "Multiple-Choice"."""
    return answer_type.strip().casefold().replace(" ", "_").replace("-", "_")


@dataclass(frozen=True, slots=True)
class GradeSpec:
    """A gold answer and how it is compared.

    Attributes:
        gold: the gold answer; for a choice its letter or its text.
        answer_type: a key of `ANSWER_TYPES`, in any letter case, with spaces or hyphens for its underscores;
            "auto" decides from the gold.
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
        if _type_name(self.answer_type) not in ANSWER_TYPES:
            fix = nearest(self.answer_type, ANSWER_TYPES, "one of")
            raise InputError(f"unknown answer type {self.answer_type!r}", where="answer_type", fix=fix)
        if self.precision is not None and not 0 <= self.precision <= 30:
            raise InputError(f"{self.precision} is not a count of decimals (0 to 30)", where="precision")

    @property
    def kind(self) -> AnswerType:
        """The comparison that `answer_type` asks for."""
        return "choice" if self.options else ANSWER_TYPES[_type_name(self.answer_type)]

    @property
    def is_expression(self) -> bool:
        """Whether the benchmark says that the gold is an expression, so that "ab" is a product."""
        return _type_name(self.answer_type) in ("expression", "formula", "symbolic")

    @classmethod
    def of(cls, problem: Problem) -> GradeSpec:
        """The spec of a problem. Raises InputError naming the problem."""
        try:
            return cls(problem.answer, problem.answer_type, problem.options, problem.precision, problem.unit)
        except InputError as error:
            raise InputError(
                error.what, where=f"problem {problem.id}, {error.where}", fix=error.fix
            ) from None
