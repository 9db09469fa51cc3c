"""MathVista: prompt, judge, VLMEvalKit's rule, scores by task and skill."""

import pytest
from benchmark_rows import item_of

from vision_r1.evals.benchmarks.matching import infer_option
from vision_r1.evals.benchmarks.mathvista import BENCHMARK


def row(**changes):
    return {
        "pid": "7", "question": "How much is it?", "image": "images/7.jpg", "choices": None, "unit": "$",
        "precision": 2, "answer": "1.45", "question_type": "free_form", "answer_type": "float",
        "metadata": {"task": "math word problem", "grade": "daily life", "skills": ["arithmetic reasoning"]},
        **changes,
    }  # fmt: skip


def test_prompt_of_a_float_with_its_unit():
    item = item_of(BENCHMARK, row())
    assert item.prompt == (
        "Hint: Please answer the question requiring a floating-point number with two decimal places and "
        "provide the final value, e.g., 1.23, 1.34, 1.45, at the end.\n"
        "Question: How much is it? (Unit: $)\nSolution:"
    )
    assert (item.problem.precision, item.problem.unit) == (2, "$")
    assert item.problem.meta == {"family": "math word problem", "level": "daily life"}


def test_prompt_of_a_choice():
    changes = {"choices": ["3/11", "8/11"], "answer": "8/11", "answer_type": "text", "unit": None}
    item = item_of(BENCHMARK, row(**changes, precision=None, question_type="multi_choice"))
    assert item.prompt == (
        "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\n"
        "Question: How much is it?\nChoices:\n(A) 3/11\n(B) 8/11\nSolution:"
    )
    assert item.chance == 0.5


def test_the_packaged_release_has_float_precision_and_json_metadata():
    item = item_of(BENCHMARK, row(precision=1.0, metadata='{"task": "math word problem"}'))
    assert item.problem.precision == 1
    assert item.problem.meta["family"] == "math word problem"
    assert item_of(BENCHMARK, row(metadata="{broken")).problem.meta == {}


def test_the_judge_is_asked_only_when_the_response_is_no_bare_answer():
    item, prompts = item_of(BENCHMARK, row()), []

    def ask(prompt, attempt=0):
        prompts.append(prompt)
        return " 1.450"

    assert BENCHMARK.judged(item, "1.45", ask).correct and not prompts
    assert BENCHMARK.judged(item, "It costs $1.45 in all.", ask).correct
    assert prompts[0].count("Model response:") == 8
    assert item.prompt in prompts[0] and prompts[0].endswith("It costs $1.45 in all.\n\nExtracted answer: ")
    assert not BENCHMARK.judged(item, "", ask).correct and len(prompts) == 1


def test_vlmevalkit_asks_its_judge_and_compares_exactly():
    item = item_of(BENCHMARK, row())
    assert BENCHMARK.vlmeval(item, "so $1.45", lambda _: "1.45").correct
    assert not BENCHMARK.vlmeval(item, "so $1.45", lambda _: "1.454").correct
    assert BENCHMARK.vlmeval(
        item_of(BENCHMARK, row(answer="0", answer_type="integer")), "0", lambda _: "0"
    ).correct


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), ("(B)", "B"), ("The answer is B.", "B"), ("A or B", None), ("blue", "B"),
        ("B is what I think after long thought", None), ("red blue", None), ("Cannot determine the answer", "Z"),
        ("It is blue, and I have much more to say about it than that", None),
    ],
)  # fmt: skip
def test_how_vlmevalkit_infers_an_option(text, letter):
    assert infer_option(text, {"A": "red", "B": "blue", "C": "green"}) == letter


def test_scores_by_task_and_skill():
    skills = ["geometry reasoning", "algebraic reasoning"]
    other = {"task": "geometry problem solving", "skills": skills}
    items = [item_of(BENCHMARK, row()), item_of(BENCHMARK, row(pid="8", metadata=other))]
    found = BENCHMARK.scores(items, {"7": True, "8": False})
    assert found == {"GPS": 0.0, "MWP": 1.0, "ALG": 0.0, "ARI": 1.0, "GEO": 0.0}
