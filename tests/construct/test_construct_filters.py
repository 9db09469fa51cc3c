"""Each filter rule on what it is for, and on near misses that it must leave alone."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from fractions import Fraction

import pytest
from construct_fakes import misread_facts, tiny_problems
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.construct import arithmetic
from vision_r1.construct.arithmetic import evaluate, sums, uncorrected
from vision_r1.construct.config import FilterLimits
from vision_r1.construct.filters import RULES, Candidate
from vision_r1.construct.judge import judge, judge_rows
from vision_r1.construct.known import KnownImage, contradiction_of_image
from vision_r1.grading import GradeSpec, grade_response, split_parts
from vision_r1.problems.problem import Problem
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


def real(thought, reply, gold="12", tokens=50, **spec):
    """A reply of a real reasoner: thought and answer apart, the answer in its own words."""
    known = {name: spec.pop(name) for name in ("hidden", "stopped", "facts", "question") if name in spec}
    return judge(Candidate(thought, reply, GradeSpec(gold, **spec), tokens, **known), LIMITS)


@pytest.mark.parametrize(
    ("reply", "spec"),
    [
        ("The sum is \\boxed{12}.", {}),
        ("**Final Answer:** 12", {}),
        ("Adding both gives 12.\n\nThe answer is 12.", {}),
        ("<answer>12</answer>", {}),
        ("The answer is B.", {"gold": "B", "options": ("10 cm", "12 cm")}),
        ("**B. 12 cm**", {"gold": "B", "options": ("10 cm", "12 cm")}),
        ("So it is $\\boxed{\\frac{1}{2}}$.", {"gold": "0.5"}),
    ],
)
def test_a_reply_of_any_form_is_kept_in_the_layout_of_the_set(reply, spec):
    judged = real(GOOD.removesuffix(" So the answer is 12."), reply, **spec)
    assert judged.kept, judged.dropped
    parts = split_parts(judged.final_text)
    assert parts.answer.startswith(" Final Answer:") and parts.answer.endswith(" ")
    assert grade_response(judged.final_text, GradeSpec(**{"gold": "12", **spec})).correct
    assert judged.verdict.correct


@pytest.mark.parametrize(
    ("rule", "thought", "reply", "given"),
    [
        ("truncated", GOOD, "", {"stopped": False}),
        ("hidden_thought", "", "12", {"hidden": "encrypted"}),
        ("hidden_thought", "In short, 12.", "The answer is 12.", {"hidden": "summary"}),
        ("no_thought", " \n", "The answer is 12.", {}),
        ("refusal", GOOD, "I'm sorry, but I can't assist with that.", {}),
        ("refusal", "As an AI language model I do not see. 5+7=12.", "The answer is 12.", {}),
        ("broken_form", GOOD, "", {}),
        ("broken_form", GOOD, "\\boxed{12} or \\boxed{13}", {}),
        ("broken_form", "So <answer> 12.", "The answer is 12.", {}),
        ("control_token", "The <|im_end|> is 12.", "12", {}),
        ("wrong_answer", GOOD, "\\boxed{13}", {}),
        ("contradiction", "5+6 is it. So the answer is 11.", "The answer is 12.", {}),
        ("language_mix", "The numbers are 5 和 7, 所以 5+7=12.", "12", {}),
        (
            "language_mix",
            "Числа пять и семь, их сумма равна двенадцати.",
            "12",
            {"question": "What is the sum?"},
        ),
        ("language_mix", "我们先 check the numbers 然后 compute the sum again and again 得到 12.", "12", {}),
        ("repetition", "Wait, no. " * 30 + "It is 12.", "12", {}),
        ("repetition", "".join(f"Step {n}: I look at it again. " for n in range(80)), "12", {}),
        ("repetition", "看" * 900, "12", {}),
        ("repetition", "0." * 600, "12", {}),
        ("missing_information", "I don't have access to the image. 5+7=12.", "12", {}),
    ],
)
def test_rules_for_real_reasoners(rule, thought, reply, given):
    judged = real(thought, reply, **given)
    assert judged.reason == rule, judged.dropped
    assert judged.final_text == ""


@pytest.mark.parametrize(
    ("thought", "given"),
    [
        # Other scripts in quotes, in the question, as the whole of the thought; Greek letters; a single letter.
        ("The sign reads “出口”, and 5+7=12.", {}),
        ("The sign reads 出口, and 5+7=12.", {"question": "What do 出口 and the numbers give?"}),
        ("图中的数字是5和7，所以 AB = 5 cm, sin A = 1, 5+7=12。", {"question": "图中数字之和是多少？"}),
        ("The angle α is 5° and β is 7°, so α + β = 12°. The naïve Ж is one letter.", {}),
        # Not a refusal, not a loop, not another answer.
        ("I can't help but notice that 5+7=12. I'm sorry, I meant 12.", {}),
        ("Row one: 5. Row two: 7. " + "Let me check. " * 8 + "5+7=12.", {}),
        ("The answer is the sum of the two numbers. 5+7=12.", {}),
        ("So the answer is what I get from 5+7=12, and that fits.", {}),
        ("The answer should be even. 5+7=12.", {}),
    ],
)
def test_near_misses_of_real_reasoners_pass(thought, given):
    judged = real(thought, "The answer is 12.", **given)
    assert judged.kept, judged.dropped


TABLE = Problem(
    "t", "?", "12", meta={"table": "Day | Visitors\nMonday | 1,205\nTuesday | 40\nTuesday | 41\n2014 | 8"}
)


@pytest.mark.parametrize(
    ("thought", "fires"),
    [
        ("Monday has 1,250 visitors.", True),
        ("Monday: 125, the other day is higher.", True),
        ("Monday has 1205 visitors. Monday is 125 later on.", False),
        ("Monday has 1,250, no, wait, Monday: 1,205.", False),
        ("Monday has 3 more than the other. Monday is 50% of it, monday is 2nd, Monday is 12 + 5.", False),
        ("Tuesday is 39. In 2014 is 9.", False),  # a label that stands twice, a label that is a number
        ("Blue Monday is 7 minutes long, MondayX is 5.", True),
    ],
)
def test_values_that_the_image_shows_otherwise(thought, fires):
    facts = KnownImage.of(TABLE)
    assert (contradiction_of_image(thought, facts) is not None) == fires
    assert (real(f"{thought} 5+7=12.", "12", facts=facts).reason == "image_contradicted") == fires


def test_a_misread_scene_is_seen_in_the_thought_and_a_sound_one_is_not():
    rng, fired_on = random.Random(4), {True: 0, False: 0}
    rates = ReasonerRates(wrong=0, contradiction=0, loop=0, broken_form=0)
    problems = tiny_problems(120)
    for index, problem in enumerate(problems):
        facts = facts_of(problem.meta["scene"])
        seen = misread_facts(facts, rng) if index % 2 else facts
        reply = reason(description(seen), problem.question, rates, random.Random(index))
        candidate = Candidate.tagged(reply.text, GradeSpec.of(problem), 50)
        found = judge(replace(candidate, facts=KnownImage.of(problem)), LIMITS).dropped
        fired_on[seen != facts] += any(each.rule == "image_contradicted" for each in found)
    assert fired_on[False] == 0
    assert fired_on[True] >= 0.9 * sum(index % 2 for index in range(120)) * 0.9


def test_many_rows_are_judged_in_processes_as_one_by_one():
    rng = random.Random(9)
    rows = []
    for index in range(300):
        n = rng.randrange(2, 50)
        reply = rng.choice(
            [f"\\boxed{{{n}}}", f"The answer is {n + index % 2}.", rf"\boxed{{\frac{{{2 * n}}}{{2}}}}"]
        )
        rows.append(
            Candidate(f"The description says the bar is {n}. 1+1={index % 3}.", reply, GradeSpec(str(n)), 40)
        )
    assert list(judge_rows(iter(rows), LIMITS, workers=2)) == [judge(row, LIMITS) for row in rows]
    assert list(judge_rows([], LIMITS)) == []


def test_rows_are_read_as_their_judgements_are_taken():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield Candidate(GOOD, "12", GradeSpec("12"), 10)

    judged = judge_rows(endless(), LIMITS, workers=2)
    assert all(next(judged).kept for _ in range(10))
    judged.close()
    assert taken <= 3000


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


PIECES = [
    "1",
    "12",
    "3.5",
    "1,200",
    "+",
    "-",
    "*",
    "/",
    "=",
    " ",
    ". ",
    ", ",
    "x",
    " x ",
    "a",
    "(",
    "%",
    "10",
    "·",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_the_fast_search_finds_the_sums_that_a_plain_one_finds(text):
    assert [m.span() for m in arithmetic._matches(text)] == [m.span() for m in arithmetic._SUM.finditer(text)]


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
