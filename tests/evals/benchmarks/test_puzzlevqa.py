"""PuzzleVQA: layouts, prompt, the second question, and the shared rows."""

import pytest
from general_items import folder_of, item_of, picture, real, right_golds

from vision_r1.evals.benchmarks import puzzlevqa
from vision_r1.evals.benchmarks.load import load_benchmark

ROW = {"question": "What is the size? ", "options": ["small", "large", "medium"], "answer": "large"}


def test_prompt_is_the_published_one():
    assert item_of(puzzlevqa.BENCHMARK, ROW).prompt == (
        "Question: What is the size?\nOptions:\n(A) small\n(B) large\n(C) medium\n\n"
        "Answer: Let's describe the image first and think step by step."
    )


def test_packaged_rows_are_named_by_their_image():
    one, other = (item_of(puzzlevqa.BENCHMARK, {**ROW, "image": picture(c)}) for c in ((1, 2, 3), (9, 9, 9)))
    assert one.problem.id != other.problem.id
    assert one.problem.id == item_of(puzzlevqa.BENCHMARK, {**ROW, "image": picture((1, 2, 3))}).problem.id


def test_category_is_the_column_or_the_image_name(tmp_path):
    loaded = load_benchmark(puzzlevqa.BENCHMARK, folder_of(tmp_path, [{**ROW, "category": "size_grid"}]))
    assert loaded.items[0].problem.meta["family"] == "size_grid"
    (tmp_path / "images" / "size_cycle_0001.png").write_bytes(picture())
    folder_of(tmp_path, [{**ROW, "image": "images/size_cycle_0001.png"}])
    loaded = load_benchmark(puzzlevqa.BENCHMARK, tmp_path)
    assert loaded.items[0].problem.meta["family"] == "size_cycle"


def test_rows_without_options_are_listed(tmp_path):
    rows = [ROW, {**ROW, "options": []}]
    loaded = load_benchmark(puzzlevqa.BENCHMARK, folder_of(tmp_path, rows))
    assert [fault.reason for fault in loaded.faults] == ["0 options"]


@pytest.mark.parametrize(("reply", "correct"), [("(B)", True), ("B", True), ("(C)", False), ("large", False)])
def test_judge_is_asked_once_where_there_is_no_letter(reply, correct):
    item = item_of(puzzlevqa.BENCHMARK, ROW)
    asked = []

    def ask(prompt, attempt=0):
        asked.append(prompt)
        return reply

    assert puzzlevqa.judged(item, "it is big", ask).correct is correct
    assert len(asked) == 1 and asked[0].endswith("it is big\n\nTherefore, among (A) (B) (C), the answer is:")
    assert puzzlevqa.judged(item, "(B)", ask).correct and len(asked) == 1


def test_shared_rows():
    loaded = real(puzzlevqa.BENCHMARK, "puzzlevqa")
    assert (len(loaded.items), loaded.faults) == (200, ())
    assert len({item.problem.meta["family"] for item in loaded.items}) == 20
    texts = right_golds("puzzlevqa", loaded)
    letters = right_golds("puzzlevqa", loaded, lambda i: "ABCD"[i.problem.options.index(i.problem.answer)])
    assert {official for official, _ in letters.values()} == {200}
    assert {strictly for _, strictly in letters.values()} == {200}
    # Option texts are not read, and the A of "Answer" is taken for a letter.
    assert {official for form, (official, _) in texts.items() if form != "Answer: {}"} == {0}
    assert texts["Answer: {}"][0] == sum(i.problem.answer == i.problem.options[0] for i in loaded.items)
    assert {strictly for form, (_, strictly) in texts.items() if form != "({})"} == {200}
