"""How much a text keeps of what a problem needs: on the tiny world, and on real gold tables and captions."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from construct_fakes import misread_facts, tiny_problems
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.construct.fidelity import fidelity, kept_items, kept_share
from vision_r1.construct.gold_facts import gold_facts, words_of
from vision_r1.problems.problem import Problem
from vision_r1.teachers.language import caption, description, facts_of

DATA = Path(os.environ.get("VISION_R1_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
TABLE = "Day | Letters\nFriday | 335\nSaturday | 355\nTuesday | 110\nWednesday | 401"
LETTERS = Problem(
    "t", "How many letters came on Tuesday and Wednesday?", "511",
    meta={"table": TABLE, "solution": "Tuesday: 110\nWednesday: 401\n110 + 401 = 511."},
)  # fmt: skip


def test_the_rows_that_the_solution_names_are_needed():
    facts = gold_facts(LETTERS)
    assert facts.layouts[0] == ((("tuesday",), ("110",)), (("wednesday",), ("401",)))
    assert facts.count == 4


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (TABLE, 1.0),
        ("On Tuesday 110 letters came, on Wednesday it was 401.", 1.0),
        ("| Tuesday | 110 |\n| Wednesday | 401 |", 1.0),
        ("The days are Friday, Saturday, Tuesday, Wednesday; the counts are 335, 355, 110, 401.", 1.0),
        ("A table of letters on four days.", 0.0),
        ("Tuesday is 110.", 0.5),
        ("Tuesday and Wednesday are rows.", 0.5),
        # Each number beside the other's label.
        ("Wednesday has 110 letters. " + "The rest is not of interest here. " * 5 + "Tuesday has 401.", 0.5),
    ],
)
def test_a_number_counts_beside_its_label(text, share):
    assert kept_share(gold_facts(LETTERS), text) == share


def test_the_lists_of_a_caption_are_needed_in_their_order():
    problem = Problem(
        "c", "?", "4", meta={"caption": "Circles in a ring with number [4, 1, 6, '?', 6, 1] around."}
    )
    facts = gold_facts(problem)
    assert facts.count == 5
    assert kept_share(facts, "Clockwise the numbers are four, one, six, a question mark, six and one.") == 1.0
    assert kept_share(facts, "The numbers are 1, 1, 4, 6, 6.") < 1.0


@settings(deadline=None)
@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=8),
    st.lists(st.sampled_from("abcdxy"), max_size=30),
)
def test_kept_items_is_a_common_subsequence(group, words):
    def common(one, other):
        best = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
        for i, a in enumerate(one):
            for j, b in enumerate(other):
                best[i + 1][j + 1] = best[i][j] + 1 if a == b else max(best[i][j + 1], best[i + 1][j])
        return best[-1][-1]

    kept = kept_items(tuple((letter,) for letter in group), words)
    assert kept <= common(group, words)
    assert (kept > 0) == bool(set(group) & set(words))
    assert kept_items(tuple((letter,) for letter in group), group) == len(group)


def test_bridging_is_told_from_captions_and_from_chance():
    problems = tiny_problems(120)
    scenes = [facts_of(problem.meta["scene"]) for problem in problems]
    bridged = [
        description(misread_facts(f, random.Random(i))) if i % 4 == 0 else description(f)
        for i, f in enumerate(scenes)
    ]
    result = fidelity(problems, {"caption": list(map(caption, scenes)), "description": bridged})
    arms, controls = result["arms"], result["controls"]
    assert result["scored"] == 120
    assert controls["gold"]["mean"] == 1.0
    assert 0.9 < arms["description"]["mean"] < 1.0 and 0.7 <= arms["description"]["all_kept"] < 0.9
    assert arms["caption"]["mean"] < controls["other_problem"]["description"]["mean"] < 0.7
    difference = result["differences"]["description"]
    assert difference["ci95"][0] > 0.5 and difference["more"] == 120
    # The values come behind the caption: cut to its length, a description has none of them.
    assert controls["cut_to_reference"]["description"]["difference"]["mean"] == pytest.approx(0, abs=0.05)
    assert json.dumps(result)


def test_rows_without_gold_or_text_are_left_out_and_counted():
    problems = [*tiny_problems(4), Problem("x", "?", "1")]
    texts = ["text", None, "text", "text", "text"]
    result = fidelity(problems, {"caption": texts})
    assert (result["problems"], result["scored"]) == (5, 3)
    assert fidelity(problems[4:], {"caption": ["text"]})["scored"] == 0


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_a_share(text):
    assert 0 <= kept_share(gold_facts(LETTERS), text) <= 1
    facts = gold_facts(replace(LETTERS, meta={"table": text}))
    assert facts is None or kept_share(facts, text) > 0


def test_hostile_text_takes_little_time():
    facts = gold_facts(Problem("x", "?", "1", meta={"caption": f"[{', '.join(['5'] * 130)}]"}))
    begin = time.monotonic()
    kept_share(facts, "5 " * 50_000)
    assert time.monotonic() - begin < 10


def real(name, **columns):
    path = DATA / name / "problems.jsonl"
    if not path.is_file():
        pytest.skip(f"no shared benchmark rows at {path}; set VISION_R1_SHARED_DATA")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Problem(str(i), row["question"], str(row["answer"]), meta={**row, **columns})
        for i, row in enumerate(rows)
    ]


@pytest.mark.parametrize("name", ["tabmwp_dev", "puzzlevqa"])
def test_real_gold_texts_keep_what_is_needed_and_others_do_not(name):
    problems = real(name)
    golds = [gold_facts(problem) for problem in problems]
    known = [gold for gold in golds if gold]
    assert len(known) > 0.9 * len(problems)
    texts = [gold.text if gold else None for gold in golds]
    result = fidelity(problems, {"caption": ["A picture."] * len(texts), "description": texts})
    assert result["controls"]["gold"]["mean"] > 0.97
    assert result["controls"]["other_problem"]["description"]["mean"] < 0.75
    assert result["arms"]["caption"]["mean"] < 0.05


def test_words_are_compared_without_marks():
    assert words_of("Three cats, 1,200 and 3.50!") == ["3", "cat", "1200", "and", "3.5"]
