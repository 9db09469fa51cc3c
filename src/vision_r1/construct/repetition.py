"""Loops: a text that says the same thing over and over, in words, in short sentences, or without any.

Three measures, because each is blind to what the others find: phrases of many words, sentences (numbers
counted as equal where there are very many, so that a counter does not hide the loop), and how far the text
can be compressed.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter

_SENTENCE_END = re.compile(r"[.!?\n]+\s*")
_DIGITS = re.compile(r"\d+")
# A thought of ordinary prose compresses to a third or more of its size, one loop of it to a few percent.
_LEAST_SHARE = 0.06
_LEAST_BYTES = 600
_LONG_SENTENCE = 8  # words; a shorter one may come back by itself ("Let me check.")
_SHORT_FACTOR = 3
_COUNTER_FACTOR = 10
_SHARE = 0.1


def repetition(text: str, words_in_phrase: int, most: int) -> str | None:
    """What a text repeats too often, if anything.

    Args:
        text: the thought.
        words_in_phrase: length of the phrases that are counted.
        most: a phrase, or a sentence of 8 words, may occur this often. A shorter sentence may three
            times as often, and one that differs in its numbers only ten times as often, or more if it is
            less than a tenth of all sentences.
    """
    return _phrase(text, words_in_phrase, most) or _sentence(text, most) or _compressed(text)


def _phrase(text: str, size: int, most: int) -> str | None:
    words = text.split()
    if len(words) < size + most:
        return None
    # A phrase comes as often as its rarest word at most, so few have to be counted.
    often, phrases, start = Counter(words), Counter[tuple[str, ...]](), 0
    for end, word in enumerate(words, 1):
        if often[word] <= most:
            start = end
        elif end - start >= size:
            phrases[tuple(words[end - size : end])] += 1
    phrase, count = phrases.most_common(1)[0] if phrases else ((), 0)
    return f"{count} times: {' '.join(phrase)[:80]}" if count > most else None


def _sentence(text: str, most: int) -> str | None:
    sentences = [each for each in _SENTENCE_END.split(text) if each]
    if len(sentences) <= most:
        return None
    for sentence, count in Counter(sentences).most_common(3):
        long = len(sentence.split()) >= _LONG_SENTENCE
        if count > most * (1 if long else _SHORT_FACTOR) and (long or count >= _SHARE * len(sentences)):
            return f"{count} times: {sentence[:80]}"
    if len(sentences) <= most * _COUNTER_FACTOR:
        return None
    masked, count = Counter(_DIGITS.sub("0", each) for each in sentences).most_common(1)[0]
    if count > most * _COUNTER_FACTOR and count >= _SHARE * len(sentences):
        return f"{count} times, with other numbers: {masked[:80]}"
    return None


def _compressed(text: str) -> str | None:
    data = text.encode("utf-8", "surrogatepass")
    if len(data) < _LEAST_BYTES:
        return None
    size = len(zlib.compress(data, 1))
    return f"{len(data):,} bytes say what {size:,} could" if size < _LEAST_SHARE * len(data) else None
