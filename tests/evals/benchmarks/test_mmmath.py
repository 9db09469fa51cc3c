"""MM-Math: golds from worked solutions, the judge's comparisons, both tolerances."""

import pytest
from benchmark_rows import item_of

from vision_r1.evals.benchmarks.benchmark import RowFault
from vision_r1.evals.benchmarks.mmmath import BENCHMARK
from vision_r1.evals.benchmarks.mmmath_rule import judge


def row(solution="So $x=\\boxed{5}$.", **changes):
    return {
        "question": "Find $x$.", "file_name": "1.png", "solution": solution, "year": "八年级下学期",
        "difficult": "普通", "knowledge": {"level_1": "Properties of Shapes"}, **changes,
    }  # fmt: skip


def test_the_gold_is_what_the_solution_boxes():
    item = item_of(BENCHMARK, row("$\\boxed{2}$ or $\\boxed{\\frac{1}{3}}$"))
    assert item.problem.answer == "2, \\frac{1}{3}"
    assert item.prompt == "Find $x$.\nPlease reason step by step, and put your final answer within \\boxed{}."
    assert item.problem.meta == {"family": "Properties of Shapes", "level": "普通"}


def test_rows_without_a_gold_are_faults():
    for bad in (row("no box"), row("\\boxed{5"), row(""), row(question="")):
        with pytest.raises(RowFault):
            item_of(BENCHMARK, bad)


def test_two_questions_may_share_a_picture():
    ids = {item_of(BENCHMARK, row(question=text)).problem.id for text in ("Find $x$.", "Find $y$.")}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("\\frac{1}{2}", "0.5", True), ("60", "60^{\\circ}", True), ("\\sqrt{8}", "2\\sqrt{2}", True),
        ("12\\text{cm}", "12", True), ("x=3", "3", True), ("1<x<3", "(1, 3)", True), ("(1,3]", "(1,3)", False),
        ("\\pm 2", "2, -2", True), ("y=2x+1", "y=1+2x", True), ("y=2x+1", "2y=4x+2", True),
        ("y=2x+1", "y=2x+2", False), ("3", "3x", False), ("2,3", "3,2", True), ("2,3", "2", False),
        ("45", "0.45", True), ("45", "4500", True), ("45", "450", False),
    ],
)  # fmt: skip
def test_comparisons(gold, answer, right):
    assert judge(f"\\boxed{{{gold}}}", f"\\boxed{{{answer}}}", 1e-8)[0] is right


def test_scores_by_difficulty_and_year():
    items = [item_of(BENCHMARK, row()), item_of(BENCHMARK, row(question="Find $y$.", difficult="困难"))]
    found = BENCHMARK.scores(items, {items[0].problem.id: True})
    assert found == {"difficulty 困难": 0.0, "difficulty 普通": 1.0, "year 八年级下学期": 0.5}
