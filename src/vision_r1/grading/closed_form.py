r"""Closed forms that stand for a number: "2\sqrt{36}" for 12, "9\pi" for 28.27; not "10 + 2" for 12.

A closed form is a result that was worked out as far as it goes. Operands that were copied from the question
("\sqrt{13^2-5^2}", "30 \cdot 15 \cos 0") have the same value and are none, so the form is read and not only
the value: no operator between two numbers at any depth, no function of a number, no letter.
"""

from __future__ import annotations

import math
import re

_NUMBER = r"[0-9]{1,30}(?:\.[0-9]{1,30})?"
_FACTOR = rf"(?:\\[dt]?frac\{{{_NUMBER}\}}\{{{_NUMBER}\}}|{_NUMBER}(?:/{_NUMBER})?)"
_ROOT = rf"\\sqrt(?:\[[2-9]\])?\{{{_FACTOR}\}}"
_PI = r"\\pi(?:\^\{?2\}?)?"
_TIMES = r"(?:\\cdot|\\times|\*)?"
_TERM = rf"(?:{_FACTOR}{_TIMES})?(?:{_ROOT}(?:{_TIMES}{_PI})?|{_PI}(?:{_TIMES}{_ROOT})?)(?:/{_NUMBER})?"
_SUM = rf"-?(?:{_TERM}|{_FACTOR})(?:[+-](?:{_TERM}|{_FACTOR})){{0,2}}"
_BELOW = rf"(?:{_TERM}|{_NUMBER})"
_FORM = re.compile(
    rf"-?\\[dt]?frac\{{(?P<top>{_SUM})\}}\{{(?P<below>{_BELOW})\}}"
    rf"|-?\((?P<inner>{_SUM})\)(?:/(?P<under>{_BELOW}))?|(?P<sum>{_SUM})"
)
_ONE_ROOT = re.compile(rf"-?(?:[0-9]{{1,30}}{_TIMES})?{_ROOT}")
_IRRATIONAL = re.compile(rf"{_ROOT}|{_PI}")
_ZERO = re.compile(r"(?<![0-9.])0+(?:\.0*)?(?![0-9.])")
_SQUARE_ROOT = re.compile(r"\\sqrt\{([0-9]+)\}")


def is_one_root(latex: str) -> bool:
    r"""Whether LaTeX is a whole number times one root, the form that may stand for an exact number."""
    return _ONE_ROOT.fullmatch(latex.replace(" ", "")) is not None


def is_closed_form(latex: str) -> bool:
    r"""Whether LaTeX is a sum of unlike terms in roots and pi, over a number or such a term.

    "\frac{1+\sqrt{5}}{2}" and "9\pi" are; "4\pi + 5\pi", "\pi \cdot 3^2" and "10 + \sqrt{4}" are operands.
    """
    text = latex.replace(" ", "")
    form = _FORM.fullmatch(text)
    if form is None or _ZERO.search(text):  # "12 + 0\pi"
        return False
    above, below = form["top"] or form["inner"] or form["sum"], form["below"] or form["under"] or ""
    kinds = [tuple(_IRRATIONAL.findall(term)) for term in re.split(r"[+-]", above.lstrip("-"))]
    alike = len(set(kinds)) < len(kinds) or any(set(kind) & set(_IRRATIONAL.findall(below)) for kind in kinds)
    irrational = _IRRATIONAL.search(text) and not any(map(_is_square, _SQUARE_ROOT.findall(text)))
    return is_one_root(text) or bool(irrational and not alike)


def _is_square(digits: str) -> bool:
    return math.isqrt(int(digits)) ** 2 == int(digits)
