"""Answers that a careful reader judged, written in twenty-one sets before the grader saw them."""

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
    "11-b361": "'Answer: 2.5 million' for a gold 2.5: a scale that neither the gold nor the problem names",
    "11-b368": "'Eva circles buoys 1 and 3 ..., and 2, 4 and 5 ...': two answers, one of them asked for",
    "11-b395": "a domain in brackets behind a polynomial",
    "12-bx012": "a list in another order: whether the order counts stands in the question",
    "12-bx040": "'65 years and over' for a gold '65+'",
    "12-bx157": "radians for a gold without a unit that was in degrees",
    "15-fc023": "as 12-bx012: two names that are compared, in another order",
    "15-fc096": "the last sentence adds figures: 'It is the longest ..., as the others last 75 and 80 minutes.'",
    "15-fc230": "'7:5' for a gold '1.4': a ratio is no decimal",
    "15-fc299": "two points of intersection in another order",
    "16-fd049": "as 2-cq-49-r1: 0.18% for 0.18",
    "17-fe-229": "a sentence that states a number, where the place in it was asked for",
    "21-g047": "'The choice is C) 12 cm, since ...': a letter with its text behind words, and a reason",
    "21-g052": "'turned back three times'",
    "21-g062": "'30.45 births per 1,000 inhabitants': a rate",
    "21-g133": "the change behind the two values: 'from 41,200 to 47,500, an increase of 6,300'",
    "21-g150": "'took place from 2005 to 2010' for a gold '2005-2010'",
    "21-g156": "a list in the braces of a set",
    "21-g159": "'x = 1 or x = 4' for a gold '{1, 4}'",
    "21-g217": "a gold of five words in quotation marks",
    "21-g286": "a number stands beside the letter of another option's number: '0 zeros, i.e. choice (C)'",
    "21-g291": "'534.3 million' for a gold '534.3', no money",
    "18-106": "the sentence denies something else: '17 percent of respondents said they never read'",
    "18-138": "as 15-fc299",
    "20-015": "'Of all the students asked, 35% prefer tea.'",
    "20-054": "what is left after 'everything else' goes",
    "20-058": "'leave 120° for angle BAD', with 'two' before it",
    "20-193": "'That brings the price of one pen to $3.25.': 'one' is taken for a second number",
    "20-060": "LaTeX without dollars behind 'measures'",
}
# Sentences of set 16, which was made to be hard: other figures, names or a denial stand beside what is claimed.
_HARD = """008 012 017 047 055 066 081 092 094 096 100 102 114 141 150 152 175 177 179 205 219 224 226 241 245 249
    251 262 266 271 273 277 281 283"""
KNOWN |= {
    f"16-fd{number}": "the claim is not told apart from what stands beside it" for number in _HARD.split()
}


def spec(row):
    options = tuple(row.get("options", ()))
    return GradeSpec(
        row["gold"], row.get("answer_type", "auto"), options, row.get("precision"), row.get("unit")
    )


def judge(number):
    rows = [row for row in ROWS if row["set"] == number]
    return {row["id"]: (grade_response(row["response"], spec(row)), row) for row in rows}


@pytest.mark.parametrize("number", range(1, 22))
def test_the_grader_agrees_with_a_careful_reader(number):
    verdicts = judge(number)
    differ = {key for key, (verdict, row) in verdicts.items() if verdict.correct != row["right"]}
    assert differ == {key for key in KNOWN if key in verdicts}
    assert not [key for key in differ if not verdicts[key][1]["right"]]


def test_the_sets_hold_right_and_wrong_answers_of_many_kinds():
    assert len(ROWS) == len({row["id"] for row in ROWS}) >= 7000
    right = Counter((row["set"], row["right"]) for row in ROWS)
    assert all(right[number, side] >= 60 for number in range(1, 22) for side in (True, False))
    assert len({row.get("answer_type", "auto") for row in ROWS}) >= 20


def test_the_command_says_the_same(tmp_path):
    rows = [row for row in ROWS if row["set"] == 4]
    path, out = tmp_path / "judged.jsonl", tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    summary = grade_file(path, out)
    assert summary.n == len(rows)
    assert summary.statuses["right"] == sum(row["right"] and row["id"] not in KNOWN for row in rows)
