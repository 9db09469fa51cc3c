"""MathVerse: all six versions, both prompts, the bounded judge."""

import json

import pytest
from benchmark_rows import item_of
from PIL import Image

from vision_r1.evals.benchmarks.benchmark import RowFault
from vision_r1.evals.benchmarks.judging import TRIES
from vision_r1.evals.benchmarks.load import load_benchmark
from vision_r1.evals.benchmarks.mathverse import BENCHMARK, COT, TEXT_ONLY

QUESTION = "How long is BC?\nChoices:\nA:2cm\nB:3cm\nC:4cm"


def row(version="Text Lite", **changes):
    return {
        "sample_index": "3", "problem_index": "1", "problem_version": version, "question": QUESTION,
        "image": "images_version_1-4/image_1.png", "answer": "B", "question_type": "multi-choice",
        "query_wo": f"Please directly answer.\nQuestion: {QUESTION}",
        "query_cot": f"Please first conduct reasoning.\nQuestion: {QUESTION}",
        "metadata": {"subject": "Plane Geometry", "subfield": "Length"}, **changes,
    }  # fmt: skip


def test_both_prompts_and_the_choices_inside_the_question():
    item = item_of(BENCHMARK, row())
    assert item.prompt == row()["query_wo"]
    assert item_of(COT, row()).prompt == row()["query_cot"]
    assert item.problem.options == ("2cm", "3cm", "4cm")
    assert BENCHMARK.strict(item, "It is 3cm, so the answer is 3cm.").correct


def test_choices_with_gaps_are_not_guessed():
    item = item_of(BENCHMARK, row(question="Which?\nChoices:\nA:2\nC:3"))
    assert item.problem.options == ()
    assert BENCHMARK.strict(item, "The answer is B.").correct


def test_vision_only_is_graded_by_the_question_for_evaluation():
    changes = {
        "question": "",
        "question_for_eval": QUESTION,
        "query_wo": "According to the question shown ...",
    }
    item = item_of(BENCHMARK, row("Vision Only", **changes))
    assert item.problem.question == QUESTION and item.prompt == "According to the question shown ..."
    assert len(item.problem.options) == 3


def test_text_only_needs_no_image_and_other_versions_do():
    item = item_of(TEXT_ONLY, row("Text Only", image=""))
    assert item.problem.media == () and item.problem.id == "text-3"
    with pytest.raises(RowFault, match="no image"):
        item_of(BENCHMARK, row(image=""))


def test_the_judge_extracts_then_compares():
    replies = iter(["Extracted Answer: B", "Judgement: 1"])
    assert BENCHMARK.judged(
        item_of(BENCHMARK, row()), "long text", lambda _, attempt=0: next(replies)
    ).correct


def test_a_judge_that_never_decides_is_asked_a_few_times():
    asked = []

    def ask(prompt, attempt=0):
        asked.append(prompt)
        return "perhaps"

    outcome = BENCHMARK.judged(item_of(BENCHMARK, row()), "long text", ask)
    assert (outcome.correct, outcome.reason, len(asked)) == (False, "judge_unclear", 1 + TRIES)
    assert QUESTION in asked[-1]


def test_vlmevalkit_skips_the_second_question_for_an_equal_extraction():
    asked = []

    def ask(prompt, attempt=0):
        asked.append(prompt)
        return "B"

    assert BENCHMARK.vlmeval(item_of(BENCHMARK, row()), "long text", ask).reason == "equal"
    assert len(asked) == 1


def test_scores_by_version():
    rows = [row(sample_index="1"), row("Vision Only", sample_index="2"), row("Text Only", image="")]
    items = [item_of(BENCHMARK, each) for each in rows]
    found = BENCHMARK.scores(items, {"1": True, "2": False, "text-3": True})
    assert found == {"Text Lite": 1.0, "Vision Only": 0.0, "Text Only": 1.0, "with image": 0.5}


def test_the_original_release_in_a_folder(tmp_path):
    (tmp_path / "images" / "images_version_1-4").mkdir(parents=True)
    Image.new("RGB", (30, 30)).save(tmp_path / "images" / "images_version_1-4" / "image_1.png")
    (tmp_path / "testmini.json").write_text(json.dumps([row(), row(sample_index="4", image="gone.png")]))
    (tmp_path / "testmini_text_only.json").write_text(json.dumps([row("Text Only", image="")]))
    loaded = load_benchmark(BENCHMARK, tmp_path)
    assert [item.problem.id for item in loaded.items] == ["3", "text-3"]
    assert loaded.unusable == 1 and len(load_benchmark(TEXT_ONLY, tmp_path).items) == 1
