"""Geometry3K: layouts, prompt, values of choices, and the shared rows."""

import pytest
from general_items import folder_of, item_of, real, right_golds

from vision_r1.evals.benchmarks import geometry3k
from vision_r1.evals.benchmarks.load import load_benchmark

ROW = {
    "id": 5, "problem_text": "Find x.", "choices": ["8", "8 \\sqrt { 2 }", "\\frac { 8 } { 3 } \\pi", "16"],
    "answer": "B", "unit": "", "problem_type_goal": ["Length"], "data_type": "test",
}  # fmt: skip


def test_prompt_is_the_published_one():
    assert item_of(geometry3k.BENCHMARK, {**ROW, "choices": ["1", "2", "3", "4"]}).prompt == (
        "Find x.\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer with the option's letter from the given choices directly."
    )


def test_packaged_layout_has_the_letter_beside_the_value():
    row = {"id": 5, "problem": "<image>Find x.", "choices": ["1", "2"], "answer": "2", "ground_truth": "B"}
    item = item_of(geometry3k.BENCHMARK, row)
    assert (item.problem.answer, item.prompt.count("<image>")) == ("B", 1)


def test_values_come_from_the_row_else_from_the_texts():
    given = item_of(geometry3k.BENCHMARK, {**ROW, "precise_value": [1, 2.5, None, float("nan")]})
    assert geometry3k.option_values(given) == (1.0, 2.5, None, None)
    values = geometry3k.option_values(item_of(geometry3k.BENCHMARK, ROW))
    assert values == pytest.approx((8.0, 128**0.5, 8.377580409572781, 16.0))


def test_equal_distances_are_right():
    item = item_of(geometry3k.BENCHMARK, {**ROW, "precise_value": [8.0, 10.0, 14.0, 16.0]})
    assert geometry3k.official(item, "9").correct and geometry3k.official(item, "12").correct
    assert not geometry3k.official(item, "12.5").correct


def test_faulty_rows_are_listed(tmp_path):
    rows = [ROW, *({**ROW, "id": number} for number in range(6, 9))]
    rows += [
        {**ROW, "id": 9, "answer": "E"},
        {**ROW, "id": 10, "answer": ""},
        {**ROW, "id": 11, "choices": None},
    ]
    loaded = load_benchmark(geometry3k.BENCHMARK, folder_of(tmp_path, rows))
    reasons = ["gold 'E' is no letter of the 4 options", "no gold", "0 options"]
    assert [fault.reason for fault in loaded.faults] == reasons


def test_shared_rows():
    loaded = real(geometry3k.BENCHMARK, "geometry3k")
    assert (len(loaded.items), loaded.faults) == (57, ())
    letters = right_golds("geometry3k", loaded)
    values = right_golds("geometry3k", loaded, lambda i: i.problem.options["ABCD".index(i.problem.answer)])
    assert set(letters.values()) | set(values.values()) == {(57, 57)}
    # Without `precise_value` the texts of the choices give the same values.
    for item in loaded.items:
        bare = item_of(
            geometry3k.BENCHMARK, {k: v for k, v in item.raw.items() if k not in ("precise_value", "image")}
        )
        assert geometry3k.option_values(bare) == pytest.approx(item.raw["precise_value"])
    article = sum(
        geometry3k.official_lmms_eval(i, "This is a circle of radius 5").correct for i in loaded.items
    )
    assert article == sum(item.problem.answer == "A" for item in loaded.items) > 0
