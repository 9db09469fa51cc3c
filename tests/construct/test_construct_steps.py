"""The steps of bridging, each a prompt and a parser, and rows that a hostile reply drops."""

from __future__ import annotations

from dataclasses import replace

import pytest
from construct_fakes import FakeMllm, step_of, tiny_problems, trace
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.construct import caption, describe, pseudo_cot
from vision_r1.construct.bridge import Bridged, bridge, plain_captions
from vision_r1.construct.pseudo_cot import PseudoCot
from vision_r1.construct.reason import scripted
from vision_r1.construct.replies import Dropped, control_token
from vision_r1.models.chat import SPECIAL_MARKS
from vision_r1.teachers.config import ReasonerRates


@pytest.mark.parametrize(
    "text",
    [
        "Caption: A row.\nReasoning: It reads 1 2.",
        "**Caption:** A row.\n\n**Reasoning:** It reads 1 2.",
        "## Caption\nA row.\n## Reasoning\nIt reads 1 2.",
        "  caption : A row.\nREASONING: It reads 1 2.\n",
    ],
)
def test_two_headed_parts_are_read(text):
    parts = pseudo_cot.parse(trace(text))
    assert parts == PseudoCot("A row.", "It reads 1 2.")
    assert parts.text() == "Caption: A row.\nReasoning: It reads 1 2."


@pytest.mark.parametrize(
    ("text", "stop", "rule"),
    [
        ("A row of numbers.", "eos", "pseudo_cot_headings"),
        ("Caption: A row.", "eos", "pseudo_cot_headings"),
        ("Reasoning: It reads 1.\nCaption: A row.", "eos", "pseudo_cot_headings"),
        ("Caption: a\nReasoning: b\nReasoning: c", "eos", "pseudo_cot_headings"),
        ("Caption:\nReasoning: It reads 1.", "eos", "pseudo_cot_headings"),
        ("The caption: a. The reasoning: b.", "eos", "pseudo_cot_headings"),
        ("Caption: a\nReasoning: b", "length", "pseudo_cot_truncated"),
        ("Caption: a <|image_pad|>\nReasoning: b", "eos", "control_token"),
        ("Caption: a <image>\nReasoning: b", "eos", "control_token"),
    ],
)
def test_other_pseudo_cots_are_dropped_with_a_reason(text, stop, rule):
    dropped = pseudo_cot.parse(trace(text, stop))
    assert isinstance(dropped, Dropped)
    assert dropped.rule == rule
    assert dropped.reason


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_reply_breaks_the_parsers(text):
    for parse in (pseudo_cot.parse, describe.parse, caption.parse):
        assert parse(trace(text))


def test_a_description_loses_the_space_round_it_and_must_not_be_empty():
    assert describe.parse(trace("  \n The row reads 1 2. \n")) == "The row reads 1 2."
    assert describe.parse(trace(" \n ")).rule == "description_empty"
    assert describe.parse(trace("x", "length")).rule == "description_truncated"


def test_step_one_is_told_the_answer_and_step_two_the_pseudo_cot():
    problem = tiny_problems(1)[0]
    fake = FakeMllm()
    bridge([problem], [problem.answer], fake)
    first, second = fake.asked
    assert f"Answer: {problem.answer}\n" in first.question
    assert problem.question in second.question
    assert "Thinking process: Caption: " in second.question
    assert first.media == second.media == problem.media
    blind = FakeMllm()
    bridge([problem], [None], blind)
    assert "Answer:" not in blind.asked[0].question


@pytest.mark.parametrize("mark", [*SPECIAL_MARKS, "<image>"])
@pytest.mark.parametrize("step", ["pseudo_cot", "describe"])
def test_a_control_token_in_a_reply_drops_that_row_only(mark, step):
    problems = tiny_problems(4)
    bad = problems[2].id

    def hostile(at, problem_id, _):
        return f"Caption: a {mark}\nReasoning: b" if (at, problem_id) == (step, bad) else None

    fake = FakeMllm(change=hostile)
    rows = bridge(problems, [p.answer for p in problems], fake)
    assert [row.id for row in rows] == [p.id for p in problems]
    assert [row.dropped.rule if row.dropped else None for row in rows] == [None, None, "control_token", None]
    # The reply never came near another prompt.
    assert not any(control_token(request.question) for request in fake.asked)


def test_a_question_with_a_control_token_is_a_dropped_row():
    problems = tiny_problems(3)
    problems[1] = replace(problems[1], question="What <|im_end|> is the sum?")
    rows = bridge(problems, [None] * 3, FakeMllm())
    assert [row.dropped.rule if row.dropped else None for row in rows] == [None, "prompt_refused", None]
    assert "<|im_end|>" in rows[1].dropped.reason


def test_captions_are_asked_without_the_question():
    problems = tiny_problems(3)
    fake = FakeMllm()
    rows = plain_captions(problems, fake)
    assert {step_of(request.question) for request in fake.asked} == {"caption"}
    assert all(row.description == row.caption and row.dropped is None for row in rows)


def test_bridged_rows_survive_a_file():
    for row in (Bridged("a", "b", "c", "d"), Bridged("a", dropped=Dropped("x", "y"))):
        assert Bridged.from_plain(row.plain()) == row


def test_the_reasoner_depends_on_seed_and_problem_alone():
    problems = tiny_problems(2)
    rates = ReasonerRates()
    one, again, other = (scripted(rates, seed) for seed in (1, 1, 2))
    words = "The image shows a row. From left to right, the numbers are 1 2 3 4."
    first = [one(problem, words, None) for problem in problems]
    assert [again(problem, words, None) for problem in reversed(problems)] == first[::-1]
    many = tiny_problems(40)
    assert [one(p, words, None) for p in many] != [other(p, words, None) for p in many]


def test_a_problem_meets_the_same_fault_whatever_the_description():
    rates = ReasonerRates(wrong=0.25, contradiction=0.25, loop=0.25, broken_form=0.2)
    ask = scripted(rates, 3)
    for problem in (p for p in tiny_problems(90) if p.meta["family"] == "sum"):
        faults = {
            ask(problem, f"From left to right, the numbers are {numbers}.", None).fault
            for numbers in ("1 2 3 4", "5 6 7 8")
        }
        assert len(faults) == 1
