"""MATH-Vision: prompt, faults of the rows, and the published scorer's behaviour on its own golds."""

import pytest
from benchmark_rows import item_of, notes_of, shared

from vision_r1.evals.benchmarks.benchmark import RowFault
from vision_r1.evals.benchmarks.mathvision import BENCHMARK
from vision_r1.problems.tables import read_table

HEAD = (
    "Please first solve the problem step by step, then put your final answer or a single letter (if it is "
    'a multiple choice question) in one "\\boxed{}". \n'
)


def row(answer="B", options=("1", "2", "3", "4", "5"), **changes):
    return {
        "id": "9", "question": "How many?\n<image1>", "options": list(options), "answer": answer,
        "solution": None, "level": 3, "subject": "counting", "image": "images/9.jpg", **changes,
    }  # fmt: skip


def official(response, answer="5", options=()):
    return BENCHMARK.official(item_of(BENCHMARK, row(answer, options)), response)


def test_prompt():
    assert (
        item_of(BENCHMARK, row()).prompt == f"{HEAD}How many?\n<image>\n(A) 1\n(B) 2\n(C) 3\n(D) 4\n(E) 5\n"
    )
    assert item_of(BENCHMARK, row("4", ())).prompt == f"{HEAD}How many?\n<image>\n"


def test_several_marks_for_one_image_file():
    item = item_of(BENCHMARK, row(question="<image1> or <image2>?"))
    assert item.prompt.count("<image>") == 1 and len(item.problem.media) == 1


@pytest.mark.parametrize(
    ("gold", "clean", "note"),
    [
        ("$\\frac{1}{2}$", "$\\frac{1}{2}$", "gold has dollar signs"),
        ("\\boxed{7}", "7", "gold is in a box"),
        ("\x0crac{3}{4}", "\\frac{3}{4}", "gold has a form feed, read as \\f"),
    ],
)
def test_golds_with_markup_are_noted_and_graded(gold, clean, note):
    item = item_of(BENCHMARK, row(gold, ()))
    assert item.problem.answer == clean and notes_of(BENCHMARK, row(gold, ())) == [note]
    assert BENCHMARK.strict(item, f"\\boxed{{{clean.strip('$')}}}").correct


def test_faults_of_rows():
    assert notes_of(BENCHMARK, row(options=("1", "1", "2", "3", "4"))) == ["options repeat"]
    for bad in (row(""), row(None), row("G"), row(image=None), row(id="")):
        with pytest.raises(RowFault):
            item_of(BENCHMARK, bad)


@pytest.mark.parametrize(
    ("response", "found"),
    [
        ("so it is 5.", "5"), ("The final answer is: 5", "5"), ("\\boxed{1} then \\boxed{5}", "5"),
        ("x = 5", "5"), ("\\boxed{5 units}", "5"), ("\\boxed{\\frac{10}{2}}", "\\frac{10}{2}"),
        ("\\boxed{10/2}", "\\frac{10}{2}"), ("\\boxed{2.5 \\cdot 2}", "2.5\\cdot2"),
    ],
)  # fmt: skip
def test_what_is_found(response, found):
    outcome = official(response)
    assert (outcome.extracted, outcome.correct) == (found, True)


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("(0.5,3)", "(\\frac{1}{2},3)", True), ("(6,7)", "(6.0,7)", True), ("1,000", "1000", True),
        ("3:2", "1.5", True), ("\\frac{1}{2}", "$1 \\frac{1}{2}$", True), ("30", "30^\\circ", True),
        ("\\frac{1}{2}", "\\frac12", False), ("\\pi", "3.14", True), ("\\pi", "3.15", False),
    ],
)  # fmt: skip
def test_values_as_the_authors_parser_reads_them(gold, answer, right):
    assert official(f"\\boxed{{{answer}}}", gold).correct is right


def test_real_rows_and_their_golds():
    rows = read_table(shared("mathvision_testmini") / "problems.jsonl")
    items = [item_of(BENCHMARK, each.values) for each in rows]
    assert len(items) == 304 and sum(not item.problem.options for item in items) == 114
    for form, works in (("\\boxed{{{}}}", True), ("The answer is {}.", True), ("<answer>{}</answer>", False)):
        for item in items:
            response = form.format(item.problem.answer)
            assert BENCHMARK.official(item, response).correct is works
            assert BENCHMARK.strict(item, response).correct
