"""HallusionBench: rows with and without figure, the three accuracies, the authors' judge."""

import json

import pytest
from general_items import item_of, picture

from vision_r1.evals.benchmarks import hallusionbench
from vision_r1.evals.benchmarks.load import load_benchmark

BENCHMARK = hallusionbench.BENCHMARK


def row(category="VD", set_id=0, figure=0, question=0, gold="1", visual="1"):
    return {
        "category": category, "subcategory": "map", "visual_input": visual, "set_id": str(set_id),
        "figure_id": str(figure), "question_id": str(question), "question": f"Is it {question}?",
        "gt_answer": gold, "gt_answer_details": "It is so.",
    }  # fmt: skip


def test_original_layout(tmp_path):
    file = tmp_path / "hallusion_bench" / "VS" / "map" / "0_1.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(picture())
    rows = [
        {**row("VS", visual="0"), "filename": None},
        {**row("VS", figure=1, gold="0"), "filename": "./hallusion_bench/VS/map/0_1.png"},
        {**row("VS", figure=2, gold="2"), "filename": "./hallusion_bench/VS/map/0_1.png"},
        {**row("VS", figure=3), "filename": "./hallusion_bench/VS/map/none.png"},
    ]
    (tmp_path / "HallusionBench.json").write_text(json.dumps(rows))
    loaded = load_benchmark(BENCHMARK, tmp_path)
    assert [fault.reason for fault in loaded.faults] == ["gold '2' is neither 0 nor 1", "no image"]
    assert [item.problem.answer for item in loaded.items] == ["Yes", "No"]
    assert [len(item.problem.media) for item in loaded.items] == [0, 1]
    assert loaded.items[0].group == loaded.items[1].group == "VS_map_0"
    assert loaded.items[0].prompt == "Is it 0?"


def test_accuracies_by_hand():
    rows = [row(figure=f, question=q) for f in (0, 1) for q in (0, 1)]
    rows += [row("VS", figure=0, visual="0"), row("VS", figure=1)]
    items = [item_of(BENCHMARK, r) for r in rows]
    right = dict(
        zip((item.problem.id for item in items), (True, True, True, False, False, True), strict=True)
    )
    assert hallusionbench.scores(items, right) == {
        "aAcc": pytest.approx(100 * 4 / 6),
        # VD figures 0 (both right) and 1 (one wrong), VS figure 1; VS figure 0 is no figure.
        "fAcc": pytest.approx(100 * 2 / 3),
        # VD question 0 is right on both figures, question 1 is not; VS question 0 is wrong without its figure.
        "qAcc": pytest.approx(100 * 1 / 3),
    }
    assert hallusionbench.scores([], {}) == {"aAcc": 0.0, "fAcc": 0.0, "qAcc": 0.0}


@pytest.mark.parametrize(
    ("reply", "with_figure", "without"),
    [
        ("correct", True, True),
        ("Incorrect.", False, False),
        ("unclear", False, True),
        ("", False, True),
        ("not correct", True, True),  # the published reading looks for the word alone
        ("this is not incorrect", False, False),
    ],
)
def test_judge_is_read_as_published(reply, with_figure, without):
    asked = []

    def ask(prompt, attempt=0):
        asked.append(prompt)
        return reply

    assert hallusionbench.judged(item_of(BENCHMARK, row()), "Same size.", ask).correct is with_figure
    no_figure = item_of(BENCHMARK, row("VS", visual="0"))
    assert hallusionbench.judged(no_figure, "Same size.", ask).correct is without
    assert len(asked) == 2 and "It is so." in asked[0] and "Same size." in asked[0]
