"""TabMWP: layouts, prompt, the seeded draw, and the shared rows."""

import json
from collections import Counter

from general_items import folder_of, item_of, picture, real, right_golds, strict

from vision_r1.evals.benchmarks import tabmwp
from vision_r1.evals.benchmarks.load import load_benchmark

FREE = {
    "question": "How much for both?", "choices": None, "answer": "1,374", "unit": "$", "table": "pen | $7",
    "ans_type": "integer_number", "grade": 4,
}  # fmt: skip
CHOICE = {**FREE, "choices": ["yes", "no"], "answer": "no", "unit": None, "ans_type": "boolean_text"}


def test_prompts_are_the_published_ones_without_the_table():
    assert item_of(tabmwp.BENCHMARK, {"pid": "1", **FREE}).prompt == (
        "Question: How much for both? (Unit: $)\nAnswer:"
    )
    assert item_of(tabmwp.BENCHMARK, {"pid": "1", **CHOICE}).prompt == (
        "Question: How much for both?\nOptions: (A) yes (B) no\nAnswer:"
    )


def test_original_layout(tmp_path):
    (tmp_path / "tables").mkdir()
    for pid in ("8", "9"):
        (tmp_path / "tables" / f"{pid}.png").write_bytes(picture())
    (tmp_path / "problems_test1k.json").write_text(json.dumps({"8": FREE, "9": CHOICE}))
    (tmp_path / "problems_train.json").write_text(json.dumps({"10": FREE}))
    loaded = load_benchmark(tabmwp.BENCHMARK, tmp_path)
    assert [item.problem.id for item in loaded.items] == ["8", "9"]
    assert [item.chance for item in loaded.items] == [0.0, 0.5]
    assert loaded.items[0].problem.meta == {"family": "integer_number", "level": "4"}


def test_the_random_option_is_the_same_every_time_and_depends_on_the_row():
    rows = [{"pid": str(number), **CHOICE} for number in range(60)]
    items = [item_of(tabmwp.BENCHMARK, row) for row in rows]
    drawn = [tabmwp.official(item, "The answer is F") for item in items]
    assert drawn == [tabmwp.official(item, "The answer is F") for item in items]
    counts = Counter(outcome.extracted for outcome in drawn)
    assert set(counts) == {"yes", "no"} and min(counts.values()) > 15
    assert {outcome.reason for outcome in drawn} == {"random_option"}


def test_faulty_rows_are_listed(tmp_path):
    rows = [
        {"pid": "1", **FREE}, {"pid": "2", **CHOICE}, {"pid": "3", **CHOICE, "choices": ["no", "no"]},
        {"pid": "4", **CHOICE, "answer": "D"}, {"pid": "2", **FREE}, {"pid": "6", **FREE, "choices": "yes"},
    ]  # fmt: skip
    rows += [{"pid": f"good {number}", **FREE} for number in range(3)]
    loaded = load_benchmark(tabmwp.BENCHMARK, folder_of(tmp_path, rows))
    found = [(fault.kind, fault.id, fault.reason) for fault in loaded.faults]
    assert found[0] == ("noted", "3", "options repeat")
    assert next(reason for kind, _, reason in found if kind == "unusable") == (
        "gold letter D is outside the 2 options"
    )
    assert (loaded.rows, loaded.unusable) == (9, 3)


def test_shared_rows():
    loaded = real(tabmwp.BENCHMARK, "tabmwp_dev")
    assert (len(loaded.items), loaded.faults) == (200, ())
    golds = right_golds("tabmwp", loaded)
    assert {strictly for form, (_, strictly) in golds.items() if form != "({})"} == {200}
    assert golds["{}"][0] == golds["Answer: {}"][0] == 200
    # Option texts that begin with A to F are read as letters behind the published mark.
    choices = [item for item in loaded.items if item.problem.options]
    stated = [tabmwp.official(item, f"The answer is {item.problem.answer}.") for item in choices]
    assert Counter(outcome.reason for outcome in stated)["random_option"] == 7
    assert golds["The answer is {}."][0] == 143 + sum(outcome.correct for outcome in stated)
    # An empty response to a choice is the first option.
    empty = sum(tabmwp.official(item, "").correct for item in loaded.items)
    assert empty == sum(item.problem.answer == item.problem.options[0] for item in choices) == 22
    assert not any(strict(item, "") for item in loaded.items)
