r"""Numbers as answers: integers, decimals, fractions, mixed numbers, powers of ten, percents, words, units.

Values are exact fractions. A decimal gold is right when the answer rounds to it: with d decimals
(the gold's own, or the benchmark's `precision`) the answer may differ by at most 0.5 * 10^-d.
Integer and fraction golds are compared exactly unless a precision is given; a fraction without an end
in decimals (1/3) may be given as a decimal of three digits or more that it rounds to (0.333).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from vision_r1.grading.notation import plain_number
from vision_r1.grading.units import canonical_unit, conversion, spec_unit
from vision_r1.grading.words import magnitude, with_digits

_MAX_DIGITS = 60
_MAX_PLAIN = 80
_NEXT_FIGURE = re.compile(r",?\s(?:and\s)?(?=[0-9])")
_DIVIDED_OUT = 7  # a gold with so many decimals was divided out by a computer, and may be rounded
_ROUNDED = 6  # from millions on, and below thousandths, a figure with a point is taken for rounded

_FRAC = (
    r"\\[dt]?frac\s?(?:\{\s?(?P<fa>-?[0-9]+)\s?\}\s?\{\s?(?P<fb>-?[0-9]+)\s?\}|(?P<sa>[0-9])\s?(?P<sb>[0-9]))"
)
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)\s?(?P<currency>\\?[$€£¥]?)\s?(?P<sign2>[+-]?)(?:"
    rf"(?P<whole>[0-9]+\s?)?{_FRAC}"
    r"|(?:(?P<mixed>[0-9]+)\s)?(?P<na>[0-9]+)\s?/\s?(?P<nb>[0-9]+)"
    r"|(?P<body>(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE](?P<exp>[+-]?[0-9]{1,2})(?![0-9]))?"
    r")(?P<rest>.*)",
    re.DOTALL,
)
_VARIABLE = re.compile(
    r"(?:m?(?:\\?(?:angle|triangle)|∠)\s?)?(?:[A-Za-z]{1,3}(?:_\{?[A-Za-z0-9]{1,3}\}?)?|\[[A-Z]{2,6}\])\s?=\s?(?=[^=\s])"
)
_DEGREE = re.compile(r"\s?\^\s?\{?\s?\\circ\s?\}?|\\degree|º")
# "6.02 \times 10^{23}", "6.02×10^23", "10^5": the same as 6.02e23 and 1e5.
_POWER_OF_TEN = re.compile(
    r"(?P<times>(?<=[0-9])\s?(?:\\times|\\cdot|[×·*xX])\s?|^[+-]?\s?)10\s?\^\s?"
    r"(?:\{\s?(?P<braced>[+-]?[0-9]{1,2})\s?\}|(?P<bare>[+-]?[0-9]{1,2})(?![0-9]))"
)
_RAISED = re.compile(r"10([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,2})")
_LOWERED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_SPACING = re.compile(r"\\[,;:! ]|~")


@dataclass(frozen=True, slots=True)
class Number:
    """A parsed number.

    Attributes:
        value: the exact value as written; a percent keeps its figure (50% has the value 50).
        decimals: digits after the point; None for an integer or a fraction. Below zero for the rounded
            figures of large powers of ten ("1.4 billion" has -8).
        unit: canonical name of the unit, "%" for a percent; None if none is written.
    """

    value: Fraction
    decimals: int | None
    unit: str | None

    def __str__(self) -> str:
        if self.decimals is None or self.decimals <= 0:
            shown = str(self.value)
        else:
            scaled = abs(self.value) * 10**self.decimals
            digits = str(scaled.numerator).rjust(self.decimals + 1, "0")
            split = len(digits) - self.decimals
            shown = f"{'-' if self.value < 0 else ''}{digits[:split]}.{digits[split:]}"
        return f"{shown} {self.unit}" if self.unit else shown


def parse_number(text: str, unit: str | None = None) -> Number | None:
    """Read the whole of `text` as one number with an optional unit; None if it is anything else.

    Args:
        text: an answer after `text.plain_math`.
        unit: a unit that is accepted beside the known ones (`GradeSpec.unit`), such as "people".
    """
    found = _parse(text, unit)
    if found is None and len(text) <= _MAX_PLAIN:
        rewritten = plain_number(text)
        found = _parse(rewritten, unit) if rewritten != text else None
        found = found or _compound(rewritten)
    return found


def _compound(text: str) -> Number | None:
    """A figure in two or three units, largest first ("1 hour and 15 minutes"), in the first of them."""
    parts = [part for piece in _NEXT_FIGURE.split(text) if (part := _parse(piece, None)) and part.unit]
    if len(parts) == 2 and (parts[0].unit, parts[1].unit) == ("h", "m"):  # "3h 41m"
        parts[1] = replace(parts[1], unit="min")
    if not 2 <= len(parts) <= 3 or len(parts) != len(_NEXT_FIGURE.split(text)):
        return None
    sizes = [conversion(part.unit or "", parts[0].unit or "") for part in parts]
    values = [part.value * size for part, size in zip(parts, sizes, strict=True) if size is not None]
    # "1 hour 75 minutes" is no such figure: each part is less than one of the unit before it.
    fits = all(value < (size or 0) for value, size in zip(values[1:], sizes, strict=False))
    return (
        Number(sum(values, Fraction(0)), None, parts[0].unit) if len(values) == len(parts) and fits else None
    )


def _parse(text: str, unit: str | None) -> Number | None:
    text = _DEGREE.sub("°", text.replace("{,}", ",").replace("\\%", "%").replace("\\!", ""))
    text = _SPACING.sub(" ", text).strip()
    text = _VARIABLE.sub("", text, count=1) if _VARIABLE.match(text) else text
    text = _POWER_OF_TEN.sub(_exponent, _RAISED.sub(_raised, text))
    match = _NUMBER.match(with_digits(text) if text[:1].isalpha() else text)
    if match is None or sum(map(str.isdigit, text)) > _MAX_DIGITS:
        return None
    if match["sign"] and match["sign2"]:
        return None
    if match["rest"] == "s" and len(match["body"] or "") == 4:  # "1990s" is a decade, not 1990 seconds
        return None
    power, rest = magnitude(match["rest"])
    found = _unit(rest.strip(), match["currency"].lstrip("\\"), unit)
    value = _value(match)
    if value is None or found is None:
        return None
    negative = "-" in (match["sign"], match["sign2"])
    scaled = value * 10**power
    return Number(-scaled if negative else scaled, _decimals(match, power), found or None)


def _exponent(match: re.Match[str]) -> str:
    power, lead = match["braced"] or match["bare"], match["times"].strip()
    return f"{lead}1e{power}" if lead in ("", "+", "-") else f"e{power}"


def _raised(match: re.Match[str]) -> str:
    return f"10^{{{match[1].translate(_LOWERED)}}}"


def _decimals(match: re.Match[str], power: int) -> int | None:
    """Digits after the point; with a large power of ten ("1.4 billion") those of the whole figure."""
    written = len((match["body"] or "").partition(".")[2])
    shift = power + int(match["exp"] or 0)
    if not written:
        return None
    return written if not shift else written - shift if shift >= _ROUNDED or shift <= -3 else None


def _value(match: re.Match[str]) -> Fraction | None:
    """The magnitude; None for a zero denominator or a mixed number whose part is none."""
    if match["body"]:
        base = Fraction(match["body"].replace(",", "").rstrip(".") or "0")
        return base * Fraction(10) ** int(match["exp"] or 0)
    top = match["fa"] or match["sa"] or match["na"]
    bottom = int(match["fb"] or match["sb"] or match["nb"])
    whole = match["whole"] or match["mixed"]
    if bottom == 0 or (whole and (top.startswith("-") or int(top) >= bottom)):
        return None  # "3 8/2" is no mixed number
    return Fraction(int(top), bottom) + (int(whole) if whole else 0)


def _unit(rest: str, currency: str, extra: str | None) -> str | None:
    """Canonical unit, "" for none, None when what follows the number is no unit."""
    if not rest:
        return currency
    known = canonical_unit(rest)
    if known is None and extra and _same_noun(rest, extra):
        known = spec_unit(extra)
    if known is None or (currency and known != currency):
        return None
    return known


def variable_of(text: str) -> str:
    """The name that a value is given to: "x = 2" -> "x"; "" for a bare value."""
    match = _VARIABLE.match(text)
    return match[0].rstrip("= ") if match else ""


def without_variable(text: str) -> str:
    r"""`text` without a name that it is given to: "V = 36\pi" -> "36\pi"."""
    match = _VARIABLE.match(text)
    return text[match.end() :] if match else text


def _same_noun(one: str, other: str) -> bool:
    """Whether two nouns are one, in either number; "candies" is short for "peppermint candies"."""
    first, second = (" ".join(text.casefold().rstrip(".").split()) for text in (one, other))
    return any(
        first in (name, name + "s", name + "es") or name == first + "s"
        for name in (second, second.rpartition(" ")[2])
    )


def compare_numbers(gold: Number, answer: Number, precision: int | None, unit: str | None) -> str:
    """Compare by value, precision and unit.

    A missing unit is no fault. Two units of one dimension are converted exactly, other pairs are wrong. A
    percent sign on one side only may be a unit (50% = 50) or a factor (50% = 0.5); beside a gold below 1 it
    is a factor.

    Returns:
        "equal", "different" or "other_unit".
    """
    gold_unit = gold.unit or (spec_unit(unit) if unit else None)
    answers = [answer]
    if "%" in (gold_unit, answer.unit):
        if answer.unit not in (None, "%") or gold_unit not in (None, "%"):
            return "other_unit"
        if answer.unit != gold_unit:
            answers.append(_scaled(answer, -2 if answer.unit else 2))
        if answer.unit and not gold_unit and abs(gold.value) < 1:
            answers = answers[1:]  # 0.5% is not 0.5
    elif gold_unit and answer.unit and gold_unit != answer.unit:
        factor = conversion(answer.unit, gold_unit)
        if factor is None:
            return "other_unit"
        answers = [Number(answer.value * factor, None, gold_unit)]
    if any(close_to(gold, each.value, precision) for each in answers):
        return "equal"
    if (
        precision is None
        and (gold.decimals or 0) >= _DIVIDED_OUT
        and any(approximates(gold.value, each) for each in answers)
    ):
        return "equal"
    exact = precision is None and gold.decimals is None
    return "equal" if exact and any(rounds_to(gold.value, each) for each in answers) else "different"


def _scaled(number: Number, power: int) -> Number:
    decimals = None if number.decimals is None else number.decimals - power
    return Number(number.value * Fraction(10) ** power, decimals, number.unit)


def rounds_to(exact: Fraction, answer: Number) -> bool:
    """Whether a decimal answer of three digits or more is what a fraction without end rounds to."""
    return not _ends(exact) and approximates(exact, answer)


def approximates(exact: Fraction, answer: Number) -> bool:
    """Whether a decimal answer of three digits or more (four if only one is a decimal) is `exact` rounded."""
    if answer.decimals is None or answer.decimals < 1:
        return False
    digits = len(str(abs(answer.value.numerator * 10**answer.decimals // answer.value.denominator)))
    return digits >= (3 if answer.decimals > 1 else 4) and abs(exact - answer.value) <= Fraction(
        1, 2 * 10**answer.decimals
    )


def _ends(value: Fraction) -> bool:
    """Whether the decimals of a fraction end: its denominator has no factors but 2 and 5."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def close_to(gold: Number, value: Fraction, precision: int | None) -> bool:
    """Whether `value` rounds to the gold at its decimals (see the module's rule)."""
    decimals = precision if precision is not None else gold.decimals
    if decimals is None:
        return gold.value == value
    slack = Fraction(10) ** -decimals / 2
    if decimals >= 10:
        # Golds such as 0.30000000000000004 carry floating-point noise, not ten real decimals.
        slack = max(slack, abs(gold.value) / 10**9)
    return abs(gold.value - value) <= slack
