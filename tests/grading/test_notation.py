"""Other ways to write numbers, sets of solutions and equations, against arithmetic done apart."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.grading import GradeSpec, grade_answer
from vision_r1.grading.number import parse_number
from vision_r1.grading.polynomial import same_equation, same_expression
from vision_r1.grading.solutions import solutions


@given(st.integers(0, 99), st.integers(0, 999), st.integers(0, 3), st.integers(1, 999))
def test_decimals_without_end(whole, fixed, places, period):
    tail, digits = str(period), f"{fixed % 10**places:0{places}d}" if places else ""
    nines = 10 ** len(tail) - 1
    value = Fraction(f"{whole}.{digits or 0}") + Fraction(period, nines * 10**places)
    assert parse_number(f"{whole}.{digits}\\overline{{{tail}}}").value == value
    assert parse_number(f"{whole}.{digits}({tail})").value == value
    assert parse_number(f"{whole}.{digits}{tail * 3}...").value == value


@given(st.integers(1, 10**9))
def test_thousands_set_apart_by_spaces(value):
    grouped = f"{value:,}"
    for mark in (" ", "\\,", "\u202f", "{,}"):
        assert grade_answer(grouped.replace(",", mark), GradeSpec(str(value))).correct
        assert not grade_answer(grouped.replace(",", mark), GradeSpec(str(value + 1))).correct


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("½", "1/2"), ("2½", "5/2"), ("2 ¾", "11/4"), ("7⁄8", "7/8"), ("half", "1/2"), ("a quarter", "1/4"),
        ("three-fifths", "3/5"), ("two and a half", "5/2"), ("1 and 1/2", "3/2"), ("5!", "120"), ("(-5)", "-5"),
        ("US$25", "25"), ("EUR 3.50", "7/2"), ("≈ 3.14", "157/50"), ("about 7", "7"), ("1.4B", "1400000000"),
        ("100k", "100000"), ("half an hour", "1/2"), ("\\frac{3}{-5}", "-3/5"),
    ],
)  # fmt: skip
def test_numbers(text, value):
    assert parse_number(text).value == Fraction(value)


@pytest.mark.parametrize(
    "text", ["third", "first half", "99!", "1990s", "17th", "0.3...", "two three", "half past", "B", "12 B 3", "(5", "~"]
)  # fmt: skip
def test_what_is_no_number(text):
    assert parse_number(text) is None


@given(
    st.sets(st.integers(-50, 50), min_size=2, max_size=4),
    st.sampled_from("xtn"),
    st.randoms(use_true_random=False),
)
def test_solutions_in_any_order_and_all_of_them(values, name, shuffler):
    order = sorted(values)
    gold = GradeSpec(" or ".join(f"{name} = {value}" for value in order))
    shuffler.shuffle(order)
    for text in (
        ", ".join(f"{name}={value}" for value in order), " or ".join(map(str, order)), f"{name} = " + ", ".join(map(str, order)),
        "\\{" + ", ".join(map(str, order)) + "\\}", " and ".join(f"{name}_{i} = {v}" for i, v in enumerate(order, 1)),
    ):  # fmt: skip
        assert grade_answer(text, gold).correct, text
        assert not grade_answer(text.replace(str(order[-1]), "77"), gold).correct
    assert not grade_answer(" or ".join(map(str, [*order, 88])), gold).correct
    assert not grade_answer(f"{name} = {order[0]}", gold).correct


def test_plus_minus():
    assert solutions("\\pm 2", loose=False) == ("2", "-2")
    assert solutions("1 \\pm \\sqrt{2}", loose=False) == ("1+\\sqrt{2}", "1-\\sqrt{2}")
    assert solutions("x = 2", loose=False) == () == solutions("2, 5", loose=False)
    assert solutions("x = 2 or y = 3", loose=False) == ()


def polynomial(coefficients, shuffler, sign=1):
    terms = [
        f"{sign * c:+d}{power}"
        for c, power in zip(coefficients, ("x^2", "xy", "y", "x", ""), strict=True)
        if c
    ]
    shuffler.shuffle(terms)
    return "".join(terms) or "0"


@given(
    st.lists(st.integers(-9, 9), min_size=5, max_size=5).filter(lambda c: any(c[:4])),
    st.integers(1, 7), st.integers(0, 4), st.randoms(use_true_random=False),
)  # fmt: skip
def test_equations_are_equal_exactly_when_one_is_a_multiple_of_the_other(
    coefficients, factor, place, shuffler
):
    one = f"{polynomial(coefficients, shuffler)}=0"
    many = [factor * c for c in coefficients]
    assert same_equation(f"{polynomial(many, shuffler)}=0", one)
    assert same_equation(f"0={polynomial(many, shuffler, -1)}", one)
    other = [c + 1 if index == place else c for index, c in enumerate(many)]
    ratios = {Fraction(a, b) if b else None for a, b in zip(other, coefficients, strict=True) if a or b}
    assert same_equation(f"{polynomial(other, shuffler)}=0", one) is (len(ratios) == 1) or not any(other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("y=2x+1", "2x - y + 1 = 0", True), ("y=\\frac{1}{2}x+3", "x-2y+6=0", True), ("y=2x+1", "y=2x-1", False),
        ("x^2+y^2=25", "y^2+x^2=5^2", True), ("(x-1)^2=4", "x^2-2x-3=0", True), ("y=\\sqrt{x}", "y^2=x", None),
        ("y=x^{99}", "y=x", None), ("y=2x=4", "y=2x", None), ("((((((((((((((x))))))))))))))=1", "x=1", None),
        ("y=1/(x-x)", "y=x", None), ("", "y=x", None), ("9^9^9^9=x", "x=1", None),
    ],
)  # fmt: skip
def test_equations(one, other, same):
    assert same_equation(one, other) is same


def test_names_are_no_products():
    assert same_expression("2ba^2", "2a^2b")
    assert same_expression("\\frac{-x-1}{1-x}", "\\frac{x+1}{x-1}")
    for one, other in (("1A", "A1"), ("fox", "xof"), ("3 cats", "cats 3"), ("12", "12"), ("a=b", "b=a")):
        assert not same_expression(one, other)


@given(st.text(alphabet="0123456789x+-*/^(){}=\\frac.y ", max_size=160))
def test_any_text_is_read_or_not(text):
    assert same_equation(text, "y=x") in (True, False, None)
    assert isinstance(same_expression(text, "x+1"), bool)


def test_reading_is_bounded():
    tower = "(" * 12 + "9" + "^12)" * 12
    assert same_equation(f"{tower}=x", "x=1") is None
    assert same_equation(f"x^2={tower.replace('9', 'x')}", "x=1") is None
    shuffler = random.Random(0)
    for _ in range(50):
        text = "".join(shuffler.choices("9^(){}", k=149))
        same_equation(f"{text}=1", "x=1")
