"""The reward in training, the filter in data construction and the score in evaluation are one function."""

from __future__ import annotations

import sys

import pytest

from vision_r1.construct import filters
from vision_r1.construct.config import FilterLimits
from vision_r1.core.progress import Silent
from vision_r1.evals import runner, scoring
from vision_r1.evals.benchmarks import BENCHMARKS, Item
from vision_r1.grading import GradeSpec, hfrrf, load_reward, response
from vision_r1.problems.problem import Problem
from vision_r1.rollout.trace import Segment, Trace

PROBLEMS = [
    Problem("number", "How much?", "3/4", answer_type="number"),
    Problem("choice", "Which?", "B", options=("7 cm", "12 cm", "9 cm"), answer_type="choice"),
    Problem("latex", "Solve.", r"2\sqrt{3}"),
    Problem("text", "Which colour?", "light blue", answer_type="text"),
    Problem("list", "Which two?", "2, 5", answer_type="list"),
]
ANSWERS = [
    "3/4", "0.75", "75%", r"\frac{3}{4}", "B", "(B) 12 cm", "12 cm", "C", "A or B", r"\sqrt{12}", "3.464", "2*sqrt(3)",
    "light blue", "blue", "2 and 5", "5, 2", "2, 5", "", "maybe 3/4", "9**9**9**9", "not B", "Final Answer: B",
]  # fmt: skip
TRACES = [
    (problem, f"<think>Hm.</think><answer>{answer}</answer>") for problem in PROBLEMS for answer in ANSWERS
]


def reward_says(problem: Problem, text: str) -> bool:
    return load_reward("hfrrf")(text, problem, "eos").reward == 1.0


def filter_says(problem: Problem, text: str) -> bool:
    row = filters.Candidate.tagged(text, GradeSpec.of(problem), 10)
    return filters.RULES["wrong_answer"](filters.Reading(row, FilterLimits())) is None


def run_says(problem: Problem, text: str) -> bool:
    trace = Trace(problem.id, 0, (Segment("model", text, count=9),), "eos", 5, "m")
    return bool(runner.trace_row(problem, trace, "greedy")["correct"])


def benchmark_says(problem: Problem, text: str) -> bool:
    answer = {
        "id": problem.id,
        "sample_index": 0,
        "text": text,
        "stop_reason": "eos",
        "tokens": 9,
        "rolls": [],
    }
    item = Item(problem, "?", {})
    (row,) = scoring.score_answers(BENCHMARKS["chartqa"], [item], [answer], progress=Silent())
    return bool(row["strict"]["correct"])


SAYERS = (reward_says, filter_says, run_says, benchmark_says)


def test_all_four_say_the_same_of_the_same_traces():
    said = {
        (p.id, text): [sayer(p, text) for sayer in SAYERS]
        for p, text in TRACES
        if "<answer></answer>" not in text
    }
    assert {len(set(verdicts)) for verdicts in said.values()} == {1}
    rights = sum(verdicts[0] for verdicts in said.values())
    assert 5 < rights < len(said) / 2  # the traces tell right from wrong


@pytest.mark.parametrize("sayer", SAYERS, ids=lambda sayer: sayer.__name__)
def test_all_four_ask_grade_answer_and_nothing_else(sayer, monkeypatch):
    """Whatever `grade_answer` is made to say, each of them says."""
    problem, text = TRACES[0]
    assert sayer(problem, text)
    wrong = response.grade_answer("no", GradeSpec.of(problem))
    asked = []

    def contrary(answer, spec):
        asked.append(answer)
        return wrong

    monkeypatch.setattr(response, "grade_answer", contrary)
    assert not sayer(problem, text)
    assert asked == ["3/4"]


def test_there_is_one_grade_response():
    holders = [
        module for name, module in sys.modules.items()
        if name.startswith("vision_r1.") and getattr(module, "grade_response", None) is not None
    ]  # fmt: skip
    assert {module.grade_response for module in holders} == {response.grade_response}
    assert {
        hfrrf.__module__,
        "vision_r1.construct.filters",
        "vision_r1.evals.benchmarks.benchmark",
        "vision_r1.evals.runner",
    } <= {module.__name__ for module in holders}
