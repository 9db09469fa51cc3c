"""LogicVista: layout, several letters, the judge's bounds."""

import json

import pytest
from general_items import folder_of, item_of, picture, strict

from vision_r1.evals.benchmarks import logicvista
from vision_r1.evals.benchmarks.load import load_benchmark

ROW = {"imagename": "v1_2.png", "question": "Which two (A-D) fit?", "answer": "B, D", "skill": ["inductive"]}


def test_original_layout(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "v1_2.png").write_bytes(picture())
    (tmp_path / "dataset.json").write_text(json.dumps({"v1_2": ROW}))
    (item,) = load_benchmark(logicvista.BENCHMARK, tmp_path).items
    assert (item.problem.id, item.prompt, item.chance) == ("v1_2", "Which two (A-D) fit?", 0.0)
    assert item.problem.meta == {"family": "inductive"}


@pytest.mark.parametrize(
    ("gold", "response", "right"),
    [("B, D", "D, B", True), ("B, D", "B and D", True), ("B, D", "B", False), ("G", "G", True), ("3", "3", True),
     ("3", "C", False), ("a", "A", True)],
)  # fmt: skip
def test_strict_takes_letters_in_any_order(gold, response, right):
    assert strict(item_of(logicvista.BENCHMARK, {**ROW, "answer": gold}), response) is right


@pytest.mark.parametrize(
    ("replies", "correct", "reason", "calls"),
    [
        (["B, D"], True, "judged", 1),
        (["db"], True, "judged", 1),
        (["Z"], False, "judged", 1),
        (["The labels are B and D", "B,D"], True, "judged", 2),
        (["the answer, I think, is B"] * 9, False, "judge_unclear", 5),
        ([""] * 9, False, "judge_unclear", 5),
    ],
)
def test_judge_is_asked_at_most_five_times(replies, correct, reason, calls):
    asked = []

    def ask(prompt, attempt=0):
        asked.append(prompt)
        return replies[len(asked) - 1]

    outcome = logicvista.judged(item_of(logicvista.BENCHMARK, ROW), "Both B and D do.", ask)
    assert (outcome.correct, outcome.reason, len(asked)) == (correct, reason, calls)
    assert "Both B and D do." in asked[0] and ROW["question"] in asked[0]


def test_judge_is_not_asked_about_nothing_or_a_refused_letter():
    item = item_of(logicvista.BENCHMARK, {**ROW, "answer": "G"})
    for response in ("", "  ", "G", "?"):
        assert not logicvista.judged(item, response, lambda prompt: "G").correct


def test_golds_that_the_rule_refuses_are_listed(tmp_path):
    rows = [{**ROW, "imagename": f"v1_{n}.png", "answer": answer} for n, answer in enumerate(["G", "B", "3"])]
    loaded = load_benchmark(logicvista.BENCHMARK, folder_of(tmp_path, rows))
    assert [(fault.kind, fault.id) for fault in loaded.faults] == [("gold", "v1_0")]
    assert "official rule accepts its own gold 'G' in no form" in loaded.faults[0].reason
