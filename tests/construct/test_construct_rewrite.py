"""Phrase-level rewriting: what becomes of talk about a description, and what must not come of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.construct.rewrite import residual_talk, rewrite


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("The description says the numbers are 1 2.", "The numbers are 1 2."),
        ("Hmm, the description says the bars have heights 1 2.", "Hmm, the bars have heights 1 2."),
        ("The image description states that it reads 5.", "It reads 5."),
        ("The description mentions three bars.", "The image shows three bars."),
        ("The given description shows a circle.", "The image shows a circle."),
        ("The image description depicts a circle.", "The image shows a circle."),
        ("According to the description, AB is 5.", "According to the image, AB is 5."),
        ("From the caption above, AB is 5.", "From the image, AB is 5."),
        ("Let me re-read the description.", "Let me look at the image."),
        ("Let me check the image's caption again.", "Let me check the image again."),
        ("AB is 5, as stated in the description.", "AB is 5, as the image shows."),
        ("The length given in the description is 5.", "The length shown in the image is 5."),
        ("The description of the chart lists 3 values.", "The image shows 3 values."),
    ],
)
def test_phrases(before, after):
    assert rewrite(before) == after
    assert residual_talk(after) is None


@pytest.mark.parametrize(
    "text",
    [
        "The numbers are 1 2. The circle is circumscribed about the square.",
        "The image shows a table. The chart displays sales. It says 5.",
        "A prescription for Alternatively described arcs.",
    ],
)
def test_other_text_is_left_alone(text):
    assert rewrite(text) == text
    assert residual_talk(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Such descriptions are vague.",
        "A description was written by someone.",
        "The caption might be wrong.",
        "The height is not provided.",
        "The image does not mention the numbers.",
        "The graph depicts shows a line.",
        "It displays displays 5.",
    ],
)
def test_what_no_pattern_fits_is_refused(text):
    assert residual_talk(rewrite(text)) is not None


NOUNS = [
    "The description",
    "the description",
    "The image description",
    "the given caption",
    "this description of the chart",
]
VERBS = [
    "says",
    "says that",
    "states",
    "shows",
    "displays",
    "depicts",
    "mentions",
    "lists",
    "describes",
    "notes that",
    "reads",
]
OBJECTS = [
    "the numbers are 1 2",
    "three bars",
    "a circle that shows 5",
    "it has two rows",
    "5",
    "all sides are equal",
]
LEADS = ["", "Hmm, ", "Wait. ", "According to ", "I check ", "As described in ", "Let me re-read ", "So "]
talk = st.lists(
    st.tuples(*map(st.sampled_from, (LEADS, NOUNS, ["", *VERBS], OBJECTS))).map(
        lambda parts: f"{parts[0]}{parts[1]} {parts[2]} {parts[3]}.".replace("  ", " ")
    ),
    min_size=1,
    max_size=4,
).map(" ".join)
WORDS = [
    "the",
    "description",
    "caption",
    "image",
    "says",
    "that",
    "shows",
    "displays",
    "depicts",
    "of",
    "in",
    "as",
    "described",
    "read",
    "is",
    "are",
    "5",
    ".",
    ",",
    "not",
    "provided",
]
_DOUBLED = re.compile(r"\b(depicts|displays|shows|presents|says)\s+(depicts|displays|shows|presents|says)\b")


@settings(max_examples=300, deadline=None)
@given(talk)
def test_the_published_artefacts_never_arise(text):
    result = rewrite(text)
    assert not _DOUBLED.search(result), result
    assert "image image" not in result
    assert re.findall(r"\d+", result) == re.findall(r"\d+", text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(talk, st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join), st.text(max_size=100)))
def test_rewriting_twice_changes_nothing_more(text):
    once = rewrite(text)
    assert rewrite(once) == once
    assert len(re.findall("description|caption", once, re.I)) <= len(
        re.findall("description|caption", text, re.I)
    )
