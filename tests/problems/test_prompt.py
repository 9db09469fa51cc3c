"""What the model is asked: the question, and its choices where they do not stand in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.problems import Problem


def prompt(question, *options):
    return Problem("p", question, "A", options=options).prompt


@given(st.text())
def test_without_options_the_prompt_is_the_question_byte_for_byte(question):
    assert prompt(question) == question


def test_options_follow_the_question_with_their_letters():
    assert prompt("<image>Find x.", "2.0", "4.1") == "<image>Find x.\nChoices:\n(A) 2.0\n(B) 4.1"


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Find x. (A) 2.0 (B) 4.1", ("2.0", "4.1")),
        ("Which one?\n(A) the first\n(B) the second", ("first", "second")),
        ("Is the function linear or nonlinear?", ("linear", "nonlinear")),
    ],
)
def test_options_that_stand_in_the_question_are_not_repeated(question, options):
    assert prompt(question, *options) == question


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Is it (A) or what?", ("2.0", "4.1")),
        ("Is the function nonlinear?", ("linear", "nonlinear")),
        ("How many of the 42 are red?", ("2", "4")),
        ("The ring has 4, 1 and 6. Which is missing?", ("6", "4")),
        ("Find x.", ("(", "[")),
    ],
)
def test_options_of_which_only_a_part_stands_in_the_question_are_given(question, options):
    expected = [f"({letter}) {option}" for letter, option in zip("AB", options, strict=True)]
    assert prompt(question, *options) == "\n".join([question, "Choices:", *expected])


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=5))
def test_every_option_is_in_the_prompt(question, options):
    text = prompt(question, *options)
    assert text.startswith(question)
    letters = [f"({letter})" for letter in "ABCDE"[: len(options)]]
    assert all(o in text for o in options) or all(letter in text for letter in letters)
