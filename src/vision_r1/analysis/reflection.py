"""Reflection words: how often traces question themselves (the paper's Table 4).

The paper does not say how it counts. Here every occurrence counts, in any letter case, as a whole
word: "Wait" and "wait," are one each, "checking" and "awaits" are none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

WORDS = ("Wait", "Hmm", "Mistake", "Alternatively", "Check")

# Table 4 of arXiv 2503.06749: occurrences in each data set, by the nominal number of its traces.
PUBLISHED_SIZES = {"LLaVA-CoT": 100_000, "Mulberry": 260_000, "Vision-R1-cold": 200_000}
PUBLISHED = {
    "Wait": {"LLaVA-CoT": 2_300, "Mulberry": 1_122, "Vision-R1-cold": 585_719},
    "Hmm": {"LLaVA-CoT": 1, "Mulberry": 0, "Vision-R1-cold": 75_853},
    "Mistake": {"LLaVA-CoT": 183, "Mulberry": 8_784, "Vision-R1-cold": 26_697},
    "Alternatively": {"LLaVA-CoT": 251, "Mulberry": 68, "Vision-R1-cold": 188_187},
    "Check": {"LLaVA-CoT": 8_332, "Mulberry": 26_421, "Vision-R1-cold": 100_148},
}
_KEYS = {word.lower(): word for word in WORDS}


def reflection_counts(texts: Iterable[str]) -> dict[str, int]:
    """Occurrences of each reflection word over a set of traces."""
    counts = dict.fromkeys(WORDS, 0)
    for text in texts:
        lowered = text.lower()
        for key, word in _KEYS.items():
            counts[word] += _whole_words(lowered, key)
    return counts


def _whole_words(text: str, word: str) -> int:
    """Occurrences of `word` with no letter, digit or underscore beside it.

    What a pattern with word boundaries counts, several times as fast: a set has gigabytes of thoughts.
    """
    count, start = 0, text.find(word)
    while start >= 0:
        end = start + len(word)
        count += not (_in_word(text[start - 1 : start]) or _in_word(text[end : end + 1]))
        start = text.find(word, end)
    return count


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def reflection_table(sets: dict[str, list[str]]) -> dict[str, Any]:
    """The paper's Table 4 with our sets of traces beside the published ones.

    Args:
        sets: name -> traces.

    Returns:
        {"traces": {name: size}, "words": {word: {name: count}}, "per_1000": the same per 1,000
        traces}; the published sets are among the names.
    """
    sizes = {name: len(texts) for name, texts in sets.items()} | PUBLISHED_SIZES
    counted = {name: reflection_counts(texts) for name, texts in sets.items()}
    words = {
        word: {name: counts[word] for name, counts in counted.items()} | PUBLISHED[word] for word in WORDS
    }
    per_1000 = {
        word: {
            name: round(1000 * count / sizes[name], 2) if sizes[name] else None for name, count in row.items()
        }
        for word, row in words.items()
    }
    return {"traces": sizes, "words": words, "per_1000": per_1000}
