"""We-Math: prompt, options, the four-way score over whole groups."""

import pytest
from benchmark_rows import item_of, notes_of

from vision_r1.evals.benchmarks.benchmark import RowFault
from vision_r1.evals.benchmarks.wemath import BENCHMARK


def row(problem="2steps_1", key="2steps_1", answer="B", option="A. 4; B. 7; C. 9; D. No correct answer"):
    return {
        "ID": problem, "key": key, "split": "testmini", "question": "What is the sum?", "question number": "1",
        "option": option, "answer": answer, "image_path": "images/1-1.png", "knowledge concept": "Length",
    }  # fmt: skip


def test_prompt_is_the_published_one():
    item = item_of(BENCHMARK, row())
    assert item.prompt == (
        "Now, we require you to solve a multiple-choice math question. Please briefly describe your thought "
        "process and provide the final answer(option).\nQuestion: What is the sum?\n"
        "Option: A. 4; B. 7; C. 9; D. No correct answer\n"
        "Regarding the format, please answer following the template below, and be sure to include two <> "
        "symbols:\n<Thought process>: <<your thought process>> <Answer>: <<your option>>"
    )
    assert (item.problem.id, item.group) == ("2steps_1:2steps_1", "2steps_1")


@pytest.mark.parametrize(
    "option",
    ["A. 4; B. 7; C. 9", "A.4;B.7;C.9;", "A、4 B、7 C、9", "A. 4\nB. 7\nC. 9", "A: 4, B: 7, C: 9"],
)
def test_irregular_separators(option):
    assert item_of(BENCHMARK, row(option=option)).problem.options == ("4", "7", "9")


def test_rows_with_faults():
    with pytest.raises(RowFault, match="gold letter E is outside the 4 options"):
        item_of(BENCHMARK, row(answer="E"))
    assert notes_of(BENCHMARK, row(option="4 or 7")) == ["the options cannot be told apart"]


def group(problem, steps, whole):
    """Rows of a problem and whether each is right."""
    size = len(steps)
    keys = [f"{size}steps_{number}" for number in range(1, size + 1)] + [f"{size}steps_multi"]
    items = [item_of(BENCHMARK, row(problem, key)) for key in keys]
    return items, {item.problem.id: mark for item, mark in zip(items, (*steps, whole), strict=True)}


def scores(*groups):
    items = [item for found, _ in groups for item in found]
    return BENCHMARK.scores(items, {key: mark for _, found in groups for key, mark in found.items()})


def test_the_four_classes():
    found = scores(
        group("a", (True, True), True),  # mastered either way
        group("b", (True, False), True),  # strict: by rote; loose: mastered
        group("c", (False, False, False), True),  # by rote either way
        group("d", (True, True, True), False),  # inadequate generalisation
        group("e", (True, False), False),  # insufficient knowledge
    )
    assert found["IK"] == found["IG"] == pytest.approx(0.2)
    assert (found["CM (strict)"], found["CM (loose)"]) == (pytest.approx(0.2), pytest.approx(0.4))
    assert (found["RM (strict)"], found["RM (loose)"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert found["score (strict)"] == pytest.approx((5 - 0.5 - 2 - 1) / 5)
    assert found["score (loose)"] == pytest.approx((5 - 0.5 - 1 - 1) / 5)
    assert (found["S1"], found["S2"], found["S3"]) == (7 / 12, pytest.approx(2 / 3), 0.5)


def test_a_missing_part_counts_as_wrong_and_is_counted():
    items, right = group("a", (True, True), True)
    found = BENCHMARK.scores(items[1:], right)
    assert found["problems with missing parts"] == 1 and found["RM (strict)"] == 1
    assert BENCHMARK.scores([], {}) == {"problems with missing parts": 0.0}


def test_all_right_is_a_score_of_one():
    found = scores(group("a", (True, True), True), group("b", (True, True, True), True))
    assert found["score (strict)"] == found["score (loose)"] == 1 and found["RM (strict)"] == 0
