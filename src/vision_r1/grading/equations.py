r"""What stands on the two sides of "=": "AB = 3 + 4 = 7" states 7, "x + 1 = 12" does not state 12.

What follows "=" is a claim only if what stands before it is a name, words, or arithmetic of the same value.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from itertools import pairwise

from vision_r1.grading.number import Number, parse_number
from vision_r1.grading.polynomial import arithmetic_value
from vision_r1.grading.text import plain_math
from vision_r1.grading.units import conversion

_EQUALS = re.compile(r"\s?(?:=|≈|\\approx(?![a-z]))\s?")
_NAME = re.compile(
    r"(?:m?(?:\\?(?:angle|triangle)|∠|△)\s?[0-9]{0,2}|\\?(?:sin|cos|tan)\s(?=[A-Z]))?"
    r"(?:\\?(?:[A-Za-z]|[A-Z]{2,4}|alpha|beta|gamma|theta|phi|pi|π)'?"
    r"(?:_\{?[A-Za-z0-9]{1,3}\}?|[₀-₉])?(?:\([a-z]{1,20}\))?)?"
)
_FIGURE = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_AT = re.compile(rf"[A-Za-z]\(({_FIGURE.pattern})\)")
_FACTORIAL = re.compile(r"(?<![0-9])(1?[0-9])!")
_ROOT = re.compile(r"√\s?([0-9]+)")
# The words that a sentence begins with, up to the last one: "The area is " of "The area is 6 * 4".
_WORDS = re.compile(
    r"^.*(?<![\\A-Za-z])(?!(?:sin|cos|tan|cot|log|ln|exp|sqrt)\b)[A-Za-z][a-z]+(?:\([a-z\s]{1,40}\))?"
    r"(?:\sof\s[A-Za-z])?[,:]?(?:\s|$)",
    re.DOTALL,
)
_WORDS_AFTER = re.compile(r"(?<=[0-9})°%])\s?(?:[A-Za-z]{2,}|[a-z](?![a-z(])).*", re.DOTALL)
_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z]")
_MARKS = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "$": None, "€": None, "£": None, "°": None}
)
_LONGEST = 300


def follows_from_left(text: str) -> bool | None:
    """Whether what follows the last "=" may be claimed.

    Returns:
        False if two sides have different values ("15 cm = 12 cm"), so that the text states nothing; None if
        the first side is an expression of unknown value ("2x = 24"), so that the right side is no answer.
    """
    if not _EQUALS.search(text):
        return True
    sides = [side.replace("$", "").strip(" .,") for side in _EQUALS.split(text[:_LONGEST])]
    known, values = True, []
    for place, side in enumerate(sides):
        last = place == len(sides) - 1
        at = None if last else _AT.fullmatch(side)
        # "f(3) = -37", not "g(12) = 12"
        if at and arithmetic_value(at[1]) != arithmetic_value(sides[place + 1]):
            continue
        found = _worth(side, first=place == 0, last=last)
        known = known and (found is not None or place > 0)  # "A = l w = 24" gives A
        if isinstance(found, Number):
            values.append(found)
    if any(not _agree(one, other) for one, other in pairwise(values)):
        return False
    return True if known else None


def _worth(side: str, *, first: bool, last: bool) -> Number | str | None:
    """The value of a side; "" if it is a name, words, or the last one and no number; None if unknown."""
    side = plain_math(side)
    if (whole := parse_number(side)) is not None:
        return whole
    words = _WORDS.match(side) if first else None
    rest = side[words.end() :].strip() if words else side
    if not rest or _NAME.fullmatch(rest):
        return ""
    if words and parse_number(rest) is not None:  # "The value in 2014 = 36" has a year in its name
        return ""
    text = _WORDS_AFTER.sub("", rest) if last else rest
    if last and (number := parse_number(text)) is not None:
        return number
    text = _FACTORIAL.sub(lambda m: str(math.factorial(int(m[1]))), _ROOT.sub(r"\\sqrt{\1}", text))
    worked = None if _LETTER.search(text) else arithmetic_value(text.replace("\\$", "").translate(_MARKS))
    if worked is not None:
        return Number(worked, None, None)
    return "" if last else None


def _agree(one: Number, other: Number) -> bool:
    """Whether two values are the same, as far as their decimals and units tell."""
    factors = {Fraction(1)}
    if "%" in (one.unit, other.unit) and one.unit != other.unit:
        factors |= {Fraction(100), Fraction(1, 100)}
    elif one.unit and other.unit and one.unit != other.unit:
        factor = conversion(one.unit, other.unit)
        if factor is None:
            return False
        factors = {factor}
    steps = [Fraction(1, 10 ** max(number.decimals, 0)) for number in (one, other) if number.decimals]
    if not steps and one.value.denominator > 1 and other.value.denominator == 1:
        steps = [Fraction(1)]  # "100/7 = 14"
    slack = max(steps, default=Fraction(0)) / 2 + abs(other.value) / 10**12
    return any(abs(one.value * factor - other.value) <= slack for factor in factors)
