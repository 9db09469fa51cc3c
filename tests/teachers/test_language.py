import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.problems.drawing import SHAPES
from vision_r1.problems.tiny_world import FAMILIES, random_problem
from vision_r1.teachers.language import (
    Facts,
    caption,
    description,
    facts_of,
    parse_description,
    parse_reading,
    reading,
)
from vision_r1.teachers.steps import Step, apply, plain, solve

digits = st.integers(0, 9)


@st.composite
def facts(draw):
    layout = draw(st.sampled_from(["row", "table", "bars", "shapes"]))
    n = draw(st.integers(2, 6))
    row = tuple(draw(st.lists(digits, min_size=n, max_size=n)))
    if layout == "table":
        return Facts(layout, (row, tuple(draw(st.lists(digits, min_size=n, max_size=n)))))
    heights = tuple(draw(st.permutations(range(1, 7)))[:n]) if layout == "bars" else ()
    shapes = (
        tuple(draw(st.lists(st.sampled_from(SHAPES), min_size=n, max_size=n))) if layout == "shapes" else ()
    )
    return Facts(layout, (row,), heights, shapes)


@given(facts())
def test_a_description_says_everything_and_a_caption_nothing(said):
    assert parse_description(description(said)) == said
    assert parse_description(caption(said)) is None


@given(facts())
def test_a_reading_says_everything(said):
    assert parse_reading(said.layout, reading(said)) == said
    other = {"bars": "shapes", "shapes": "bars", "row": "bars", "table": "shapes"}[said.layout]
    assert parse_reading(other, reading(said)) is None


@given(st.text(max_size=300), st.sampled_from(["row", "table", "bars", "shapes"]))
def test_any_text_is_parsed_without_error(text, layout):
    parse_description(text)
    parse_reading(layout, text)
    parse_description("From left to right, the numbers are " + text)


def test_bars_with_as_many_heights_as_numbers_only():
    assert parse_description("From left to right, the bars have heights 1 2 3, numbers 4 5.") is None


@given(st.integers(0, 2**31), st.sampled_from(list(FAMILIES)), st.booleans())
@settings(max_examples=300, deadline=None)
def test_steps_agree_with_the_worlds_own_answers(seed, family, larger):
    problem = random_problem(np.random.default_rng(seed), FAMILIES[family], "train", larger=larger)
    solution = solve(problem.question, facts_of(problem.meta["scene"]))
    assert str(solution.answer) == problem.answer
    for part in solution.parts:
        for step in part if not isinstance(part, str) else ():
            assert step.value == (apply(step.a, step.op, step.b) if step.op else step.a)
    last = [part for part in solution.parts if not isinstance(part, str)]
    assert not last or last[-1][-1].value == solution.answer


def test_a_question_it_does_not_know_is_not_answered():
    assert solve("What colour is the sky?", Facts("row", ((1, 2),))) is None
    assert Step(8, "-", 2, 6).text() == "8-2=6"
    assert Step(8, "-", 2, 6).text(7) == "8-2=7"


@pytest.mark.parametrize(
    ("question", "facts", "written"),
    [
        (
            "What is the sum of the numbers in circles?",
            Facts("shapes", ((3, 5, 2),), (), ("circle", "square", "circle")),
            "3 circle circle? yes 0+3=3, 5 square circle? no 3, 2 circle circle? yes 3+2=5.",
        ),
        (
            "What is the sum of the numbers under the bars that are taller than the first bar?",
            Facts("bars", ((4, 7, 1),), (3, 5, 2)),
            "The first is 3. 5:7 yes 0+7=7, 2:1 no 7.",
        ),
        (
            "What is the difference between the sum of the even and the sum of the odd numbers?",
            Facts("row", ((3, 2, 8),)),
            "3 odd 0+3=3, 2 even 0+2=2, 8 even 2+8=10. 10-3=7.",
        ),
        (
            "How many numbers are even? Multiply this count by the first number.",
            Facts("row", ((4, 3, 8),)),
            "4 even 1, 3 odd 1, 8 even 2. 2*4=8.",
        ),
    ],
)
def test_a_choice_is_made_cell_by_cell(question, facts, written):
    assert plain(solve(question, facts)) == written
