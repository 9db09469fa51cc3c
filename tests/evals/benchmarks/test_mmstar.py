"""MMStar: options in the question, prompt, VLMEvalKit's judge."""

import pytest
from general_items import folder_of, item_of
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.evals.benchmarks import matching, mmstar
from vision_r1.evals.benchmarks.load import load_benchmark

ROW = {
    "index": 3, "question": "What is it?\nOptions: A: a cup, B: a plate, blue, C: a jug, D: none", "answer": "B",
    "category": "math", "l2_category": "geometry",
}  # fmt: skip


def test_prompt_and_options():
    item = item_of(mmstar.BENCHMARK, ROW)
    assert (
        item.prompt == ROW["question"] + "\nAnswer with the option's letter from the given choices directly."
    )
    assert item.problem.options == ("a cup", "a plate, blue", "a jug", "none")
    assert (item.chance, item.problem.meta) == (0.25, {"family": "math", "level": "geometry"})


@given(st.lists(st.text(alphabet="abc ,.()", min_size=1).map(str.strip).filter(bool), min_size=2, max_size=6))
def test_options_are_read_as_written(texts):
    listed = ", ".join(f"{letter}: {text}" for letter, text in zip("ABCDEF", texts, strict=False))
    assert mmstar.options_in(f"Which? Options: none here\nOptions: {listed}") == tuple(texts)


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Is it day?\nOptions: A: Yes\nB: No", ("Yes", "No")),
        ("Options: A: 3, 4, and 5, B: <image 2>, C: 1,000", ("3, 4, and 5", "<image 2>", "1,000")),
        ("Hint: e.g., A, B, C, D.\nQuestion: How many?\nChoices:\n(A) 10\n(B) 15\n(C) 2", ("10", "15", "2")),
        ("Which angle?\n(A) 10, or so\n(B) (C)", ("10, or so", "(C)")),
    ],
)
def test_other_layouts_of_options(question, options):
    assert mmstar.options_in(question) == options


@pytest.mark.parametrize(
    "question",
    ["Which?", "Options:", "Options: A: x", "Options: A: x, B:", "(A) x (B) y", "Options: B: x, C: y"],
)
def test_questions_without_readable_options_are_noted(question, tmp_path):
    assert mmstar.options_in(question) == ()
    loaded = load_benchmark(mmstar.BENCHMARK, folder_of(tmp_path, [{**ROW, "question": question}]))
    assert [fault.kind for fault in loaded.faults] == ["noted"]
    assert mmstar.official(loaded.items[0], "B").correct
    assert mmstar.official_vlmevalkit(loaded.items[0], "").reason == "no_answer"


def test_gold_letter_outside_the_options(tmp_path):
    rows = [ROW, {**ROW, "index": 4}, {**ROW, "index": 5, "answer": "F"}]
    loaded = load_benchmark(mmstar.BENCHMARK, folder_of(tmp_path, rows))
    assert [fault.reason for fault in loaded.faults] == ["gold letter F is outside the 4 options"]


@pytest.mark.parametrize(
    ("replies", "correct", "reason", "calls"),
    [
        (["B"], True, "judged", 1),
        (["C"], False, "judged", 1),
        (["Z"], False, "judged", 1),
        (["A or B", "B"], True, "judged", 2),
        (["A or B"] * 9, False, "judge_unclear", matching.MOST_CALLS),
    ],
)
def test_judge_is_asked_where_exact_matching_fails(replies, correct, reason, calls):
    asked = []

    def ask(prompt, attempt=0):
        asked.append(prompt)
        return replies[len(asked) - 1]

    item = item_of(mmstar.BENCHMARK, ROW)
    outcome = mmstar.vlmeval(item, "It could be many things, A or B or others, I think", ask)
    assert (outcome.correct, outcome.reason, len(asked)) == (correct, reason, calls)
    assert mmstar.vlmeval(item, "B", ask).correct and len(asked) == calls


def test_a_refusal_is_none_of_the_options():
    outcome = mmstar.official_vlmevalkit(item_of(mmstar.BENCHMARK, ROW), "Cannot determine the answer B")
    assert (outcome.correct, outcome.extracted) == (False, "Z")
