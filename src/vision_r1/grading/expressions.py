r"""The two sides of a symbolic comparison: an expression or a number, its unit, and its LaTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vision_r1.grading import symbolic
from vision_r1.grading.closed_form import is_closed_form, is_one_root
from vision_r1.grading.notation import plain_latex
from vision_r1.grading.number import Number
from vision_r1.grading.polynomial import same_expression
from vision_r1.grading.spec import GradeSpec
from vision_r1.grading.units import canonical_unit, spec_unit

_UNIT_TAIL = re.compile(
    r"(?<=[0-9A-Za-z)}$π])\s((?:(?:square|cubic|sq\.?)\s)?(?:[A-Za-z]{2,12}|[mgslh])"
    r"(?:\s?\^\s?\{?[23]\}?|[²³])?)$"
)
_MULTIPLE = re.compile(r"-?[0-9][0-9.,]*\s?[A-Za-z]+")
_PLAIN = re.compile(r"-?[0-9./]+")
_OPERATORS = re.compile(r"[-+*/^0-9\\]")
_ANGLES = ("°", "rad", None)
# Each makes several values or a statement of an answer.
_RELATIONS = (",", "=", "<", ">", r"\le", r"\ge", r"\lt", r"\gt", r"\ne", r"\cup")


@dataclass(frozen=True, slots=True)
class Side:
    """An answer or a gold as the symbolic comparison takes it.

    Attributes:
        text: the expression without its unit.
        number: the same as a number, if it is one.
        unit: canonical name of the unit.
    """

    text: str
    number: Number | None
    unit: str | None

    @classmethod
    def of(cls, text: str, number: Number | None, unit: str | None = None) -> Side:
        """From a text after `plain_math`; `unit` is the problem's, for a gold that names none."""
        if number:
            return cls(text, number, number.unit or (spec_unit(unit) if unit else None))
        match = _UNIT_TAIL.search(text)
        written = canonical_unit(match[1].replace(" ^", "^")) if match and match.start() else None
        bare = text[: match.start()] if match and written else text
        return cls(bare, None, written or (spec_unit(unit) if unit else None))

    @property
    def in_pi(self) -> bool:
        """Whether the expression is a multiple of pi, as angles in radians are."""
        return r"\pi" in self.text or "π" in self.text

    def latex(self, other: Side) -> str | None:
        """LaTeX for a comparison with `other`, None for words; degrees beside pi turn into radians."""
        if self.number is None:
            plain = self.text if _PLAIN.fullmatch(self.text) else None
            return symbolic.to_latex(plain_latex(self.text)) or plain
        value = self.number.value
        if self.number.unit == "°" and other.in_pi:
            return rf"\frac{{{value.numerator}\pi}}{{{value.denominator * 180}}}"
        return str(value)

    def is_multiple(self, other: Side) -> bool:
        """Whether this is "1990s" beside a number: math-verify drops any word after a number as a unit."""
        return self.number is None and other.number is not None and _MULTIPLE.fullmatch(self.text) is not None


def same_measure(answer: Side, gold: Side) -> bool:
    """Whether the units agree or one is missing; degrees and radians are told apart by value."""
    if answer.unit in _ANGLES and gold.unit in _ANGLES:
        return answer.unit != "°" or gold.unit == "°" or gold.in_pi
    return answer.unit is None or gold.unit is None or answer.unit == gold.unit


def is_expression(gold: str, spec: GradeSpec) -> bool:
    """Whether letters are factors: "ab" is a product only where the problem says so, "AB" may be none."""
    return spec.is_expression or _OPERATORS.search(gold) is not None


def same_polynomial(answer: Side, gold: Side) -> bool:
    """Whether two expressions are one polynomial or fraction of polynomials: "2ba^2" and "2a^2b"."""
    return same_expression(plain_latex(answer.text), plain_latex(gold.text))


def stands_for_number(answer: Side, gold: Number, precision: int | None) -> bool:
    r"""Whether an expression may be given for a number: one root for an exact number, else a closed form.

    A rounded gold is the value of a closed form, and an angle is one of pi.
    """
    latex = symbolic.to_latex(plain_latex(answer.text))
    if latex is None:
        return False
    rounded = gold.decimals is not None or precision is not None or (gold.unit == "°" and answer.in_pi)
    return is_closed_form(latex) if rounded else is_one_root(latex)


_QUOTIENT = re.compile(r"[0-9]\s?/\s?[0-9]|frac")


def divides_out(answer: str, number: Number, gold: str) -> bool:
    """Whether an answer is a division that was not done, "144/12", where the gold is no fraction itself."""
    return (
        number.value.denominator == 1
        and _QUOTIENT.search(answer) is not None
        and _QUOTIENT.search(gold) is None
    )


def adds_relation(answer: str, gold: str) -> bool:
    """Commas, equations and inequalities make several values of an answer, unless the gold has them."""
    return any(_has(answer, mark) and not _has(gold, mark) for mark in _RELATIONS)


def _has(text: str, mark: str) -> bool:
    return mark in text.replace(r"\left", "")
