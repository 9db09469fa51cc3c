"""The final answer in free-form output."""

import pytest

from vision_r1.grading import GradeSpec, extract, grade_response
from vision_r1.grading.extract import boxed


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>a</think><answer> Final Answer:B </answer>", "B"),
        ("<think>the answer is 9</think><answer>12</answer>", "12"),
        ("<ANSWER>12</ANSWER><|im_end|>", "12"),
        ("<answer>12</answer> and so on", "12"),
        ("<answer>12</answer> ... <answer>12.</answer>", "12."),
        ("<think>x<answer>12</answer></think>", "12"),
        ("<think><answer>11</answer> no, wait</think> 12", "12"),
        ("<answer>no end <answer>12</answer>", "12"),
        ("Some steps.\n**Final Answer:** 12", "12"),
        ("Some steps.\n**Final Answer:**\n\n12", "12"),
        ("Final Answer: \\boxed{12}", "12"),
        ("So we get \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("First \\boxed{11}. Wait.\nNow \\boxed{12}", "12"),
        ("I see two. The answer is 12. That is all of it, I am sure.", "12"),
        ("The answer is 11. No, wait: the answer is 12.", "12"),
        ("The answer is 2:10 P.M.", "2:10 P.M."),
        ("The answer is 3.14", "3.14"),
        ("12", "12"),
        ("Answer: C", "C"),
        ("<|im_start|>12<|im_end|>", "12"),
        ("**Answer:** 12", "12"),
        ("### Final Answer\n12", "12"),
        ("**Answer: B**", "B"),
        ("The correct option is (B) 12 cm", "(B) 12 cm"),
        ("I choose B.", "B"),
        ("The answer is B. 12 cm", "B. 12 cm"),
        ("The answer is B. This is because A is too small.", "B"),
        ("The answer is 2:10 P.M.\n\nThat is all.", "2:10 P.M."),
        ("答案：12", "12"),
        ("故选：B。", "B"),
        ('{"solution": "5 + 7", "short answer": "12"}', "12"),
        ("B\n\nA is too small.", "B"),
        ("**Belize**\n\nIts bar is the longest.", "Belize"),
        ("**Overview**\n\nThere are two bars.\n\nSo the sum is 12.", "So the sum is 12."),
        ("5 are red. 7 are blue. So there are 12.", "So there are 12."),
        ("We add them up.\n\n$$x = 12$$", "x = 12"),
        ("It is 12. I hope this helps!", "It is 12."),
        ("word " * 100 + "\n\nThe sum is 12.", "The sum is 12."),
    ],
)
def test_finds(response, answer):
    assert extract(response).answer == answer


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("", "no_answer"),
        ("   ", "no_answer"),
        ("<answer></answer>", "no_answer"),
        ("word " * 100, "no_answer"),
        ("word " * 100 + "and so we get 12 +", "no_answer"),
        ("word " * 100 + "\nA. 10\nB. 12", "no_answer"),
        ("<think>cut off: the answer is 12, or", "no_answer"),
        ("<answer>12</answer><answer>13</answer>", "several_answers"),
        ("\\boxed{12} or \\boxed{13}", "several_answers"),
        ("Final Answer: 12 Final Answer: 13", "several_answers"),
    ],
)
def test_finds_none_and_says_why(response, reason):
    assert extract(response).answer is None
    assert extract(response).reason == reason
    verdict = grade_response(response, GradeSpec("12"))
    assert verdict.reason == reason
    assert verdict.status == ("wrong" if reason == "several_answers" else "unparseable")


@pytest.mark.parametrize(
    "response", ["12 or 13", "The answer is 12. Or maybe 13.", "The answer is 12 or 13."]
)
def test_hedges_in_free_text_are_wrong(response):
    verdict = grade_response(response, GradeSpec("12"))
    assert (verdict.status, verdict.reason) == ("wrong", "several_answers")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\\boxed{a}\\boxed{b{c}}", ["a", "b{c}"]),
        ("\\boxed{\\boxed{a}}", ["\\boxed{a}"]),
        ("\\boxed{a", []),
        ("} \\boxed{a}", ["a"]),
        ("\\boxed{\\{1\\}}", ["\\{1\\}"]),
        ("\\boxed {a} \\fbox{b}", ["a", "b"]),
    ],
)
def test_boxes_are_balanced(text, found):
    assert boxed(text) == found


def test_a_formatted_and_a_bare_answer_get_the_same_verdict():
    for text in ("12", "<think>x</think><answer>12</answer>", "The answer is 12.", "\\boxed{12}"):
        assert grade_response(text, GradeSpec("12")).correct
        assert not grade_response(text, GradeSpec("13")).correct


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<REASONING> It is 80. </REASONING> <CONCLUSION> B </CONCLUSION>", "B"),
        ("<CONCLUSION> The answer is B. </CONCLUSION>", "B"),
        ("◁think▷The answer is A.◁/think▷The answer is B.", "B"),
        ("It is <|begin_of_box|>16<|end_of_box|> or so.", "16"),
    ],
)
def test_the_tags_of_other_models_are_read(response, answer):
    assert extract(response).answer == answer


def test_a_conclusion_that_is_taken_back_is_no_answer():
    assert extract("<CONCLUSION> B </CONCLUSION> Wait, it is C.").answer != "B"
