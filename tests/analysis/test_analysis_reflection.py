"""Reflection words and intervals."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.analysis.intervals import share_of, wilson
from vision_r1.analysis.reflection import PUBLISHED, WORDS, reflection_counts, reflection_table


def test_whole_words_in_any_case_and_nothing_else():
    text = (
        "Wait, wait. WAIT! awaits waiting hmm, Hmmm. Check: checking checked. Mistakes mistake. alternatively"
    )
    assert reflection_counts([text]) == {"Wait": 3, "Hmm": 1, "Mistake": 1, "Alternatively": 1, "Check": 1}


@given(st.lists(st.lists(st.sampled_from([*WORDS, "the", "waits"]), max_size=20), max_size=6))
def test_counts_are_those_of_the_words_written(traces):
    counts = reflection_counts(" ".join(words) for words in traces)
    assert counts == {word: sum(words.count(word) for words in traces) for word in WORDS}


def test_the_table_puts_ours_beside_the_published_counts():
    table = reflection_table({"ours": ["Wait, check."] * 4, "none": []})
    assert table["words"]["Wait"] == {"ours": 4, "none": 0, **PUBLISHED["Wait"]}
    assert table["per_1000"]["Check"]["ours"] == 1000
    assert table["per_1000"]["Check"]["none"] is None
    assert table["per_1000"]["Wait"]["Vision-R1-cold"] == pytest.approx(2928.6, abs=0.1)


@given(st.integers(0, 60), st.integers(0, 60))
def test_wilson_solves_its_defining_equation(successes, more):
    n = successes + more
    low, high = wilson(successes, n)
    assert 0 <= low <= high <= 1
    if n:
        share = successes / n
        assert low <= share <= high
        for bound, end in ((low, 0.0), (high, 1.0)):
            if bound != end:
                # |share - p| = z * sqrt(p(1-p)/n): where the score test just rejects.
                distance = 1.959963984540054 * (bound * (1 - bound) / n) ** 0.5
                assert abs(share - bound) == pytest.approx(distance, abs=1e-9)


def test_a_share_of_nothing_is_unknown():
    assert share_of(0, 0) == {"count": 0, "n": 0, "share": None, "ci95": [0.0, 1.0]}
    with pytest.raises(ValueError, match="not a share"):
        wilson(3, 2)


@given(
    st.text(st.sampled_from("waitcheckhm _-.,1éWAITCHECK\n"), max_size=60)
    | st.text(st.characters(codec="ascii"))
)
def test_words_are_counted_as_a_pattern_with_word_boundaries_counts_them(text):
    counts = reflection_counts([text])
    assert counts == {word: len(re.findall(rf"\b{word}\b", text, re.IGNORECASE)) for word in WORDS}
