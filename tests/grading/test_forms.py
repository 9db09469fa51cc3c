"""Answers with a form of their own: powers of ten, words, ranges, sets, intervals, times, dates, matrices."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.grading import GradeSpec, grade_answer
from vision_r1.grading.moments import parse_moment
from vision_r1.grading.number import parse_number
from vision_r1.grading.words import with_digits

MATRIX = r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"

# gold: (answers that are right, near misses)
FORMS = {
    "6.02e23": (("6.02 \\times 10^{23}", "6.02×10^23", "6.02 x 10^23", "6.02×10²³"), ("6.02e22", "6.1e23")),
    "1.5 \\times 10^{-3}": (("0.0015", "1.5e-3"), ("0.015", "1.5 \\times 10^{3}")),
    "100000": (("100,000", "1e5", "10^5", "10^{5}"), ("10,000", "10^4", "5^10")),
    "1.4 billion": (("1,400,000,000", "1.4 Billion", "1.38 billion"), ("1.4 million", "1.5 billion", "1.4")),
    "$2 million": (("2000000", "$2,000,000", "2 million dollars"), ("2 million €", "3 million")),
    "7": (("seven", "Seven", "7.0"), ("eight", "seventy", "seven eight", "seven or eight")),
    "twenty-one": (("21", "twenty one"), ("20", "twenty")),
    "-3": (("minus 3", "negative three", "−3"), ("3", "three")),
    "10-20": (("10 - 20", "10 to 20", "from 10 to 20", "between 10 and 20", "10–20"), ("10", "20", "10-21", "20-10")),
    "3:8": (("3 : 8", "3 to 8", "3/8"), ("8:3", "6:16", "3")),
    "3/8": (("3:8", "6/16", "0.375"), ("8/3", "6:16", "3")),
    "{1,2,3}": (("{3,2,1}", "\\{1,2,3\\}", "1, 2, 3", "3, 1 and 2"), ("{1,2}", "{1,2,4}", "{1,2,3,3}", "1")),
    "(2,5]": (("(2, 5]", "\\left(2,5\\right]", "2 < x \\le 5", "2<x<=5", "5 >= x > 2"), ("[2,5]", "(2,5)", "(5,2]", "2<x<5")),
    "(2,5)": (("2 < x < 5", "(2, 5)"), ("2 < x <= 5", "[2,5]", "(5,2)")),
    "x>3": (("x > 3", "3<x", "(3,\\infty)", "x \\gt 3", "(3, ∞)"), ("x<3", "x\\ge 3", "3", "[3,\\infty)", "y>3")),
    "x\\leq\\frac{1}{2}": (("x ≤ 0.5", "0.5 >= x", "(-\\infty, 1/2]"), ("x<0.5", "x≥0.5")),
    "3:45 PM": (("3:45 pm", "3:45 p.m.", "3:45PM", "15:45"), ("3:45 am", "3:54 PM", "3:45", "15:44")),
    "12:00 AM": (("0:00", "12 am"), ("12:00 PM", "12:00")),
    "July 4, 2020": (("4 July 2020", "July 4th, 2020", "2020-07-04", "Jul 4 2020", "Saturday, July 4, 2020"), ("July 5, 2020", "July 4, 2021", "July 4")),
    MATRIX: ((r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}", "[[1,2],[3,4]]", r"\begin{pmatrix}1&2\\3&4.0\\\end{pmatrix}"), (r"\begin{pmatrix}1&2\\4&3\end{pmatrix}", r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", "[[1,2,3,4]]", "1,2,3,4")),
    "\\sqrt{12}": (("3.464", "√12", "2√3", "3.46"), ("3.4", "3.465", "3.45")),
    "2\\pi": (("6.283", "6.28", "2π"), ("6.3", "6", "6.29")),
    "1/3": (("0.333", "0.33333"), ("0.33", "0.3", "0.334")),
    "y=2x+3": (("y = 3+2x", "2x+3=y"), ("2x+3", "y=2x", "2x-3=y")),
    "n=4": (("4", "n = 4", "4.0"), ("5", "m=4", "4 or 5")),
    "2,5": (("2 or 5", "x = 2 or x = 5", "x=2, x=5"), ("2", "2 or 5 or 6", "5 or 2")),
    "light blue": (("light-blue", "Light Blue"), ("blue", "dark blue", "light")),
    "AB": (("\\overline{AB}",), ("\\overline{AC}", "BA")),
    "\\triangle ABC": (("triangle ABC", "△ABC"), ("\\triangle ABD", "ABC D")),
    "\\infty": (("infinity", "∞"), ("-\\infty", "0")),
}  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), [(g, a) for g, (right, _) in FORMS.items() for a in right])
def test_one_answer_in_its_forms(gold, answer):
    verdict = grade_answer(answer, GradeSpec(gold))
    assert verdict.status == "right", verdict


@pytest.mark.parametrize(("gold", "answer"), [(g, a) for g, (_, wrong) in FORMS.items() for a in wrong])
def test_near_misses(gold, answer):
    verdict = grade_answer(answer, GradeSpec(gold))
    assert verdict.status in ("wrong", "unparseable"), verdict


@pytest.mark.parametrize("gold", FORMS)
def test_every_form_grades_itself(gold):
    dollars = () if "$" in gold else (f"${gold}$",)
    for text in (gold, f" {gold}.", f"\\boxed{{{gold}}}", *dollars):
        assert grade_answer(text, GradeSpec(gold)).status == "right"


def spelt(n):
    """English for 0 to 999,999, written apart from the grader's reading."""
    words = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    decades = "twenty thirty forty fifty sixty seventy eighty ninety"
    ones, tens = (
        words.split(" "),
        f"- - {decades}".split(" "),
    )
    if n < 20:
        return ones[n]
    if n < 100:
        return tens[n // 10] + (f"-{ones[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{ones[n // 100]} hundred" + (f" and {spelt(n % 100)}" if n % 100 else "")
    return f"{spelt(n // 1000)} thousand" + (f" {spelt(n % 1000)}" if n % 1000 else "")


@given(st.integers(0, 999_999))
def test_numbers_in_words_are_read(n):
    assert with_digits(spelt(n)) == str(n)
    assert grade_answer(spelt(n), GradeSpec(str(n))).correct
    assert not grade_answer(spelt(n), GradeSpec(str(n + 1))).correct


@given(st.integers(1, 9999), st.integers(-9, 12))
def test_powers_of_ten_are_read_by_value(mantissa, power):
    text = f"{mantissa} \\times 10^{{{power}}}"
    assert parse_number(text).value == Fraction(mantissa) * Fraction(10) ** power


@given(st.integers(0, 23), st.integers(0, 59))
def test_both_ways_to_write_a_time(hour, minute):
    half = "AM" if hour < 12 else "PM"
    moment = parse_moment(f"{(hour - 1) % 12 + 1}:{minute:02d} {half}")
    assert moment == ("time", hour, minute, 0)
    assert parse_moment(f"{hour}:{minute:02d}")[1:] == moment[1:]


@given(st.integers(2, 60), st.integers(1, 400), st.integers(3, 6))
def test_roots_may_be_given_as_rounded_decimals(radicand, factor, decimals):
    value = factor * math.sqrt(radicand)
    spec = GradeSpec(f"{factor}\\sqrt{{{radicand}}}")
    assert grade_answer(f"{value:.{decimals}f}", spec).correct
    off = value + 2 * 10**-decimals
    assert not grade_answer(f"{off:.{decimals}f}", spec).correct


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        (r"$2\sqrt{13} \approx 7.2$", r"2\sqrt{13}", True), (r"$2\sqrt{13} \approx 7.2$", "7.2", True),
        (r"$2\sqrt{13} \approx 7.3$", r"2\sqrt{13}", False), ("c = 8/3 ≈ 2.67", "2.67", True),
        (r"25\pi ≈ 78.54", r"25\pi", True), ("9 ≈ 10", "10", False), ("4.5 ≈ 5", "5", False),
        (r"By Pythagoras, $c = \sqrt{3^2+4^2} = 5$.", "5", True), (r"By Pythagoras, $c = 3 + 4 = 5$.", "5", False),
        (r"So $x = 5$ and $y = 12$.", "12", False), ("Slovenia and Poland", "Slovenia, Poland", True), ("Slovenia, Poland, and Chad", "Slovenia, Poland and Chad", True),
        ("Poland", "Slovenia, Poland", False), ("Slovenia or Poland", "Slovenia, Poland", False),
    ],
)  # fmt: skip
def test_values_with_their_decimals_and_rows_of_names(answer, gold, right):
    assert grade_answer(answer, GradeSpec(gold)).correct is right
