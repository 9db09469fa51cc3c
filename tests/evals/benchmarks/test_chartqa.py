"""ChartQA: layouts, prompt, splits, and the shared rows."""

import json

import pytest
from general_items import folder_of, item_of, picture, real, right_golds, strict

from vision_r1.evals.benchmarks import chartqa
from vision_r1.evals.benchmarks.load import load_benchmark

ROW = {"imgname": "7.png", "query": "How many bars are red?", "label": "3"}


def test_prompt_is_the_published_one():
    item = item_of(chartqa.BENCHMARK, ROW)
    assert item.prompt == "How many bars are red?\nAnswer the question using a single word or phrase."
    assert (item.problem.answer, item.chance) == ("3", 0.0)


def test_original_layout_tells_people_from_machines_by_the_file(tmp_path):
    (tmp_path / "png").mkdir()
    (tmp_path / "png" / "7.png").write_bytes(picture())
    for name in ("human", "augmented"):
        (tmp_path / f"test_{name}.json").write_text(json.dumps([ROW, {**ROW, "query": "And blue?"}]))
    loaded = load_benchmark(chartqa.BENCHMARK, tmp_path)
    families = sorted(item.problem.meta["family"] for item in loaded.items)
    assert families == ["augmented", "augmented", "human", "human"]
    assert len({item.problem.id for item in loaded.items}) == 4


@pytest.mark.parametrize(
    ("row", "family"),
    [
        ({"type": "human_test", "question": "q?", "answer": "3"}, "human"),
        ({"type": "augmented_test", "question": "q?", "answer": "3"}, "augmented"),
        ({"human_or_machine": 1, "query": "q?", "label": ["3"]}, "augmented"),
        ({"human_or_machine": 0, "query": "q?", "label": ["3"]}, "human"),
    ],
)
def test_packaged_layouts(row, family):
    item = item_of(chartqa.BENCHMARK, row)
    assert (item.problem.meta["family"], item.problem.answer) == (family, "3")


def test_rows_that_cannot_be_used_are_listed(tmp_path):
    rows = [ROW, ROW, {**ROW, "label": ""}, {**ROW, "image": "images/none.png"}]
    loaded = load_benchmark(chartqa.BENCHMARK, folder_of(tmp_path, rows))
    assert [fault.reason.split(" in ")[0] for fault in loaded.faults] == [
        "no gold",
        "no image 'images/none.png'",
    ]
    assert (loaded.rows, loaded.unusable, len(loaded.items)) == (4, 2, 2)


def test_shared_rows():
    loaded = real(chartqa.BENCHMARK, "chartqa_test")
    assert (len(loaded.items), loaded.faults) == (188, ())
    golds = right_golds("chartqa", loaded)
    # Nothing is extracted: only the bare gold is right.
    assert {form: official for form, (official, _) in golds.items() if official} == {"{}": 188}
    assert {strictly for form, (_, strictly) in golds.items() if form != "({})"} == {188}
    years = [item for item in loaded.items if item.problem.answer in map(str, range(1900, 2101))]
    assert years and all(chartqa.official(i, str(int(i.problem.answer) + 30)).correct for i in years)
    assert not any(strict(i, str(int(i.problem.answer) + 30)) for i in years)
