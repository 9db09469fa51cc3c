"""Whether a text is one sentence that states one thing, and names one candidate.

"15. It is 12", "Jan: 10, Feb: 20" and "Chad is Mali" state several, and so nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vision_r1.grading.number import parse_number
from vision_r1.grading.phrases import FLAGS, any_of
from vision_r1.grading.text import plain_math

# A full stop inside a text that ends no abbreviation, or a semicolon: a second sentence.
_NEXT_SENTENCE = re.compile(
    r"(?<![A-Z.])(?<!\bMr)(?<!\bMrs)(?<!\bDr)(?<!\bSt)(?<!\bvs)(?<!\b[Nn]o)[.!;]\s+[^\s=]"
)
_IS = re.compile(r"\s(?:is|are|was|were|equals?)\s", FLAGS)
_WHICH = re.compile(r"\b(?:which|that|where|when|who)\b(?=\s[a-z\s]{0,40}(?:is|are|was|were)\s)", FLAGS)
_SINCE = re.compile(r"(?:since|because|as)\s[^,]{1,100},\s", FLAGS)
_ASKS = re.compile(r"(?:is|are|was|were|does|do|did|can|could|what|why|how)\s", FLAGS)
# "AB is 5, and its double would be 10" says two things.
_AND_ANOTHER = re.compile(
    r"(?:\s(?:is|are|was|were|equals?|be)\s|=).*(?:,\s(?:and|while|but)|;)\s"
    r"(?:(?:its|his|her|their|the)\s(?:[a-z]+\s)?(?:supplement|complement|double|half|reciprocal|inverse|opposite|square"
    r"|remainder|rest|others?)\b|(?:twice|half|double)\s|[^,;=]{1,60}\swould\sbe\s)",
    FLAGS | re.DOTALL,
)
_COLON = re.compile(r":\s")
# An answer is announced, but not at the beginning: "15 Answer: 12".
_ANNOUNCED = re.compile(r"\banswers?\s?(?:[:=]|is\b)", FLAGS)
_ANNOUNCES = re.compile(r"(?:(?:the|my|so|final|correct|right|best|short)\s)*", FLAGS)
_OTHER_VALUE = re.compile(
    r"\b(?:answer|result|total|sum|count|value)[\s,:]{1,3}(?=[0-9])[^:=]{1,40}\s(?:is|equals)\s", FLAGS
)
_LABELS = """it this that there he she they which answer result solution total sum color colour shape size
    number letter word option choice country name year month day city team pattern type figure value object
    function conclusion explanation reason angle area length width height perimeter volume ratio time date
    price cost cent(?:er|re) vertex point midpoint origin coordinate slope equation line"""
_NAMES = re.compile(r"[A-Z][\w'-]*(?:\s[A-Z][\w'-]*)*|[a-z]+|\(?[A-J]\)?")
_NAME_BEFORE = re.compile(rf"\b(?:{any_of(_LABELS)}|is|was)\s[A-Z][a-z]+$")  # "The answer Chad is Mali"
_WORD = re.compile(r"[A-Za-z]{3,}")
_OPTION = re.compile(r"\(?[A-J]\)?")
_PART = re.compile(r"(?<![0-9])[0-9]{1,2}$")
_LABEL = re.compile(rf"(?:the\s)?{any_of(_LABELS)}s?", FLAGS)

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。\n]")
_ABBREVIATION = re.compile(r"(?:^|[\s.(])(?:[ap]\.m|st|mr|mrs|dr|vs|i\.e|e\.g|inc|ltd|corp|jr)$", FLAGS)
_ETC = re.compile(r"(?:^|\s)etc\s?[a-z]$", re.ASCII)
_INITIALS = re.compile(r"[A-Z]\.[A-Z]\Z")
_NUMBERED = re.compile(r"(?:^|\s)no\s[0-9]$", FLAGS)


def sentence_ends(text: str) -> Iterator[re.Match[str]]:
    """The marks that end a sentence, and not an abbreviation: "2:10 P.M.", "Mr. Smith", "no. 5"."""
    return (end for end in _SENTENCE_END.finditer(text) if not _abbreviated(text, end))


def last_sentence(line: str) -> str:
    """The last sentence of a line."""
    ends = (end.end() for end in sentence_ends(line))
    return line[max((end for end in ends if end < len(line)), default=0) :].strip()


def _abbreviated(text: str, end: re.Match[str]) -> bool:
    before, after = text[max(end.start() - 8, 0) : end.start()], text[end.end() : end.end() + 2]
    return end[0] == "." and (
        _ABBREVIATION.search(before) is not None
        or _NUMBERED.search(before + after) is not None
        or _ETC.search(before + after) is not None
        or (_INITIALS.search(before) is not None and after.strip().islower())  # "U.S. dollars"
    )


def adds_another(text: str) -> bool:
    """Whether a second clause gives a value of something else: "it is 5, and its double would be 10"."""
    return _AND_ANOTHER.search(text) is not None


def states_once(text: str) -> bool:
    """Whether a text is one sentence that states one thing: neither "15. It is 12" nor "Jan: 10, Feb: 20"."""
    if _ASKS.match(text) or adds_another(text):
        return False
    text = _SINCE.sub("", text, count=1) if _SINCE.match(text) else text
    stated = len(_IS.findall(text)) - len(_WHICH.findall(text))
    if stated > 1 or len(_COLON.findall(text)) > 1 or _NEXT_SENTENCE.search(text):
        return False
    announced = _ANNOUNCED.search(text)
    return not _OTHER_VALUE.search(text) and (
        announced is None or _ANNOUNCES.fullmatch(text[: announced.start()]) is not None
    )


def names_another(before: str, rest: str, sign: str) -> bool:
    """Whether two names, and so two candidates, stand beside "is" or ":": "Chad is Mali", "A is B"."""
    if sign == ":" and _PART.search(before):  # "step 1: 8"
        return True
    if parse_number(plain_math(rest)) or _LABEL.fullmatch(before):
        return False
    if sign == "=":  # "y = 2x + 1" has no second candidate
        return _WORD.fullmatch(before) is not None and _WORD.fullmatch(rest) is not None
    if sign == ":" and len(before) > 3 and _OPTION.fullmatch(rest):  # "The function is even: A"
        return False
    return _NAMES.fullmatch(before) is not None or (
        rest[:1].isupper() and _NAME_BEFORE.search(before) is not None
    )
