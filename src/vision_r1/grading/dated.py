"""When something was so: "As of June 27, 2020, X operated 583 stores" gives one number.

A phrase that only dates a statement is set aside, but not where nothing else would be left to claim: in
"It was built in 1884" the year is what is stated.
"""

from __future__ import annotations

import re

from vision_r1.grading.phrases import FLAGS, any_of
from vision_r1.grading.values import VALUE
from vision_r1.grading.words import SPELT

_MONTHS = """january february march april may june july august september october november december"""
_YEAR = r"(?:1[5-9]|20)[0-9]{2}"
_ENDED = r"(?![0-9]|[.,/:][0-9]|\s?%|\spercent)"
_PARTS = """the early late mid year(?:s)? season(?:_of)? fiscal_year
    (?:first|second|third|fourth|last)_(?:quarter|half|week|month)_of q[1-4](?:_of)?"""
_DATE = rf"(?:{any_of(_PARTS)}\s){{0,3}}(?:{any_of(_MONTHS)}\s(?:[0-9]{{1,2}},?\s)?)?{_YEAR}"
_PHRASE = re.compile(
    rf"(?:,\s)?\b(?:in|during|by|as\sof|on|for|between|from|over|at\sthe\send\sof)\s{_DATE}"
    rf"(?:\s?(?:and|to|through|until|[-/])\s?(?:{_DATE}|[0-9]{{2}})|/[0-9]{{2}})?(?:\sseason)?{_ENDED}",
    FLAGS,
)
_TWICE = re.compile(
    rf"\b(?:in|by|during)\s(?:the\s)?{_YEAR}\b.*(?:\b(?:and|while|but)\b|;).*\b(?:in|by|during)\s(?:the\s)?{_YEAR}\b",
    FLAGS | re.DOTALL,
)
# Two dates set two statements apart: "in 2019 there were 12 and in 2020 there were 15".
_MOST = 1


def dated_twice(sentence: str) -> bool:
    """Whether a sentence says what was so at two dates: "in 2019 it was 12 and in 2020 it was 15"."""
    return _TWICE.search(sentence) is not None


def without_date(clause: str) -> str:
    """A clause without the one phrase that dates it; the same clause if no other value would be left."""
    text = clause.replace("–", "-")
    found = list(_PHRASE.finditer(text))
    if len(found) != _MOST:
        return clause
    before, after = text[: found[0].start()], text[found[0].end() :]
    rest = f"{before.rstrip()}{after}" if before.strip() else after.lstrip(", ")
    return rest if VALUE.search(rest) or SPELT.search(rest) else clause
