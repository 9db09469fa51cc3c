"""The controls on served models: what each arm is told, and that an answer which leaks shows where it was told."""

import re
from collections import defaultdict

import pytest

from faulty_server import Answer, FaultyServer, prompt_of, reply
from served_teachers import EYES, MIND, counted, said_by, script, settings, write_problems
from vision_r1.construct.build import Scope, construct
from vision_r1.construct.config import Construction
from vision_r1.core.config import validate
from vision_r1.core.progress import Silent

N = 12
_QUESTION = re.compile(r"What is \d+ plus \d+ in the image\?")
_TOLD = re.compile(r"^Answer: (.*)$", re.MULTILINE)
_LEAKED = re.compile(r"leaked (\d+)")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_problems(tmp_path_factory.mktemp("problems"), 30)


def build(url, table, out, **changes):
    config = validate(Construction, settings(url, table, controls_n=N, **changes))
    return construct(config, out, Scope(), Silent())


def leaking(body, before):
    """An MLLM that writes what it is told into its reasoning and description; a reasoner that believes it."""
    prompt = prompt_of(body)
    leaked = _LEAKED.search(prompt)
    if body["model"] == MIND and leaked:
        return Answer(reply(f"Final Answer: {leaked[1]}", reasoning_content="I read it off the image."))
    if body["model"] == EYES and "under its heading" in prompt:
        told = _TOLD.search(prompt)
        secret = f"leaked {told[1]}" if told else "nothing"
        return Answer(counted(body, reply(f"Caption: two numbers\nReasoning: {secret}.")))
    if body["model"] == EYES and leaked:
        return Answer(counted(body, reply(f"The image shows numbers, leaked {leaked[1]}.")))
    return Answer(said_by(body))


def told_by_question(server):
    """For each question, what the first step was told with it: None for nothing."""
    told = defaultdict(list)
    for body in server.bodies:
        prompt = prompt_of(body)
        if body["model"] == EYES and "under its heading" in prompt:
            found = _TOLD.search(prompt)
            told[_QUESTION.search(prompt)[0]].append(found[1] if found else None)
    return told


def sum_of(question):
    return str(sum(map(int, re.findall(r"\d+", question))))


def test_an_answer_that_leaks_comes_back_where_it_was_told_and_nowhere_else(table, tmp_path):
    with FaultyServer(leaking) as server:
        summary = build(server.url, table, tmp_path)
        told = {question: set(each) for question, each in told_by_question(server).items()}
    arms = summary["controls"]["leak_test"]["arms"]
    assert arms["wrong"]["returns_wrong"]["count"] == N
    assert arms["none"]["returns_wrong"]["count"] == arms["right"]["returns_wrong"]["count"] == 0
    assert arms["wrong"]["returns_true"]["count"] == 0 and arms["right"]["returns_true"]["count"] == N
    # What was told, from the server's own bodies: all arms of the tested problems, the answer alone of others.
    tested = {question: each for question, each in told.items() if len(each) > 1}
    assert len(tested) == N and len(told) == 30
    for question, each in told.items():
        right = sum_of(question)
        wrong = each - {None, right}
        assert right in each and len(wrong) == (question in tested) and (None in each) == (question in tested)


def test_an_mllm_that_does_not_leak_returns_no_wrong_answer(table, tmp_path):
    with FaultyServer(script()) as server:
        summary = build(server.url, table, tmp_path)
    arms = summary["controls"]["leak_test"]["arms"]
    assert arms["wrong"]["returns_wrong"]["share"] <= 0.25
    assert arms["none"]["returns_true"]["share"] > 0.6
    assert summary["controls"]["caption_control"]["description"]["n"] == N


def test_a_switch_keeps_the_answer_from_the_rows_but_not_from_the_arms(table, tmp_path):
    with FaultyServer(leaking) as server:
        summary = build(server.url, table, tmp_path, answer_to_mllm=False)
        told = told_by_question(server)
    assert summary["controls"]["leak_test"]["arms"]["wrong"]["returns_wrong"]["count"] == N
    assert sum(len(set(each)) == 3 for each in told.values()) == N
    assert sum(set(each) == {None} for each in told.values()) == 30 - N
