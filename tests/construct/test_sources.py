"""Golds out of published answers. The texts are ours, in the forms of the published sets."""

import io
import json
import os
from pathlib import Path
from string import ascii_uppercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vision_r1.construct.sources import Loading, choice_gold, free_gold, gradeable, load_source, settled_gold
from vision_r1.core.config import validate
from vision_r1.core.progress import Silent
from vision_r1.grading import GradeSpec, grade_response
from vision_r1.problems import Problem
from vision_r1.problems.choices import choices_in
from vision_r1.problems.config import FileData, TinyWorldData
from vision_r1.problems.faults import BadRow

REPO = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("VISION_R1_SHARED_DATA", REPO.parent / "shared" / "data"))
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
    problems, bad = load_source("set", config, Loading(Silent()))
    assert [(p.id, p.answer, p.answer_type) for p in problems] == [
        ("one", "B", "choice"),
        ("two", "3", "auto"),
    ]
    assert {(row.source_id, row.row, row.reason) for row in bad} == {
        ("three", "line 3", "open_answer"), ("four", "line 4", "no_gold"), ("five", "line 5", "missing_image"),
    }  # fmt: skip


def test_other_sources_keep_their_golds(tmp_path):
    problems, bad = load_source("set", TinyWorldData(split="train", n=5), Loading(Silent()))
    assert len(problems) == 5 and bad == []


# --- real rows, written as the published sets write theirs ---

BLOCKS = [("\nOptions: {}", "({}) {}", " "), ("\n{}", "{}. {}", "\n"), ("\nChoices:\n{}", "{}: {}", "\n")]
STATED = [
    "{letter}", "The answer is {letter}.", "{letter}. {text}", "({letter}) {text}", "{letter}: {text}", "{text}",
    "It is {text}. The answer is {letter}.", "The correct answer is {letter}) {text}.",
]  # fmt: skip
FREE = ["{}", "The answer is {}.", "\\boxed{{{}}}", "**Answer:** {}"]


@pytest.mark.parametrize(
    "name", ["mathvision_testmini", "tabmwp_dev", "puzzlevqa", "geometry3k", "chartqa_test", "dynamath"]
)
def test_choices_and_golds_of_real_rows_come_back(name):
    from vision_r1.pipeline.commands import data_config
    from vision_r1.problems import load_problems

    if not SHARED.is_dir():
        pytest.skip(f"no real benchmark rows: {SHARED} does not exist (set VISION_R1_SHARED_DATA)")
    config = data_config(REPO / "examples" / "data" / f"{name}.yaml")
    problems = load_problems(config.model_copy(update={"path": SHARED / name / "problems.jsonl"}))
    forms, lost = 0, []
    for problem in problems:
        lettered = list(zip(ascii_uppercase, problem.options, strict=False))
        for head, form, separator in BLOCKS if lettered else ():
            block = separator.join(form.format(letter, text) for letter, text in lettered)
            assert choices_in(problem.question + head.format(block)) == problem.options
        for form in STATED if lettered else FREE:
            forms += 1
            text = dict(lettered).get(problem.answer, "")
            published = form.format(problem.answer, letter=problem.answer, text=text)
            gold = choice_gold(published, problem.options) if lettered else free_gold(published)
            if gold is None or not grade_response(gold, GradeSpec.of(problem)).correct:
                lost.append((published, gold))
    # A choice whose text is another's letter, one that begins with dots, a gold that is a whole sentence.
    assert forms > 200 and len(lost) <= max(2, forms / 150), lost


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=8), max_size=5).map(tuple))
def test_any_published_text_is_settled_or_set_aside(published, options):
    settled = settled_gold(Problem("x", "q", published or "?", options=options))
    if isinstance(settled, Problem):
        assert isinstance(gradeable(settled), Problem)
        assert grade_response(published or "?", GradeSpec.of(settled)).correct
