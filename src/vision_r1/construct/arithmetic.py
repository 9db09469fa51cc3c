"""Sums written in a thought, and whether a wrong one was taken back.

Only plain sums of numbers are judged: `3+4+5=12`, `8 x 2 = 16`, `10/4 = 2.5`. Sums with brackets,
powers, percentages or letters are left alone; a rule that drops rows must be right when it speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:\.\d{1,9})?"
_SIGN = r"(?:[-−+*/×÷·]|(?<=[\d ])x(?=[\d ]))"
# Bounded everywhere, so that a long chain of numbers costs no more than its length.
_SUM = re.compile(
    rf"(?<![\w.,])(?P<left>{_NUMBER}(?:[ ]?{_SIGN}[ ]?{_NUMBER}){{1,40}})[ ]?=[ ]?(?P<right>[-−]?{_NUMBER})"
)
# What a sum lies in, begun where nothing of the kind stands before it: found much faster than sums are.
_STRETCH = re.compile(r"(?<![\d.,+\-−*/×÷·x ])[\d.,+\-−*/×÷·x ]++=")
_TOKEN = re.compile(rf"{_NUMBER}|{_SIGN}")
_BEFORE = re.compile(r"[-−+*/×÷·^)\]}%√\\_]\s{0,3}$|\bx\s{0,3}$")
_AFTER = re.compile(
    r"\s{0,2}(?:[-−+*/×÷·^%!]\s{0,2}[\d(a-zA-Z]|[%^!√(])|[a-zA-Z_,.]?\d|[a-wyzA-Z]|\s{1,2}(?:remainder|rem|r)\b"
)
_TAKEN_BACK = re.compile(
    r"(?<!no )\bmistakes?\b|\bwrong\b|\bincorrect\b|\bnot (?:right|correct|quite)\b|n't (?:right|correct)\b"
    r"|\boops\b|\bcorrection\b|\bshould (?:be|have)\b|\bi meant\b|\bactually\b|\bmiscalculated\b|\bno[,.:]\s",
    re.IGNORECASE,
)
_WINDOW = 80
_LONGEST_NUMBER = 40  # characters, with its sign and a space


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum in a text.

    Attributes:
        left: what is to be worked out, without spaces.
        text: as written.
        start, end: its place.
        right: whether the stated value is the value, to the decimals that it is stated to.
    """

    left: str
    text: str
    start: int
    end: int
    right: bool


def sums(text: str) -> Iterator[Sum]:
    """The plain sums of a text, in order."""
    for match in _matches(text):
        # Part of something longer, such as `2*(3+4=`, `x + 3+4=` or `3+4=7+5`: not ours to judge.
        if _BEFORE.search(text[max(0, match.start() - 4) : match.start()]) or _AFTER.match(text, match.end()):
            continue
        value = evaluate(match["left"])
        if value is not None:
            stated = match["right"].replace("−", "-").replace(",", "")
            left = match["left"].replace(" ", "")
            yield Sum(left, match[0], match.start(), match.end(), _agrees(value, stated))


def _matches(text: str) -> Iterator[re.Match[str]]:
    done = 0
    for stretch in _STRETCH.finditer(text):
        # The value stands behind the stretch; a sum behind that is of the next one.
        match = _SUM.search(text, max(done, stretch.start()), stretch.end() + _LONGEST_NUMBER)
        if match is not None and match.start() < stretch.end():
            done = match.end()
            yield match


def evaluate(expression: str) -> Fraction | None:
    """Value of numbers joined by signs, products before sums; None for a division by zero."""
    tokens = _TOKEN.findall(expression)
    total, term, sign = Fraction(0), _fraction(tokens[0]), 1
    for operator, number in zip(tokens[1::2], tokens[2::2], strict=True):
        value = _fraction(number)
        if operator in "*×·x":
            term *= value
        elif operator in "/÷":
            if value == 0:
                return None
            term /= value
        else:
            total += sign * term
            term, sign = value, 1 if operator == "+" else -1
    return total + sign * term


def _fraction(number: str) -> Fraction:
    return Fraction(number.replace(",", ""))


def _agrees(value: Fraction, stated: str) -> bool:
    """Equal, or equal after rounding to the stated decimals where the value has more."""
    difference = abs(value - Fraction(stated))
    if difference == 0:
        return True
    decimals = len(stated.partition(".")[2])
    unit = Fraction(1, 10**decimals)
    return (value / unit).denominator != 1 and difference < unit


def uncorrected(text: str) -> Sum | None:
    """The first wrong sum that the text does not take back.

    A wrong sum is taken back by words that say so before the next sum, or by the same sum with
    its right value later on.
    """
    found = list(sums(text))
    last_right = {each.left: each.start for each in found if each.right}
    for index, each in enumerate(found):
        if each.right or last_right.get(each.left, -1) > each.start:
            continue
        stop = each.end + _WINDOW
        if index + 1 < len(found):
            stop = min(stop, found[index + 1].start)
        if not _TAKEN_BACK.search(text[each.end : stop]):
            return each
    return None
