"""What is said after an answer: taken back, put right, or let stand."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.grading import GradeSpec, extract, grade_response

OPTIONS = ("red", "green", "blue", "gold")
NUMBERS = st.integers(2, 999)
STATEMENTS = ("The answer is {}.", "So \\boxed{{{}}}.", "Final Answer: {}", "Answer: {}", "**Answer:** {}\n")
CORRECTIONS = (
    "No wait, {}.",
    "No, {}.",
    "No. {}.",
    "Wait, {}.",
    "Actually {}.",
    "Correction: {}.",
    "Hmm, actually it is {}.",
    "Oh sorry, it's {}.",
    "I mean {}.",
    "It should be {}.",
    "That's incorrect; {} is right.",
    "This is wrong. The correct answer should be {}.",
    "But wait, {} instead.",
)
DENIALS = (
    "This is wrong.",
    "That's not correct.",
    "However, this is incorrect.",
    "It isn't right.",
    "No.",
    "I was wrong.",
    "My count was mistaken.",
    "But Tom is wrong.",
)


@given(NUMBERS, NUMBERS, st.sampled_from(STATEMENTS), st.sampled_from(CORRECTIONS))
def test_the_value_that_is_put_in_its_place_is_the_answer(first, second, statement, correction):
    response = f"{statement.format(first)}\n{correction.format(second)}"
    assert grade_response(response, GradeSpec(str(second))).correct
    assert grade_response(response, GradeSpec(str(first))).correct == (first == second)


@given(NUMBERS, st.sampled_from(STATEMENTS), st.sampled_from(DENIALS))
def test_an_answer_that_is_denied_is_none(number, statement, denial):
    response = f"{statement.format(number)}\n{denial}"
    assert extract(response).reason == "no_answer"
    assert not grade_response(response, GradeSpec(str(number))).correct


@pytest.mark.parametrize(
    "response",
    [
        "The answer is 12, which is incorrect.",
        "The answer is 12 (rejected).",
        "\\boxed{12} is wrong.",
        "$\\boxed{12}$ (rejected)",
        "The answer is not \\boxed{12}.",
        "The answer is 12.\n\n(That is wrong.)",
        "The answer is 12. Wrong!",
        "The answer is 12. I take that back.",
        "The answer is 12 according to Tom, but Tom is wrong.",
    ],
)
def test_a_denial_in_the_same_sentence_counts(response):
    assert extract(response).reason == "no_answer"


@pytest.mark.parametrize(
    "response",
    [
        "The answer is 12.\n\nHowever, it could also be 13.",
        "\\boxed{12}. Oops, $\\frac{1}{2}$.",
        "\\boxed{12} or maybe 13",
        "The answer is 12. Wait, I get 13. Hmm, 14.",
    ],
)
def test_a_second_answer_that_is_not_plain_makes_several(response):
    assert extract(response).reason == "several_answers"


@pytest.mark.parametrize(
    ("gold", "response", "options"),
    [
        ("Poland", "The answer is Slovenia. No, Poland.", ()),
        ("blue", "The answer is red. Sorry, blue.", ()),
        ("C", "Answer: B\nI mean C.", ()),
        ("C", "Answer: B\nI mean C.", OPTIONS),
        ("13", "12\n\nNo, 13.", ()),
        ("13", "<answer>12</answer> No, 13.", ()),
    ],
)
def test_names_and_letters_are_put_right_too(gold, response, options):
    assert grade_response(response, GradeSpec(gold, options=options)).correct


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("12", "The answer is 12. No other number fits."),
        ("12", "The answer is 12. Sorry for the long text."),
        ("12", "The answer is 12. It should be noted that there are 3 rows."),
        ("12", "The answer is 12. However, the picture has more than 3 rows."),
        ("12", "The answer is 12.\nNo. of rows: 3"),
        ("12", "The answer is 12. But the option with 13 is wrong."),
        ("12", "The answer is 11. No, the answer is 12."),
        ("12", "Is it 11? No, wait. I mean 10. Hmm. This is wrong. The answer is 12."),
        ("12", "\\boxed{11} is wrong.\nNow \\boxed{12}."),
        ("No", "Answer: No\n\nNo, 5 is not 7."),
        ("incorrect", "The answer is incorrect."),
        ("B", "The answer is B. This is incorrect because a circle has 0 corners."),
    ],
)
def test_an_answer_that_nothing_takes_back_stands(gold, response):
    assert grade_response(response, GradeSpec(gold)).correct


def test_another_option_may_be_called_wrong():
    assert extract("The answer is B, but A is wrong.").reason == "found"


@pytest.mark.parametrize(
    "response",
    [
        "#### 12",
        "5 + 7 = <<5+7=12>>12.\n#### 12",
        "12</s>",
        "The answer is 12.</s>\n<eos>",
        "12<|endoftext|>",
    ],
)
def test_end_tokens_and_the_mark_of_gsm8k_are_read(response):
    assert grade_response(response, GradeSpec("12")).correct


def test_abbreviations_end_no_sentence():
    response = "Hence the answer is option B, i.e. green."
    assert grade_response(response, GradeSpec("B", options=OPTIONS)).correct
    assert not grade_response(response, GradeSpec("A", options=OPTIONS)).correct
    response = "Hence the answer is option C, i.e. green."
    assert not grade_response(response, GradeSpec("C", options=OPTIONS)).correct
    assert not grade_response("The answer is 12, i.e. 13.", GradeSpec("12")).correct
    assert extract("The answer is apples, pears etc. in a row.").answer == "apples, pears etc. in a row"


@pytest.mark.parametrize(
    "unit", ["no, ", "wait ", "but ", "so ", "this is ", "No. ", "</s>", "12 (", "\n", " ", "#### ", "it "]
)
def test_long_tails_take_linear_time(unit):
    begin = time.process_time()
    extract("The answer is 12. " + unit * (400_000 // len(unit)))
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "response", [r"Mali or \boxed{Chad}", r"It is 10 or $\boxed{Chad}$", r"\boxed{Mali} or \boxed{Chad}"]
)
def test_a_box_behind_or_is_one_of_several_answers(response):
    verdict = grade_response(response, GradeSpec("Chad"))
    assert (verdict.correct, verdict.reason) == (False, "several_answers")
    assert grade_response(r"Mali or Chad? It is \boxed{Chad}.", GradeSpec("Chad")).correct
