r"""The clauses of a closing sentence: which one concludes, and what its verb or its subject claims.

All of it goes by the words, never by the gold: what follows the last verb that states ("represents", "is
shown in", "adds up to"), what precedes a superlative ("Generation Z lost the most weight"), or the only
number that is neither restated nor compared with.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from vision_r1.grading.closing_phrases import (
    ABOUT_WORK,
    APPOSITION,
    BEFORE_COUNT,
    CHANGED,
    CLEFT,
    COMPARED,
    CONCLUDES,
    CONDITION,
    CONTRAST,
    COUNT_ENDS,
    COUNTED_FIRST,
    COUNTS,
    DENIES,
    FILLER,
    GROUNDS,
    HARMLESS,
    HAS_ENOUGH,
    IS_FUNCTION,
    KIND,
    LABELLED,
    NEGATED,
    NO_COUNT,
    NO_SUBJECT,
    OPERATES,
    PERCENT_FIRST,
    PLACE,
    REMARK,
    RESTATED,
    STATES,
    SUBJECTS,
    SUPPOSES,
    THAT_IS,
    TOPMOST,
    UNIT_FIRST,
    WHICH_IS,
    WHICH_IS_EXACT,
)
from vision_r1.grading.dated import without_date
from vision_r1.grading.phrases import FUNCTION_WORDS, PLURAL, SHORT_IS
from vision_r1.grading.sentences import names_another
from vision_r1.grading.values import VALUE
from vision_r1.grading.words import SPELT

_BRACKETED = re.compile(r"(?<=[A-Za-z])\s\([$€£]?[0-9][0-9.,]*%?\)")
_COPULAS = ("is", "are", "was", "were", "equals", "equal")
_YEAR_LAST = re.compile(r"(?:1[5-9]|20)[0-9]{2}\W*\Z")
_WHEN_ELSE = re.compile(r"\b(?:before|after|until)\s(?!all\b)", re.IGNORECASE)
_MATHS = re.compile(r"[0-9$=\\]")
_MONEY = re.compile(r"\D*[$€£¥]")


def denies(clause: str) -> bool:
    """Whether a clause denies, doubts or sets a condition, so that it claims nothing."""
    return DENIES.search(HARMLESS.sub(" ", clause)) is not None


def supposes(sentence: str) -> bool:
    """Whether a sentence begins as a supposition, a step or an instruction: "Let x = 3.", "Step 3"."""
    return SUPPOSES.match(sentence) is not None


def about_work(sentence: str) -> bool:
    """Whether a sentence speaks of the work on the question: "There were 12 errors in the table."."""
    return ABOUT_WORK.search(sentence) is not None


def without_contrast(sentence: str) -> str:
    """A sentence without the rival that it ends by rejecting: "it is concave rather than convex"."""
    contrast = CONTRAST.search(sentence)
    return sentence[: contrast.start()] if contrast else sentence


def main_clause(sentence: str) -> str:
    """The clause that concludes: without the grounds before it ("Since ..., "), after the last "so"."""
    text = SHORT_IS.sub(r"\1 is", sentence.strip())
    if (dated := without_date(text)) != text and text.endswith(dated):
        text = dated
    if grounds := GROUNDS.match(text):
        text = text[grounds.end() :]
    for pattern in (CONCLUDES, THAT_IS):
        if found := list(pattern.finditer(text)):
            text = text[found[-1].end() :]
    return text.strip()


def without_remarks(clause: str) -> str:
    """A clause without what it adds: "May, at roughly 25 °C" -> "May". A remark that denies stays."""
    remark = REMARK.search(clause)
    return clause[: remark.start()] if remark and not denies(remark[0]) else clause


def objects(clause: str) -> Iterator[str]:
    """What the last verb that states is followed by, without articles, "bar" and "in the chart"."""
    if which := WHICH_IS.search(clause):
        yield from _bare(which[1])
    main = without_remarks(clause)
    exact = WHICH_IS_EXACT.search(clause)
    if exact and _MATHS.search(clause[: exact.start()]) and not COMPARED.search(clause):
        return  # "which expands to x^2 - 9" says it last
    found = list(STATES.finditer(main))
    if not found or len(TOPMOST.findall(main)) > 1:  # "highest in 2017 and lowest in 2018"
        return
    before, rest = main[: found[-1].start()].strip(), main[found[-1].end() :]
    sign = found[-1][0].strip()
    # "Jan: 10, Feb: 12", "row 2: 12", "Chad is Mali", "15 is 12"
    another = names_another(before, rest, sign)
    listed = sign == ":" and (":" in before or another)
    equated = sign in _COPULAS and (VALUE.fullmatch(before) or (rest[:1].isupper() and another))
    earlier = _YEAR_LAST.search(rest) and _WHEN_ELSE.search(before)  # "began long before it ended in 2016"
    if not (listed or equated or earlier):
        yield from _bare(rest)
        yield from _bare(_BRACKETED.sub("", rest))


def _bare(fragment: str) -> Iterator[str]:
    text = PLACE.sub("", fragment.strip().rstrip(".!"), count=1).strip()
    yield text
    for _ in range(3):
        if not (filler := FILLER.match(text)):
            break
        text = text[filler.end() :].strip()
    yield text
    if kind := KIND.search(text):
        yield text[: kind.start()]


def subjects(clause: str) -> Iterator[str]:
    """What comes before a superlative or a verb that singles out: "Generation Z lost the most weight"."""
    for pattern in SUBJECTS:
        found = pattern.match(clause)
        if found and not NO_SUBJECT.search(found["subject"]):
            yield from _bare(clause[: found.end("subject")])  # "Plan B"
            yield from _bare(found["subject"])
    if cleft := CLEFT.match(clause):
        yield from _bare(cleft[1])
    if apposition := APPOSITION.search(clause):
        yield from _bare(apposition[1])


def without_label(clause: str) -> tuple[str, str]:
    """A clause without the letter that it adds, and the letter: "x = 18, choice (C)" -> ("x = 18", "C")."""
    found = LABELLED.search(clause)
    return (clause[: found.start()], found[1]) if found else (clause, "")


def settled_numbers(clause: str) -> tuple[str, ...]:
    """The only number of a clause once what is restated or compared with is set aside; else nothing.

    "Mali has 27.5%, above the average of 21.2%" has one, "between 12 and 15" and "12 of 40" have none.
    """
    text = _BRACKETED.sub("", CONDITION.sub("", without_remarks(clause)))
    values = [match for pattern in (VALUE, SPELT) for match in pattern.finditer(text)]
    values = [match for match in values if not _set_aside(text[: match.start()])]
    if len(values) != 1 or NO_COUNT.search(text):
        return ()
    before, after = text[: values[0].start()], text[values[0].end() :].rstrip(" .!")
    percent = values[0][0].endswith("%") or after.startswith(" percent")
    first = (PERCENT_FIRST if percent else COUNTED_FIRST).match(after)
    first = first or UNIT_FIRST.match(after)
    counted = COUNTS.search(before) or (BEFORE_COUNT.fullmatch(before) and first)
    changed = (values[0][0].endswith(("%", "°")) and after.startswith(" more")) or CHANGED.search(after)
    if not counted or changed or OPERATES.search(before):
        return ()
    ends = FUNCTION_WORDS | COUNT_ENDS
    words = tuple(itertools.takewhile(lambda word: word.casefold() not in ends, after.split()[:4]))
    noun = next((place for place, word in enumerate(words, start=1) if PLURAL.fullmatch(word)), len(words))
    return (" ".join((values[0][0], *(() if _MONEY.match(values[0][0]) else words[:noun]))),)


def _set_aside(before: str) -> bool:
    """Whether the words before a number only restate it or compare with it: "for the 4 bracelets"."""
    for pattern in (COMPARED, RESTATED):
        found = list(pattern.finditer(before))
        if found and found[-1].end() == len(before):
            return True
    return False


def polarity(clause: str, options: Sequence[str] = ()) -> str | None:
    """The answer that a restated question gives: "not a function" is "no", "not linear" is "nonlinear"."""
    if len(options) == 2 and (negated := NEGATED.fullmatch(clause)):
        opposite = f"non{negated[1].casefold()}"
        if named := next((text for text in options if text.casefold().replace("-", "") == opposite), None):
            return named
    found = IS_FUNCTION.fullmatch(clause) or HAS_ENOUGH.fullmatch(clause)
    return ("no" if found[1] else "yes") if found else None
