r"""What several published rules share: Python's reading of numbers, LaTeX values, nearest text.

The published scorers call `eval`, sympy or an edit distance on the model's output in the process that
scores. Here nothing of the output is run, LaTeX is read in the killable worker, and long texts are cut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from rapidfuzz.distance import Levenshtein

from vision_r1.grading import symbolic

# Longer texts are cut before they are compared letter by letter.
_MAX_EDIT = 20_000
_PLAIN_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_SPACED_SIGN = re.compile(r"^([+-])\s+")
_ARITHMETIC = re.compile(r"[0-9.+\-*/() ]*[0-9][0-9.+\-*/() ]*")
_MIXED = re.compile(r"([0-9]) ?(?=\\frac)")
# No answer equals it, so the worker always tells the value of the other side.
_SENTINEL = "918273645.54637281"


class TooSlowError(Exception):
    """The worker was killed: nothing more of this answer is tried."""


def python_float(text: str) -> float | None:
    """`float(text)` as Python reads it (spaces, "1e3", "1_000", "nan"), None where that raises."""
    try:
        return float(text)
    except ValueError:
        return None


def python_int(text: str) -> int | None:
    """`int(text)` as Python reads it, None where that raises (also for thousands of digits)."""
    try:
        return int(text)
    except ValueError:
        return None


class LatexReader:
    """Reads LaTeX within the budget of the answer being scored (see `budget.answer_budget`).

    Raises:
        TooSlowError: from `compare` and `value`, when the time is up.
    """

    def compare(self, gold: str, answer: str) -> symbolic.Outcome | None:
        """Compare two expressions; None if one of them is no single expression."""
        sides = [_latex(gold), _latex(answer)]
        if sides[0] is None or sides[1] is None:
            return None
        outcome = symbolic.compare(sides[0], sides[1])
        if outcome.status == "timeout":
            raise TooSlowError
        return outcome

    def value(self, text: str) -> Fraction | None:
        """The real value of an expression; None if it has none."""
        if _PLAIN_NUMBER.fullmatch(text.strip()) and len(text) < 100:
            return Fraction(text.strip())
        outcome = self.compare(_SENTINEL, text)
        return outcome.value if outcome is not None and outcome.status == "different" else None


def _latex(text: str) -> str | None:
    """What the worker may read: as in the published parsers, ratios are quotients, mixed numbers products."""
    text = _SPACED_SIGN.sub(r"\1", text.strip()).removeprefix("+").replace(":", "/")
    if len(text) < 100 and _ARITHMETIC.fullmatch(text):
        return text if _PLAIN_NUMBER.fullmatch(text) else f"({text})"
    return symbolic.to_latex(_MIXED.sub(r"\1 \\cdot ", text))


def nearest_text(text: str, choices: Sequence[str]) -> int:
    """Index of the first choice with the smallest Levenshtein distance to `text`."""
    distances = [Levenshtein.distance(text[:_MAX_EDIT], choice[:_MAX_EDIT]) for choice in choices]
    return distances.index(min(distances))
