"""Golds out of published answers. The texts are ours, in the forms of the published sets."""

import io
import json

import pytest
from PIL import Image

from vision_r1.construct.sources import choice_gold, free_gold, gradeable, load_source, settled_gold
from vision_r1.core.config import validate
from vision_r1.grading import GradeSpec, grade_response
from vision_r1.problems import Problem
from vision_r1.problems.config import FileData, TinyWorldData
from vision_r1.problems.faults import BadRow

OPTIONS = ("Seattle", "Juneau", "Saint Paul", "Anchorage")


@pytest.mark.parametrize(
    ("published", "gold"),
    [
        ("Juneau is the capital of Alaska. The answer is B.", "B"),
        ("B", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("B. Juneau", "B"),
        ("B: Juneau", "B"),
        ("(B) Juneau", "B"),
        ("Juneau", "B"),
        ("juneau.", "B"),
        ("The answer is Juneau.", "B"),
        ("The correct answer is B) Juneau.", "B"),
        ("The answer is option B: Juneau.", "B"),
        ("The capital is Juneau.", "B"),
        ("Therefore, the answer is \\boxed{B}.", "B"),
        ("The answer is A. Wait, no. The answer is B.", "B"),
        ("E", None),
        ("A or B", None),
        ("Vancouver", None),
        ("The capital cannot be told from the map.", None),
        ("B: Seattle", None),
        ("", None),
    ],
)
def test_choices(published, gold):
    assert choice_gold(published, OPTIONS) == gold


def test_choices_of_equal_text_are_one():
    assert choice_gold("12", ("12", "9", "12")) == "A"


@pytest.mark.parametrize(
    ("published", "gold"),
    [
        ("3", "3"),
        ("There are 3 cubes.", "3"),
        ("The value is 40.1.", "40.1"),
        ("Yes, the man is wearing a hat.", "Yes"),
        ("No, there is no dog.", "No"),
        ("The answer is 12.", "12"),
        ("Thus, the area is 24 square centimeters.", "24 square centimeters"),
        ("The car is red.", "red"),
        ("red", "red"),
        ("The length of AB is $2\\sqrt{3}$.", "2\\sqrt{3}"),
        ("The sum of the two smallest bars is 12 + 8 = 20.", "20"),
        ("Canada had the highest value.", "Canada"),
        ("The ratio is 2:3.", "2:3"),
        ("5:30", "5:30"),
        ("2008 and 2009", "2008 and 2009"),
        ("The image shows a busy street with many people who are walking to a market in the rain.", None),
        ("A dog runs. Two cats sleep on a mat. A man reads a book about ships and sails.", None),
        ("", None),
    ],
)
def test_free_answers(published, gold):
    assert free_gold(published) == gold
    if gold is not None:
        assert grade_response(published, GradeSpec(gold)).correct
        assert isinstance(gradeable(Problem("x", "q", gold)), Problem)


def test_a_gold_is_kept_as_written_beside_the_letter():
    settled = settled_gold(Problem("x", "Which?", "The answer is B.", answer_type="choice", options=OPTIONS))
    assert (settled.answer, settled.meta["gold"]) == ("B", "The answer is B.")


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Problem("x", "q", "Vancouver", options=OPTIONS), "no_gold"),
        (Problem("x", "q", "It may be 3 or 4."), "no_gold"),
        (
            Problem("x", "q", "It shows a long street with trees, houses and many people on it."),
            "open_answer",
        ),
    ],
)
def test_what_states_no_answer_is_set_aside(problem, reason):
    row = settled_gold(problem)
    assert isinstance(row, BadRow) and (row.reason, row.answer) == (reason, problem.answer)


def test_a_gold_that_cannot_be_graded_is_set_aside():
    row = gradeable(Problem("x", "q", "E", options=OPTIONS, answer_type="choice"))
    assert isinstance(row, BadRow) and row.reason == "ungradeable_gold"
    row = gradeable(Problem("x", "q", "3", answer_type="vibes"))
    assert isinstance(row, BadRow) and "unknown answer type" in row.detail


def conversation(name, asked, conclusion):
    said = f"<SUMMARY> s </SUMMARY> <REASONING> r </REASONING> <CONCLUSION> {conclusion} </CONCLUSION>"
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": said}]
    return {"id": name, "image": "a.png", "conversations": turns}


def test_a_source_is_problems_and_rows_with_reasons(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, format="PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    rows = [
        conversation(
            "one", "What is the capital?\nOptions: (A) Seattle (B) Juneau", "It is Juneau. The answer is B."
        ),
        conversation("two", "How many cubes?", "There are 3 cubes."),
        conversation(
            "three", "Describe the scene.", "A long street with trees, and many people who walk on it."
        ),
        conversation("four", "Which?\nA. red\nB. blue", "green"),
        conversation("five", "How many?", "12") | {"image": "none.png"},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = validate(FileData, {"path": str(tmp_path / "train.jsonl"), "layout": "llava_cot"})
    problems, bad = load_source(config)
    assert [(p.id, p.answer, p.answer_type) for p in problems] == [
        ("one", "B", "choice"),
        ("two", "3", "auto"),
    ]
    assert {(row.source_id, row.row, row.reason) for row in bad} == {
        ("three", "line 3", "open_answer"), ("four", "line 4", "no_gold"), ("five", "line 5", "missing_image"),
    }  # fmt: skip


def test_other_sources_keep_their_golds(tmp_path):
    problems, bad = load_source(TinyWorldData(split="train", n=5))
    assert len(problems) == 5 and bad == []
