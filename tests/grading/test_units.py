"""Units: names, conversion, and answers in another unit of the same dimension."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.grading import GradeSpec, grade_answer
from vision_r1.grading.number import parse_number
from vision_r1.grading.units import canonical_unit, conversion

LENGTHS = {"mm": 1, "cm": 10, "m": 1000, "km": 1_000_000}
# Written apart from the grader's table: exact definitions.
FACTORS = [
    ("cm", "mm", "10"), ("in", "cm", "2.54"), ("ft", "in", "12"), ("yd", "ft", "3"), ("mi", "m", "1609.344"),
    ("kg", "g", "1000"), ("lb", "oz", "16"), ("h", "min", "60"), ("day", "h", "24"), ("week", "day", "7"),
    ("year", "month", "12"), ("l", "ml", "1000"), ("$", "¢", "100"), ("m^2", "cm^2", "10000"), ("m^3", "cm^3", "1e6"),
    ("m/s", "km/h", "3.6"), ("km/h", "m/min", "1000/60"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "factor"), FACTORS)
def test_factors(one, other, factor):
    top, _, bottom = factor.partition("/")
    assert conversion(one, other) == Fraction(top) / Fraction(bottom or "1")
    assert conversion(one, other) * conversion(other, one) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("cm", "g"), ("cm", "cm^2"), ("°", "rad"), ("$", "€"), ("kg", "lb"), ("month", "day"), ("unit", "cm")]
)  # fmt: skip
def test_what_cannot_be_converted(one, other):
    assert conversion(one, other) is None


@given(
    st.integers(1, 10**6),
    st.sampled_from(sorted(LENGTHS)),
    st.sampled_from(sorted(LENGTHS)),
    st.integers(1, 3),
)
def test_an_answer_in_another_unit_is_right_exactly_when_it_is_the_same_quantity(value, one, other, power):
    mark = "" if power == 1 else f"^{power}"
    exact = Fraction(value) * Fraction(LENGTHS[one], LENGTHS[other]) ** power
    shown = f"{exact.numerator}/{exact.denominator}" if exact.denominator > 1 else str(exact)
    gold = GradeSpec(f"{value} {one}{mark}")
    assert grade_answer(f"{shown} {other}{mark}", gold).correct
    assert not grade_answer(f"{shown}1 {other}{mark}", gold).correct
    assert one == other or not grade_answer(f"{value} {other}{mark}", gold).correct


@given(st.integers(1, 99), st.integers(1, 59))
def test_figures_in_two_units(hours, minutes):
    gold = GradeSpec(f"{60 * hours + minutes} minutes")
    for text in (
        f"{hours} hours and {minutes} minutes",
        f"{hours} h {minutes} min",
        f"{hours} hours, {minutes} min",
    ):
        assert grade_answer(text, gold).correct
        assert not grade_answer(text, GradeSpec(f"{60 * hours + minutes + 1} minutes")).correct
    assert parse_number(f"{hours} hours and {minutes + 60} minutes") is None
    assert parse_number(f"{minutes} minutes and {hours} hours") is None


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("square centimetres", "cm^2"), ("sq. cm", "cm^2"), ("cm²", "cm^2"), ("cm^{2}", "cm^2"), ("cubic m", "m^3"),
        ("kilometres per hour", "km/h"), ("kph", "km/h"), ("mph", "mi/h"), ("ms^{-1}", "m/s"), ("m s^{-2}", "m/s^2"),
        ("degrees Celsius", "°C"), ("years old", "year"), ("per cent", "%"), ("ohms", "Ω"), ("平方厘米", "cm^2"),
        ("apples", None), ("", None), ("apples per day", None), ("per", None), ("a/b/c", None), ("x" * 500, None),
    ],
)  # fmt: skip
def test_names(text, unit):
    assert canonical_unit(text) == unit
