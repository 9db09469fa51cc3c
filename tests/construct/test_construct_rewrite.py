"""Phrase-level rewriting: what becomes of talk about a description, and what must not come of it."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reasoner_talk import LEFT_ALONE, REFUSED, REWRITTEN

from vision_r1.construct.missing import missing_talk
from vision_r1.construct.phrases import PHRASES
from vision_r1.construct.rewrite import leftover_talk, residual_talk, rewrite


@pytest.mark.parametrize(("before", "after"), REWRITTEN)
def test_phrases(before, after):
    assert rewrite(before) == after
    assert residual_talk(after) is None
    # In the middle of a thought as by itself.
    around = rewrite(f"Let me see. {before}\n\nSo 5. {before} Done.")
    assert around == f"Let me see. {after}\n\nSo 5. {after} Done."


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_other_text_is_left_alone(text):
    assert rewrite(text) == text
    assert residual_talk(text) is None


@pytest.mark.parametrize("text", REFUSED)
def test_what_no_pattern_fits_is_refused(text):
    assert residual_talk(rewrite(f"Okay. {text} So 5.")) is not None


def test_every_phrase_is_of_use(monkeypatch):
    used = set()

    def recording(phrase):
        def becomes(match):
            used.add(phrase.pattern.pattern)
            return phrase.becomes(match)

        return phrase._replace(becomes=becomes)

    monkeypatch.setattr("vision_r1.construct.rewrite.PHRASES", tuple(map(recording, PHRASES)))
    for before, after in REWRITTEN:
        assert rewrite(before) == after
    assert [each.pattern.pattern for each in PHRASES if each.pattern.pattern not in used] == []


NOUNS = [
    "The description",
    "the description",
    "The image description",
    "the given caption",
    "this description of the chart",
    "the user's description",
    "the text",
    "the user",
]
VERBS = [
    "says",
    "says that",
    "also states that",
    "states",
    "shows",
    "displays",
    "depicts",
    "mentions",
    "lists",
    "describes",
    "notes that",
    "reads",
    "is about",
    "seems to say",
]
OBJECTS = [
    "the numbers are 1 2",
    "three bars",
    "a circle that shows 5",
    "the image shows 3",
    "it has two rows",
    "5",
    "all sides are equal",
]
LEADS = [
    "",
    "Hmm, ",
    "Wait. ",
    "According to ",
    "I check ",
    "As described in ",
    "Let me re-read ",
    "So ",
    "I can't see the image, but ",
    "In ",
]
talk = st.lists(
    st.tuples(*map(st.sampled_from, (LEADS, NOUNS, ["", *VERBS], OBJECTS))).map(
        lambda parts: f"{parts[0]}{parts[1]} {parts[2]} {parts[3]}.".replace("  ", " ")
    ),
    min_size=1,
    max_size=4,
).map(" ".join)
WORDS = [
    *(
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
    ),
    *(
        "described",
        "read",
        "is",
        "are",
        "5",
        ".",
        ",",
        "not",
        "provided",
        "user",
        "text",
        "it",
        "a",
        "given",
        "by",
    ),
    *("I", "can't", "see", "but", "and", "question", "also", "user's", "mentions", "from", "\n"),
]
_DOUBLED = re.compile(r"\b(depicts|displays|shows|presents|says)\s+(depicts|displays|shows|presents|says)\b")
any_text = st.one_of(talk, st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join), st.text(max_size=100))


@settings(max_examples=300, deadline=None)
@given(talk)
def test_the_published_artefacts_never_arise(text):
    result = rewrite(text)
    assert not _DOUBLED.search(result), result
    assert "image image" not in result
    assert re.findall(r"\d+", result) == re.findall(r"\d+", text)


@settings(max_examples=400, deadline=None)
@given(any_text)
def test_rewriting_twice_changes_nothing_more(text):
    once = rewrite(text)
    assert rewrite(once) == once
    assert len(re.findall("description|caption", once, re.I)) <= len(
        re.findall("description|caption", text, re.I)
    )


@settings(max_examples=200, deadline=None)
@given(any_text)
def test_what_passes_speaks_of_no_description(text):
    result = rewrite(text)
    if residual_talk(result) is None:
        assert not re.search(
            r"\b(?:description|caption)s?\b(?! (?:column|field|label|box|row))", result, re.I
        )
        assert not _DOUBLED.search(result.lower())


@pytest.mark.parametrize(
    "piece",
    [
        "the description says that ",
        "the image shows that ",
        "the description of the image ",
        "I can't see the image, but ",
        "the given ",
        "as described in ",
        "the user says that the ",
        "description ",
        "the text says ",
        "see the\n",
        "is not mentioned in the ",
        "the image does not give all the ",
        "the text on ",
        "described by the given ",
        "image ",
        "not ",
        " ",
    ],
)
def test_time_grows_with_the_length_only(piece):
    def seconds(size):
        text = piece * (size // len(piece))
        begin = time.process_time()
        residual_talk(rewrite(text))
        return time.process_time() - begin

    seconds(2_000)
    # Ten times the text in far less than a hundred times the time.
    assert seconds(200_000) < max(40 * min(seconds(20_000) for _ in range(3)), 1.0)


@pytest.mark.parametrize("harmless", ["the description column", "captioning a video", "I was told to count"])
def test_a_word_that_a_window_cuts_is_read_whole(harmless):
    for padding in range(60, 200):
        text = f"It describes. {'x' * padding} and {harmless} of it."
        assert leftover_talk(text) is None
    for padding in range(60, 200):
        text = f"It describes. {'x' * padding} and the description of it."
        assert leftover_talk(text) == "description"


@pytest.mark.parametrize("space", [" ", "\n", "\t", "\u00a0", "\u202f", "\u2009", "\r", "  "])
def test_missing_talk_is_found_whatever_the_white_space(space):
    assert missing_talk(f"The description does{space}not mention the colour.") is not None
