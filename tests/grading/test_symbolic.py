"""Symbolic comparison: what is equal, the time that one answer has, and what is remembered."""

import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latex2sympy2_extended import latex2sympy2
from math_verify import parser

from vision_r1.grading import GradeSpec, budget, grade_answer, symbolic, symbolic_worker
from vision_r1.grading.symbolic import to_latex


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("2\\sqrt{36}", "12"),
        ("2*pi", "2\\pi"),
        ("2π", "6.2832"),
        ("√2", "\\sqrt{2}"),
        ("x^2+1", "1+x^2"),
        ("\\frac{8\\sqrt{3}}{3}\\pi", "\\frac { 8 } { \\sqrt 3 } \\pi"),
        ("\\{3,2,1\\}", "\\{1,2,3\\}"),
        ("(3, 4]", "(3,4]"),
    ],
)
def test_equal(answer, gold):
    verdict = grade_answer(answer, GradeSpec(gold))
    assert verdict.correct, verdict


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("2\\sqrt{3}", "\\sqrt{13}"),
        ("6.2833", "2\\pi"),
        ("2\\pi<7", "2\\pi"),
        ("x=2\\pi, 3", "2\\pi"),
        ("f(x)=0", "0"),
        ("\\pi", "3.15"),
        ("[3, 4]", "(3,4]"),
        ("\\sqrt{2} or \\sqrt{3}", "\\sqrt{2}"),
    ],
)
def test_different(answer, gold):
    assert grade_answer(answer, GradeSpec(gold)).status == "wrong"


def test_option_text_is_compared_symbolically():
    options = ("8", "8 \\sqrt { 2 }", "8 \\sqrt { 3 }", "16")
    assert grade_answer("\\sqrt{128}", GradeSpec("B", options=options)).correct
    assert not grade_answer("\\sqrt{192}", GradeSpec("B", options=options)).correct


@pytest.mark.parametrize(
    "text", ["Hong Kong", "12", "50-64 years", "a \\quad b", "\\begin{a}", "1 2", "x;y", "2\\pm 3"]
)
def test_what_is_no_single_expression_is_not_sent(text):
    assert to_latex(text) is None


def test_a_list_of_hanging_answers_has_one_budget(monkeypatch):
    monkeypatch.setattr(budget, "ANSWER_SECONDS", 0.5)
    grade_answer("2\\pi+1", GradeSpec("2\\pi"))
    hanging = [f"9^{{9^{{9^{{{i}}}}}}}" for i in range(11, 16)]
    for answer, spec in [
        (", ".join(hanging), GradeSpec("\\pi, 2\\pi, 3\\pi, 4\\pi, 5\\pi", "list")),
        ("\\{" + ", ".join(hanging) + "\\}", GradeSpec("\\{\\pi, 2\\pi, 3\\pi, 4\\pi, 5\\pi\\}")),
        (f"[[{hanging[0]}, 1], [1, {hanging[1]}]]", GradeSpec("[[\\pi, 1], [1, \\pi]]")),
    ]:
        begin = time.perf_counter()
        verdict = grade_answer(answer, spec)
        assert (verdict.status, verdict.correct, verdict.reason) == ("timeout", False, "timeout")
        assert time.perf_counter() - begin < 2


def test_what_is_wrong_before_anything_hangs_is_wrong():
    assert grade_answer("3\\pi, 9^{9^{9^9}}", GradeSpec("2\\pi, 4\\pi", "list")).status == "wrong"


def test_a_pair_is_compared_once_and_a_timeout_is_not_kept(monkeypatch):
    asked = []
    reply = {"status": "equal", "value": None, "gold_value": None}

    def ask(request, _budget):
        asked.append(request)
        return reply if len(asked) > 1 else None

    monkeypatch.setattr(symbolic, "POOL", SimpleNamespace(ask=ask))
    pair = ("7\\pi", "\\frac{14\\pi}{2}")
    assert [symbolic.compare(*pair).status for _ in range(3)] == ["timeout", "equal", "equal"]
    assert len(asked) == 2
    symbolic._outcome.cache_clear()


ATOMS = st.sampled_from(
    ["x", "y", "2", "3.5", "-4", "\\pi", "a_1", "AB", "f(x)", "30^{\\circ}", "\\infty", "2x"]
)


def wider(inner):
    forms = (
        "{}+{}", "{}-{}", "{} {}", "\\frac{{{}}}{{{}}}", "{}^{{{}}}", "({},{}]", "({},1)\\cup[2,{})", "{}={}", "{},{}",
        "\\sqrt[3]{{{}}}\\cdot {}", "\\log_{{2}} {}/{}", "\\sin {}\\le {}", "|{}|!{}", "\\left({}\\right)\\div {}",
    )  # fmt: skip
    return st.builds(str.format, st.sampled_from(forms), inner, inner)


@given(st.recursive(ATOMS, wider, max_leaves=6))
@settings(max_examples=60, deadline=None)
def test_the_cheap_parser_reads_what_the_full_one_reads(text):
    def read():
        parser.parse_latex_cached.cache_clear()
        symbolic_worker._parsed.cache_clear()
        try:
            return [repr(found) for found in symbolic_worker._parsed(text)]
        except Exception as error:  # noqa: BLE001 - the parser raises bare Exception
            return type(error)

    with pytest.MonkeyPatch.context() as patch:
        full = read()
        for module, name in ((parser, "latex2sympy"), (latex2sympy2, "PSParser")):
            patch.setattr(module, name, getattr(module, name))  # put back afterwards
        symbolic_worker._parse_in_two_stages()
        assert read() == full
