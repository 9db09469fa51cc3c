"""Equal and nearly equal answers."""

import subprocess
import sys
import time
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.core.errors import InputError
from vision_r1.grading import GradeSpec, grade_answer
from vision_r1.problems.problem import Problem

OPTIONS = ("6", "3", "4", "2")
LATEX = ("8", "8 \\sqrt { 2 }", "8 \\sqrt { 3 }", "16")
NAMES = ("Rocky Port", "Bay Harbor", "C or D", "Rocky Port")


def spec(gold, *rest):
    return GradeSpec(gold, *rest)


RIGHT = [
    ("12", spec("12.0")), ("012", spec("12")), ("12 apples", spec("12")), ("+12", spec("12")), ("12.", spec("12")), ("−12", spec("-12")),
    ("x = 12", spec("12")), ("AC = 12", spec("12")), ("12 cm", spec("12")), ("12", spec("12 cm")),
    ("12 centimetres", spec("12 cm")), ("4 square cm", spec("4 cm^2")), ("60^\\circ", spec("60")),
    ("19 peppermint candies", spec("19", "auto", (), None, "peppermint candies")), ("$8.2", spec("8.20")),
    ("8.20 dollars", spec("8.20", "auto", (), None, "$")), ("1374", spec("1,374")), ("$1{,}374$", spec("1374")),
    ("50%", spec("50")), ("50\\%", spec("0.5")), ("0.5", spec("50%")), ("50 percent", spec("50%")),
    ("3.14159", spec("3.14")), ("2.09", spec("2.0944", "float", (), 2)), ("0.3", spec("0.30000000000000004")),
    ("0.25", spec("1/4")), ("\\frac12", spec("0.5")), ("\\dfrac{-1}{2}", spec("-1/2")), ("2/4", spec("1/2")),
    ("6\\frac{1}{2}", spec("6.5")), ("6.5", spec("6 1/2")), ("1.5e3", spec("1500")), (".5", spec("1/2")),
    ("2, 3, 5", spec("2 3 5")), ("2 3 5", spec("2, 3, 5")), ("[2,3,5]", spec("2 3 5", "list")),
    ("2, 3 and 5", spec("2 3 5")), ("(3, -4)", spec("(3,-4)")), ("\\left(3, -4\\right)", spec("(3,-4)")), ("Cape Verde, united kingdom", spec("[Cape Verde, United Kingdom]")),
    ("rocky port.", spec("Rocky Port")), ("the Rocky Port", spec("Rocky Port")), ("2:10 pm", spec("2:10 P.M.")),
    ("y=-3", spec("y = -3")), ("5:0", spec("5:0", "text")), ("65+", spec("65+")), ("2006/07", spec("2006/07")),
    ("C", spec("C")), ("(c)", spec("C")), ("C: 12", spec("C", "multiple choice")), ("D and B", spec("B, D", "choice")),
    ("C", spec("4", "auto", OPTIONS)), ("4", spec("C", "auto", OPTIONS)), ("C: 4", spec("4", "auto", OPTIONS)),
    ("(C) 4.0", spec("C", "auto", OPTIONS)), ("**C**", spec("C", "auto", OPTIONS)), ("option C", spec("4", "choice", OPTIONS)),
    ("8\\sqrt{2}", spec("B", "auto", LATEX)), ("B: $8 \\sqrt{2}$", spec("B", "auto", LATEX)),
    ("D", spec("A", "auto", NAMES)), ("C or D", spec("C", "auto", NAMES)),
    ("$12 \\mathrm{~m}$", spec("E", "auto", ("1", "2", "3", "4", "$12 \\mathrm{~m}$"))),
]  # fmt: skip

WRONG = [
    ("12.01", spec("12")), ("13", spec("12")), ("-12", spec("12")), ("12 m", spec("12 cm")), ("4 cm", spec("4 cm^2")),
    ("12 m", spec("12", "auto", (), None, "cm")), ("€5", spec("$5")), ("12 apples", spec("12 cm")), ("12 dozen", spec("12")),
    ("5000%", spec("50%")), ("3.1", spec("3.14")), ("3.146", spec("3.14")), ("2.1", spec("2.0944", "float", (), 2)),
    ("0.33", spec("1/3")), ("1,37", spec("137")), ("1,374", spec("1.374")), ("1/0", spec("0")), ("6 1/2", spec("3")),
    ("2, 5, 3", spec("2 3 5")), ("2, 3", spec("2, 3, 5")), ("2, 3, 5, 7", spec("2, 3, 5")), ("[3, -4]", spec("(3,-4)")),
    ("-3", spec("y = -3")), ("x = -3", spec("y = -3")), ("y = 3", spec("y = -3")), ("5", spec("5:0", "text")),
    ("5.0", spec("5", "text")), ("65", spec("65+")), ("2:10 A.M.", spec("2:10 P.M.")), ("Rocky", spec("Rocky Port")),
    ("Rocky Port Harbor", spec("Rocky Port")), ("D", spec("C")), ("C, D", spec("C")), ("B", spec("B, D", "choice")),
    ("C: 3", spec("4", "auto", OPTIONS)), ("C: D", spec("4", "auto", OPTIONS)), ("A or C", spec("4", "auto", OPTIONS)),
    ("A B C D", spec("4", "auto", OPTIONS)), ("E", spec("4", "auto", OPTIONS)), ("3", spec("4", "auto", OPTIONS)),
    ("B: 8\\sqrt{3}", spec("B", "auto", LATEX)), ("C", spec("A", "auto", NAMES)),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "gold"), RIGHT)
