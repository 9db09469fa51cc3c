"""MME: rows, and points of pairs."""

import pytest
from general_items import folder_of, item_of
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.evals.benchmarks import mme
from vision_r1.evals.benchmarks.load import load_benchmark


def row(task="count", image="1.png", question="Are there two?", answer="Yes"):
    return {
        "question_id": f"{task}/{image}", "category": task, "answer": answer,
        "question": f"{question} Please answer yes or no.",
    }  # fmt: skip


def pairs(task, count):
    return [
        item_of(mme.BENCHMARK, row(task, f"{n}.png", question, answer))
        for n in range(count)
        for question, answer in (("Is it?", "Yes"), ("Is it not?", "No"))
    ]


def test_prompt_is_the_question():
    item = item_of(mme.BENCHMARK, row())
    assert item.prompt == "Are there two? Please answer yes or no."
    assert (item.problem.answer, item.chance, item.group) == ("Yes", 0.5, "count/count/1.png")


def test_points_by_hand():
    items = pairs("count", 2) + pairs("code_reasoning", 1)
    right = dict.fromkeys((item.problem.id for item in items), True)
    assert mme.scores(items, right) == {
        "perception": 200.0, "cognition": 200.0, "total": 400.0, "count": 200.0, "code_reasoning": 200.0,
    }  # fmt: skip
    right[items[0].problem.id] = False
    assert mme.scores(items, right)["count"] == 75.0 + 50.0
    assert mme.scores(items, right)["total"] == 325.0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_points_are_accuracy_plus_accuracy_of_pairs(answers):
    items = pairs("OCR", len(answers))
    flat = [right for pair in answers for right in pair]
    found = mme.scores(items, dict(zip((i.problem.id for i in items), flat, strict=True)))
    expected = 100 * sum(flat) / len(flat) + 100 * sum(map(all, answers)) / len(answers)
    assert found["perception"] == found["OCR"] == pytest.approx(expected)
    assert found["cognition"] == 0.0


def test_half_a_pair_is_never_both():
    items = pairs("OCR", 1)[:1]
    assert mme.scores(items, {items[0].problem.id: True})["OCR"] == 100.0


def test_faulty_rows_are_listed(tmp_path):
    rows = [
        row(),
        row(question="Is it?", answer="no"),
        row(image="2.png"),
        row(answer="maybe"),
        row("mood"),
        row(),
    ]
    loaded = load_benchmark(mme.BENCHMARK, folder_of(tmp_path, rows))
    reasons = [fault.reason for fault in loaded.faults if fault.kind == "unusable"]
    assert reasons[:2] == ["gold 'maybe' is neither yes nor no", "unknown subtask 'mood'"]
    assert reasons[2].startswith("id 'count/1.png: Are there two?")
    assert [item.problem.answer for item in loaded.items] == ["Yes", "No", "Yes"]
