"""The claim that a response without any mark closes with."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.grading import GradeSpec, extract, grade_response, hfrrf
from vision_r1.grading.chains import chain_values
from vision_r1.grading.closing import closing_claims
from vision_r1.grading.dated import dated_twice, without_date

WORK = "I go through the picture from left to right and note each of its parts, one after the other. " * 3
# (gold, options, the last line, a line that only mentions the gold)
CASES = [
    ("D", "ABCDE", "Therefore the kittens are shown in picture **D**.", "Compare this with picture **D**."),
    ("C", ("6", "8", "10"), "So the area is 10. **C**", "So the area is 8. **C**"),
    (
        "blue",
        ("red", "blue"),
        "So the missing part must be blue.",
        "The missing part is next to the blue part.",
    ),
    ("Belize", (), "The red line bar represents Belize.", "The red line bar stands next to Belize."),
    ("Generation Z", (), "Generation Z lost the most weight.", "Generation X lost more than Generation Z."),
    ("May", (), "The hottest month is May, at roughly 25 °C.", "The hottest month is the one after May."),
    ("54", (), "Its area is d²/2 = 4·27/2 = 54.", "Its area is d²/2 = 4·27/2 = 45, not 54."),
    ("0.2549", (), "P = 13/51 ≈ 0.2549", "P = 13/52 ≈ 0.2549"),
    ("27.5", (), "Mali has **27.5%**, above the average (21.2%).", "Mali has **21.2%**, below the 27.5%."),
    ("$4.30", (), "A tape costs $4.30 more than a wrench.", "A tape costs more than $4.30."),
    ("6", (), "Thus, the wall misses six bricks in total.", "Thus, there were 6 errors in the list."),
    ("x < -1 or x > 2", (), "It lies above it when $x < -1$ or $x > 2$.", "It lies above it when $x < -1$."),
    ("12", (), "12 tiles are missing.", "Assume that 12 tiles are missing."),
    (
        "583",
        (),
        "As of June 27, 2020, it operated 583 shops.",
        "In 2019 it had 604 shops, and in 2020 it had 583.",
    ),
    ("33", (), "33 students sold more than 3 boxes.", "More than 33 students sold 3 boxes."),
    ("8", (), "8% of firms expected access to it in 2015.", "8% of 40 firms were small in 2015."),
    ("concave", (), "So it is concave rather than convex.", "So it is convex rather than concave."),
    ("UK", (), "The top bar belongs to the United Kingdom.", "The top bar belongs to Ukraine."),
    (
        "(2,5]",
        (),
        "It is all real numbers $x$ such that $2 < x \\le 5$.",
        "Let $x$ be such that $2 < x \\le 5$.",
    ),
    ("18-29", (), "Ages 18-29", "Ages outside 18-29"),
    ("2011-2018", (), "The data cover the period from 2011 to 2018.", "The data skip the years 2011-2018."),
    ("x > 4", (), "The graph lies above the x-axis when x > 4.", "It would lie above the x-axis when x > 4."),
    ("8:5", (), "The ratio x : y is 8 : 5.", "The ratio x : y is half of 8 : 5."),
    ("14 m", (), "So the room is 14 m long.", "Each part of the room is 14 m long."),
    ("73", (), "They sold 41 + 32 = 73 tulips in May.", "They sold 41 + 42 = 73 tulips in May."),
    ("2.5 million", (), "The population grew to 2.5 million.", "The target grew to 2.5 million."),
    ("UK", (), "The top bar is for the United Kingdom (UK).", "The title of the bar is for the UK."),
    ("2016", (), "Sales overtook those of the rival in 2016.", "It began long before it ended in 2016."),
    ("$7.70", (), "It is $15.40, which works out to $7.70 a seat.", "It works out to $7.70 a seat too much."),
    (
        "Elm Bank",
        ("Elm Bank", "Oak Bank"),
        "Elm Bank is the better choice.",
        "Elm Bank is hardly the better choice.",
    ),
    ("July 2012", (), "It was highest in July 2012, when it was 9.", "It fell from May 2010 to July 2012."),
]


def grade(gold, options, line):
    return grade_response(f"{WORK}\n\n{line}", GradeSpec(gold, options=tuple(options))).correct


@pytest.mark.parametrize(("gold", "options", "claims", "mentions"), CASES)
def test_a_claim_is_right_and_a_mention_is_not(gold, options, claims, mentions):
    assert grade(gold, options, claims)
    assert not grade(gold, options, mentions)


@pytest.mark.parametrize(("gold", "options", "claims", "mentions"), CASES)
@pytest.mark.parametrize(
    "spoilt",
    [
        "If that is so: {}",
        "It is wrong that {}",
        "{} But that is only a guess, and it may well be another one.",
        "- {}",
        "Is it true? {}?",
    ],
)
def test_a_claim_in_doubt_is_none(gold, options, claims, mentions, spoilt):
    if "**C**" in claims:
        pytest.skip("two sentences: the doubt is about the first")
    assert not grade(gold, options, spoilt.format(claims))


@pytest.mark.parametrize(("gold", "options", "claims", "mentions"), CASES)
def test_another_gold_is_not_right(gold, options, claims, mentions):
    others = {case[0] for case in CASES} - {gold}
    assert not [other for other in others if grade(other, (), claims)]


@pytest.mark.parametrize(
    "end", ["is", "so we get", "= 4 +", "equals", "because", "$x = 12", "the", "->", ","]
)
def test_a_text_that_was_cut_off_has_no_claim(end):
    assert closing_claims(f"{WORK}\n\nThe area is 12 and therefore the number that we look for {end}") == ()


def test_only_a_text_without_marks_is_read_so():
    line = "Therefore the kittens are shown in picture D."
    assert extract(f"{WORK}\n\n{line}").unmarked.endswith(line)
    for marked in ("<answer>{}</answer>", "Final Answer: {}", "\\boxed{{{}}}", "The answer is: {}"):
        assert not extract(f"{WORK}\n\n{marked.format(line)}").unmarked


def test_an_untagged_response_earns_no_reward():
    assert hfrrf(f"{WORK}\n\n{CASES[0][2]}", GradeSpec("D", options=tuple("ABCDE")), "eos").reward == 0


@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 9))
def test_the_end_of_a_chain_is_claimed_only_if_the_sum_is_right(a, b, error):
    assert list(chain_values(f"the area is {a} · {b} = {a * b}.")) == [str(a * b)]
    assert not list(chain_values(f"the area is {a} · {b} = {a * b + error}."))


@given(
    st.integers(1900, 2030),
    st.integers(1, 1400),
    st.sampled_from(["In {}, ", "As of May 3, {}, ", "By {}, "]),
)
def test_a_date_is_set_aside_and_never_the_value(year, value, lead):
    text = f"{lead.format(year)}the chain operated {value} shops."
    assert without_date(text) == f"the chain operated {value} shops."
    assert without_date(f"It was built in {year}.") == f"It was built in {year}."
    both = f"in {year} it had {value} shops and in {year + 1} it had {value + 1}."
    assert dated_twice(both) and without_date(both) == both


@given(st.text(max_size=300))
def test_any_text_has_some_claims_or_none(text):
    assert all(isinstance(claim, str) for claim in closing_claims(text, ("red", "12")))


@pytest.mark.parametrize(
    "text",
    [
        "$" * 5000,
        "**a" * 3000,
        "so, " * 3000,
        "= 1 " * 3000,
        "(" * 5000,
        "is the most " * 2000,
        "a, which is " * 2000,
        "in 2019 and " * 2000,
        "is, and its half " * 2000,
        "more than 3 " * 2000,
        "not a " * 2000,
    ],
)
def test_the_time_is_bounded(text):
    begin = time.perf_counter()
    closing_claims(text)
    closing_claims(f"{WORK}\n{text[:399]}.")
    assert time.perf_counter() - begin < 0.5