def test_equal(answer, gold):
    verdict = grade_answer(answer, gold)
    assert (verdict.status, verdict.correct) == ("right", True), verdict


@pytest.mark.parametrize(("answer", "gold"), WRONG)
def test_different(answer, gold):
    verdict = grade_answer(answer, gold)
    assert (verdict.status, verdict.correct) == ("wrong", False), verdict


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_integers_are_equal_exactly_when_they_are(gold, answer):
    for shown in (str(answer), f"{answer:,}", f"{answer}.0"):
        assert grade_answer(shown, GradeSpec(str(gold))).correct == (gold == answer)
    assert grade_answer(str(gold), GradeSpec(f"{gold:,}")).correct


@given(st.fractions(max_denominator=999), st.fractions(max_denominator=999))
def test_fractions_agree_with_exact_arithmetic(gold, answer):
    latex = f"\\frac{{{answer.numerator}}}{{{answer.denominator}}}"
    for shown in (f"{answer.numerator}/{answer.denominator}", latex):
        assert grade_answer(shown, GradeSpec(f"{gold.numerator}/{gold.denominator}")).correct == (
            gold == answer
        )


@given(st.decimals(-1000, 1000, places=6), st.integers(1, 4))
def test_rounding_to_the_golds_decimals(value, places):
    """Whatever Decimal rounds to the gold is right; what is a whole unit away is wrong."""
    gold = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    unit = Decimal(1).scaleb(-places)
    assert grade_answer(f"{value:f}", GradeSpec(f"{gold:f}")).correct
    assert not grade_answer(f"{value + unit + unit / 100:f}", GradeSpec(f"{gold:f}")).correct


def test_verdict_says_what_was_compared():
    verdict = grade_answer(" $1,374.50$ ", GradeSpec("1374.5"))
    assert (verdict.extracted, verdict.normalized_gold, verdict.normalized_answer) == (
        " $1,374.50$ ",
        "1374.5",
        "1374.50",
    )
    assert grade_answer("b", GradeSpec("4", options=OPTIONS)).normalized_gold == "C"
    assert grade_answer("", GradeSpec("4")).reason == "no_answer"
    assert grade_answer("4" * 2000, GradeSpec("4")).reason == "too_long"


def test_spec_of_a_problem():
    problem = Problem("p1", "How many?", "4", (), "auto", OPTIONS, 2, "cm")
    assert GradeSpec.of(problem) == GradeSpec("4", "auto", OPTIONS, 2, "cm")
    with pytest.raises(InputError, match=r"problem p2, gold: the gold answer is empty"):
        GradeSpec.of(Problem("p2", "?", " "))
    with pytest.raises(InputError, match="did you mean 'number'"):
        GradeSpec("1", "numbr")


def test_plain_answers_start_nothing():
    code = (
        "import sys\n"
        "from vision_r1.grading import GradeSpec, grade_response, symbolic\n"
        "specs = [GradeSpec('12'), GradeSpec('4', options=('6', '3', '4', '2')), GradeSpec('blue whale')]\n"
        "grade_response('1', specs[0])\n"
        "for i in range(300):\n"
        "    for spec, answer in zip(specs, (str(i), 'ABCD'[i % 4], f'red fox {i}')):\n"
        "        grade_response(answer, spec)\n"
        "assert symbolic.POOL.pid is None\n"
        "assert not {'torch', 'transformers', 'trl', 'sympy', 'math_verify'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_huge_exponents_and_digits_cost_nothing():
    begin = time.perf_counter()
    grade_answer("1e99", GradeSpec("1e-99"))
    grade_answer("1e999999999", GradeSpec("12"))
    grade_answer("9" * 900, GradeSpec("12"))
    assert time.perf_counter() - begin < 0.5
