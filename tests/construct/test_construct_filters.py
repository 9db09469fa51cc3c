"""Each filter rule on what it is for, and on near misses that it must leave alone."""

from __future__ import annotations

import random
import time
from fractions import Fraction

import pytest
from construct_fakes import tiny_problems
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.construct.arithmetic import evaluate, sums, uncorrected
from vision_r1.construct.config import FilterLimits
from vision_r1.construct.filters import RULES, Candidate
from vision_r1.construct.judge import judge
from vision_r1.grading import GradeSpec
from vision_r1.teachers.language import description, facts_of
from vision_r1.teachers.reasoner import ReasonerRates, reason, wrap

LIMITS = FilterLimits()


def fired(text, gold="12", tokens=50, limits=LIMITS, **spec):
    return [
        each.rule for each in judge(Candidate.tagged(text, GradeSpec(gold, **spec), tokens), limits).dropped
    ]


def thought(text, answer="12"):
    return fired(wrap(text, answer))


GOOD = "The numbers are 5 7. 5+7=12. So the answer is 12."


def test_a_good_row_passes_every_rule():
    assert thought(GOOD) == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("truncated", "<think> The numbers are 5 7. 5+7="),
        ("control_token", wrap("The numbers <|im_end|> are 5 7. So the answer is 12.", "12")),
        ("broken_form", "<think> 5+7=12. </think> Final Answer:12"),
        ("broken_form", wrap(GOOD, "12") + " Hmm, wait."),
        ("wrong_answer", wrap("The numbers are 5 8.", "13")),
        ("contradiction", wrap("5+7=12. So the answer is 11.", "12")),
        ("contradiction", wrap("5+7=12. So the answer is 12 or 11.", "12")),
        ("arithmetic", wrap("5+7=13. So the answer is 12.", "12")),
        ("arithmetic", wrap("First 5 + 7 = 13, then 13 - 1 = 12.", "12")),
        ("arithmetic", wrap("5+7=13. Wait, let me check the numbers again: 5 7. Yes, that is right.", "12")),
        ("arithmetic", wrap("5+7=13, no mistake there. So the answer is 12.", "12")),
        ("repetition", wrap("Wait, let me check the numbers again: 5 7 0 0. Hmm. " * 8 + GOOD, "12")),
        ("repetition", wrap("wait " * 40 + GOOD, "12")),
        (
            "missing_information",
            wrap("The description does not mention the numbers. So the answer is 12.", "12"),
        ),
        ("missing_information", wrap("The values are not provided, so 12.", "12")),
        ("missing_information", wrap("I have to guess. So the answer is 12.", "12")),
        ("missing_information", wrap("The data aren't given? They aren’t specified.", "12")),
        ("missing_information", wrap("There is not enough information.", "12")),
    ],
)
def test_a_rule_fires_on_what_it_is_for(rule, text):
    assert fired(text)[0] == rule


@pytest.mark.parametrize(
    "text",
    [
        # Slips that are taken back, in words or by the sum itself.
        "5+7=13, wait, that is a mistake, 5+7=12. So the answer is 12.",
        "5+7=13. No, that's not right: 12.",
        "5+7=13. Let me add once more. 5+7=12.",
        # Sums that are right to the decimals given, or not plain sums.
        "10/4 = 2.5 and 10/3 = 3.33, 2*(3+4)=14, 3+4=7+5=12, x + 3 + 4 = 12, 2 x 6 = 12.",
        "1,200 + 34 = 1,234 and 3-5=-2 and 2+3*4=14 and 7/2=3 remainder 1.",
        "The ratio 3:4 is not 5/2; 50% of 24 = 12. 2^3+4=12.",
        # Other answers on the way.
        "Is the answer 11? No, 5+7=12. So the answer is 12.",
        # Re-checks that end.
        "Wait, let me check the numbers again: 5 7 0 0. Yes, that is right. " * 4 + GOOD,
        # Nothing is missing.
        "No information is missing here. My first guess was 11. The image does show 5 and 7.",
        "It is not 11. The given numbers are 5 7.",
    ],
)
def test_near_misses_pass(text):
    assert thought(text) == []


def test_length_counts_tokens():
    assert fired(wrap(GOOD, "12"), tokens=513) == ["too_long"]
    assert fired(wrap(GOOD, "12"), tokens=512) == []


def test_the_first_rule_that_fires_is_the_reason_and_all_are_listed():
    text = wrap("The description does not mention it. 5+7=13. So the answer is 14.", "13")
    assert fired(text) == ["wrong_answer", "contradiction", "arithmetic", "missing_information"]
    order = list(RULES)
    assert [order.index(rule) for rule in fired(text)] == sorted(order.index(rule) for rule in fired(text))


def test_a_reply_cut_at_its_cap_is_truncated_even_if_it_looks_whole():
    row = Candidate.tagged(wrap(GOOD, "12"), GradeSpec("12"), 50, stopped=False)
    assert judge(row, LIMITS).reason == "truncated"


def test_contradictions_are_found_among_choices():
    options = ("10 cm", "12 cm")
    assert fired(wrap("So the answer is B.", "B"), "B", options=options) == []
    assert fired(wrap("So the answer is A.", "B"), "B", options=options) == ["contradiction"]


def test_the_rules_against_the_reasoner_s_known_faults():
    """Without a look at the fault labels: none of the sound traces is lost, and no faulty one kept."""
    rates = ReasonerRates(wrong=0.15, contradiction=0.15, loop=0.15, broken_form=0.15)
    counts = {}
    for index, problem in enumerate(tiny_problems(450)):
        words = description(facts_of(problem.meta["scene"]))
        reply = reason(words, problem.question, rates, random.Random(index))
        kept = judge(Candidate.tagged(reply.text, GradeSpec.of(problem), 50), LIMITS).kept
        counts.setdefault(reply.fault, []).append(kept)
    assert set(counts) == {"none", "wrong", "contradiction", "loop", "broken_form"}
    sound = counts.pop("none")
    assert sum(sound) >= 0.99 * len(sound)
    assert not any(kept for rows in counts.values() for kept in rows)


@settings(deadline=None)
@given(
    st.recursive(
        st.integers(0, 99).map(str),
        lambda s: st.tuples(s, st.sampled_from("+-*"), s).map("".join),
        max_leaves=6,
    )
)
def test_sums_are_worked_out_as_python_does(expression):
    if not any(sign in expression for sign in "+-*"):
        return
    value = eval(expression)  # written by the test itself
    assert evaluate(expression) == Fraction(value)
    right, wrong = f"So {expression}={value}.", f"So {expression}={value + 1}."
    assert [each.right for each in sums(right)] == [True]
    assert uncorrected(right) is None
    assert uncorrected(wrong) is not None
    assert uncorrected(f"{wrong[:-1]}, wait, that is a mistake, {right[3:]}") is None


@settings(deadline=None)
@given(st.text(max_size=300))
def test_rules_take_any_text(text):
    judge(Candidate.tagged(text, GradeSpec("12"), 100), LIMITS)


@pytest.mark.parametrize(
    "piece", ["1+", "1", "1=", "<think>", "no ", "is not ", "the answer is ", "1,000", "wait "]
)
def test_hostile_length_costs_little(piece):
    text = wrap(piece * (60_000 // len(piece)), "12")
    started = time.monotonic()
    judge(Candidate.tagged(text, GradeSpec("12"), 6000), LIMITS)
    assert time.monotonic() - started < 5
