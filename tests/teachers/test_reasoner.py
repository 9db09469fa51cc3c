import random
import re
from collections import Counter

import pytest

from vision_r1.teachers.language import Facts, description
from vision_r1.teachers.prompts import shipped_prompts
from vision_r1.teachers.reasoner import ReasonerRates, reason

WORDS = description(Facts("row", ((3, 5, 2, 8),)))
QUESTION = "What is the sum of the numbers?"
NO_FAULTS = {"wrong": 0.0, "contradiction": 0.0, "loop": 0.0, "broken_form": 0.0}
WHOLE = re.compile(r"<think> [^<]+ </think><answer> Final Answer:(\d+) </answer>")


def replies(n, words=WORDS, question=QUESTION, answer=None, **rates):
    settings = ReasonerRates(**{**NO_FAULTS, **rates})
    return [reason(words, question, settings, random.Random(i), answer) for i in range(n)]


def test_without_faults_every_trace_is_right_and_whole():
    for reply in replies(300):
        assert WHOLE.fullmatch(reply.text)[1] == "18"
        assert reply.fault == "none"
        assert reply.text.count("So the answer is 18.") == 1


def test_faults_come_at_their_rates_and_are_what_they_say():
    rates = {"wrong": 0.2, "contradiction": 0.2, "loop": 0.2, "broken_form": 0.2}
    made = replies(2000, **rates)
    counts = Counter(reply.fault for reply in made)
    for fault in (*rates, "none"):
        assert 0.15 < counts[fault] / 2000 < 0.25
    for reply in made:
        match = WHOLE.fullmatch(reply.text)
        if reply.fault == "wrong":
            assert match[1] != "18"
        elif reply.fault == "contradiction":
            assert match[1] == "18"
            assert "So the answer is 18." not in reply.text
        elif reply.fault == "loop":
            assert reply.text.count("Wait, let me check the numbers again") >= 7
        elif reply.fault == "broken_form":
            assert match is None


def test_a_wrong_sum_is_kept_wrong_to_the_end():
    words = description(Facts("shapes", ((3, 5, 2),), (), ("circle", "square", "square")))
    for reply in replies(100, words, "What is the sum of the numbers in circles?", wrong=1.0, slip=0.0):
        said = WHOLE.fullmatch(reply.text)[1]
        assert said != "3"
        assert f"yes 0+3={said}, 5 square circle? no {said}, 2 square circle? no {said}." in reply.text


def test_a_wrong_answer_without_a_sum_is_written_too():
    words = description(Facts("shapes", ((3, 5),), (), ("square", "square")))
    for reply in replies(50, words, "What is the sum of the numbers in circles?", wrong=1.0):
        said = re.search(r"Final Answer:(-?\d+) ", reply.text)[1]
        assert said != "0"
        assert f"3 square circle? no 0, 5 square circle? no {said}." in reply.text


@pytest.mark.parametrize("one_in", [1, 2, 8])
def test_doubts_open_with_hmm_as_often_as_set(one_in):
    text = " ".join(reply.text for reply in replies(1500, hmm_one_in=one_in))
    waits, hmms = text.count("Wait, let me check"), text.count("Hmm, let me look")
    assert 0.8 < (waits + hmms) / hmms / one_in < 1.25


def test_it_reads_the_description_and_nothing_else():
    misread = description(Facts("row", ((3, 5, 2, 9),)))
    assert all("Final Answer:19 " in r.text for r in replies(20, words=misread))
    blind = replies(50, words="The image shows a row of 4 handwritten numbers.")
    assert {r.fault for r in blind} == {"no_facts"}
    assert all("does not mention" in r.text for r in blind)


def test_a_told_answer_is_returned_whatever_the_sums_say():
    assert all("Final Answer:7 " in r.text for r in replies(20, answer="7"))
    assert not any("Final Answer:7 " in r.text for r in replies(20))


@pytest.mark.parametrize(("rates", "word"), [({"recheck": 0.0}, "Wait"), ({"talk": 0.0}, "description")])
def test_rates_of_zero_mean_never(rates, word):
    assert not any(word in r.text for r in replies(200, slip=0.0, **rates) if r.fault != "no_facts")
    assert any(word in r.text for r in replies(200))


def test_prompts_do_not_interpret_what_they_are_filled_with():
    text = shipped_prompts("tiny").describe("{thinking_process} {x}", "{question} {0} {answer.__class__}")
    assert "{thinking_process} {x}" in text
    assert "{question} {0} {answer.__class__}" in text


def test_the_answer_is_in_the_first_prompt_only_where_the_switch_says_so():
    assert "Answer: 18" in shipped_prompts("tiny").pseudo_cot(QUESTION, "18")
    assert "Answer:" not in shipped_prompts("tiny").pseudo_cot(QUESTION, None)
    assert "Answer: 18" in shipped_prompts("tiny").reason(WORDS, QUESTION, "18")
    assert "Answer:" not in shipped_prompts("tiny").reason(WORDS, QUESTION, None)
