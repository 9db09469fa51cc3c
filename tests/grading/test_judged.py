"""Answers that a careful reader judged, written in fourteen sets before the grader saw them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from vision_r1.grading import GradeSpec, grade_file, grade_response

FILE = Path(__file__).with_name("judged.jsonl")
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
# Judged right, graded wrong. An answer that is judged wrong must never be here: it would be rewarded.
KNOWN = {
    "2-cq-49-r1": "beside a number below 1 a percent sign is a factor: 0.8% is not 0.8",
    "2-cq-49-r3": "as 2-cq-49-r1",
    "9-num-r25": "a second number stands in the sentence: 'The bar for 2014 shows 8.'",
    "9-pctg-r7": "a second number stands in the sentence: 'It was 45% in 2014.'",
    "7-ch-4-r2": "'The orange line' for a gold 'Orange': what is more than the gold cannot be told from another answer",
    "10-a263": "two forms of one value: 'gives 40%, i.e. two fifths of the budget'",
    "11-b100": "'5G mobile technology' for a gold '5G', as 7-ch-4-r2",
    "11-b104": "a date that is told in two phrases: 'In 2020, in the month of May.'",
    "11-b341": "a remark that denies something else: 'yes, please note ... I can't see much of the rest'",
    "11-b368": "'Eva circles buoys 1 and 3 ..., and 2, 4 and 5 ...': two answers, one of them asked for",
    "11-b395": "a domain in brackets behind a polynomial",
    "12-bx012": "a list in another order: whether the order counts stands in the question",
    "12-bx040": "'65 years and over' for a gold '65+'",
    "12-bx157": "radians for a gold without a unit that was in degrees",
}


def spec(row):
    options = tuple(row.get("options", ()))
    return GradeSpec(
        row["gold"], row.get("answer_type", "auto"), options, row.get("precision"), row.get("unit")
    )


def judge(number):
    rows = [row for row in ROWS if row["set"] == number]
    return {row["id"]: (grade_response(row["response"], spec(row)), row) for row in rows}


@pytest.mark.parametrize("number", range(1, 15))
def test_the_grader_agrees_with_a_careful_reader(number):
    verdicts = judge(number)
    differ = {key for key, (verdict, row) in verdicts.items() if verdict.correct != row["right"]}
    assert differ == {key for key in KNOWN if key in verdicts}
    assert not [key for key in differ if not verdicts[key][1]["right"]]


def test_the_sets_hold_right_and_wrong_answers_of_many_kinds():
    assert len(ROWS) == len({row["id"] for row in ROWS}) >= 7000
    right = Counter((row["set"], row["right"]) for row in ROWS)
    assert all(right[number, side] >= 60 for number in range(1, 15) for side in (True, False))
    assert len({row.get("answer_type", "auto") for row in ROWS}) >= 20


def test_the_command_says_the_same(tmp_path):
    rows = [row for row in ROWS if row["set"] == 4]
    path, out = tmp_path / "judged.jsonl", tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    summary = grade_file(path, out)
    assert summary.n == len(rows)
    assert summary.statuses["right"] == sum(row["right"] and row["id"] not in KNOWN for row in rows)
