"""DynaMath: prompt, the answer inside the JSON, average and worst case."""

import json

import pytest
from benchmark_rows import item_of, shared
from PIL import Image

from vision_r1.evals.benchmarks.dynamath import BENCHMARK
from vision_r1.evals.benchmarks.load import load_benchmark

CHOICE = "Is it periodic? Choices: (A) Yes (B) No"


def row(answer="2.0944", kind="float", question="What is the period?", **changes):
    return {
        "question": question, "answer": answer, "image": "image/image12.png", "answer_type": kind,
        "subject": "analytic     geometry", "level": "high school", **changes,
    }  # fmt: skip


def test_prompt_and_fields():
    item = item_of(BENCHMARK, row(id="12"))
    assert item.prompt.startswith(
        "## Question\nWhat is the period?Please answer in a floating-point number.\n## Answer"
    )
    assert item.prompt.endswith('"short answer": "[Concise Answer]"\n}')
    assert item.problem.meta == {"family": "analytic geometry", "level": "high school", "group": "12"}
    assert item_of(BENCHMARK, row()).group == "12"  # from the image's number
    assert item_of(BENCHMARK, row("B", "multiple choice", CHOICE)).problem.options == ("Yes", "No")


def test_the_hubs_columns():
    hub = {"ground_truth": "B", "knowledge_level": "undergraduate", "id": "4", "answer": None, "level": None}
    item = item_of(
        BENCHMARK,
        row(kind="multiple choice", question=CHOICE, variant="sample_variant3-00000-of-00001") | hub,
    )
    assert (item.problem.id, item.problem.answer, item.problem.meta["level"]) == ("4:3", "B", "undergraduate")


@pytest.mark.parametrize(
    "response",
    [
        '{"solution": "x", "short answer": "2.094"}', '{"short answer": 2.094}',
        '<think>{"a": 1}</think><answer>{"solution": "\\frac{1}{2}", "short answer": "2.094"}</answer>',
        "The answer is 2.094.", "\\boxed{2.0944}", "```json\n{\"short answer\": \"2.094\"}\n```",
    ],
)  # fmt: skip
def test_strict_reads_the_answer_with_and_without_json(response):
    assert BENCHMARK.strict(item_of(BENCHMARK, row()), response).correct


@pytest.mark.parametrize("response", ['{"short answer": "2.1"}', '{"short answer": ["2.094"]}', "{}", ""])
def test_strict_is_not_fooled_by_json(response):
    assert not BENCHMARK.strict(item_of(BENCHMARK, row()), response).correct


def test_the_judge_of_vlmevalkit():
    item = item_of(BENCHMARK, row("B", "multiple choice", CHOICE))
    assert BENCHMARK.vlmeval(item, "I would say no to that", lambda _: "B").correct
    assert not BENCHMARK.vlmeval(item, "I would say no to that", lambda _: "A").correct


def test_average_and_worst_case():
    items = [item_of(BENCHMARK, row(id=seed, varid=str(n))) for seed in ("1", "2") for n in range(1, 11)]
    right = {item.problem.id: item.problem.id != "2:7" for item in items}
    found = BENCHMARK.scores(items[:-1], right)
    assert found["average"] == 18 / 19 and found["worst case"] == 0.5
    assert found["robustness (worst / average)"] == 0.5 / (18 / 19)
    assert (found["seeds"], found["variants missing"]) == (2.0, 1.0)


def test_variants_in_one_table_are_told_apart_by_their_place(tmp_path):
    (tmp_path / "image").mkdir()
    Image.new("RGB", (30, 30)).save(tmp_path / "image" / "image12.png")
    lines = [json.dumps(row(id="12")) for _ in range(3)]
    (tmp_path / "problems.jsonl").write_text("\n".join(lines))
    loaded = load_benchmark(BENCHMARK, tmp_path)
    assert len(loaded.items) == 3 and {item.group for item in loaded.items} == {"12"}


def test_real_rows_and_their_golds():
    loaded = load_benchmark(BENCHMARK, shared("dynamath"))
    assert len(loaded.items) == 100 and not loaded.unusable
    assert not [fault for fault in loaded.faults if "strict" in fault.reason]
    for item in loaded.items:
        response = json.dumps({"solution": "steps", "short answer": item.problem.answer})
        assert BENCHMARK.official(item, response).correct
        assert BENCHMARK.vlmeval(item, response, None).correct
        assert BENCHMARK.strict(item, response).correct
