r"""What an answer without any mark closes with: "Therefore the kittens are shown in picture **D**."

Real models often end in prose, not in a tag or a box. The last sentence is then read with more good will than
an answer that a mark sets apart: it may show its work, restate what was given, or name what it compares with.
What it claims is found without regard to the gold, and the whole of the claim must read as the gold. A
sentence that denies, hedges, asks, supposes or lists claims nothing, and neither does one that was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vision_r1.grading import choice
from vision_r1.grading.chains import chain_values, formula_run
from vision_r1.grading.clauses import (
    about_work,
    denies,
    main_clause,
    objects,
    polarity,
    settled_numbers,
    subjects,
    supposes,
    without_contrast,
    without_label,
    without_remarks,
)
from vision_r1.grading.closing_forms import condition, shaped
from vision_r1.grading.dated import dated_twice, without_date
from vision_r1.grading.emphasis import emphasised
from vision_r1.grading.number import parse_number
from vision_r1.grading.sentences import adds_another, last_sentence
from vision_r1.grading.text import hedges
from vision_r1.grading.words import with_digits

_TAIL = 1200
_LONGEST = 400
_SHORT_TEXT = 200
_SHORT_LINE = 60
# Arrows and pictures before and after a claim.
_MARKERS = r"[\u2190-\u21ff\u2600-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f300-\U0001faff\ufe0f\s]+"
_LEADING = re.compile(rf"\A{_MARKERS}")
_TRAILING = re.compile(rf"{_MARKERS}\Z")
_RULE = re.compile(r"[-*_=\s]+\Z")
_LISTED = re.compile(r"(?:[-•·]|\*(?!\*)|[0-9]{1,2}[.)])(?:\s|\Z)|\|")
_OPTION_LINE = re.compile(r"[(\[*]{0,3}[A-J](?:[.):\]*]{1,3}(?:\s|\Z)|\s*\Z)")
_FIGURE_LINE = re.compile(r"[*$\s]*[0-9][0-9.,/]*[*$\s]*\Z")
_LABEL = re.compile(r"\W*(?:[A-J]|[0-9]{1,2})\W*")
_OTHERS = re.compile(r"(?:the\s|all\s)?(?:other|others|remaining|rest)\b", re.IGNORECASE)
_THEREFORE = re.compile(r"\W*(?:so|thus|hence|therefore)\b", re.IGNORECASE)
_ANY_LETTER = re.compile(r"\b[B-J]\b")
_NOTE = re.compile(r"\W*note\s(?:that|also)\b", re.IGNORECASE)
_MAY_STATE = re.compile(
    r"[0-9=$:*]|\b(?:is|are|was|were|be|equals?|has|have|had|answers?|result|makes?|gives?|means?|choose|pick"
    r"|fits?|better|best|match(?:es)?|let|seems?|looks?|also|too|contradicts?)\b|\A(?!The\b|It\b|Its\b|This\b|These\b|All\b)"
    r"|\A\W*[A-Z]?\W*\Z",
    re.IGNORECASE,
)
_ADDED = re.compile(r"\s\([A-Z][^()]{1,150}\.\)\Z")
_DISPLAY = re.compile(r"(?:\$\$|\\\[)([^$]{1,300}?)(?:\$\$|\\\])\s*\.?\Z", re.DOTALL)
_PRICE = re.compile(r"[0-9][0-9.,]*[^\\=^_]*\Z")
_ENDED = re.compile(r"[.!。)*$\]}%°]\Z")
_DANGLES = re.compile(
    r"(?:\b(?:is|are|was|the|an?|and|or|of|to|so|that|equals?|be|by|with|for|in|on|we|get|than|then|thus)"
    r"|[-=+*/×·÷:,(<>≈→^_\\])\Z"
)
_SAYS = re.compile(r"\W*(?:yes|no|true|false)\b\W", re.IGNORECASE)
_ENDS_SAYING = re.compile(r"(?:\sis|:)\s\W*(yes|no|true|false)\W*\Z", re.IGNORECASE)
_OUT_OF = re.compile(r"(?:an?\s)?([0-9]{1,9})\s(?:out\sof|in)\s([0-9]{1,9})(?:\schance)?\W*\Z")
_CHANCE = re.compile(r"\b(?:probability|chance|fraction|proportion|odds)\b", re.IGNORECASE)
_COUNT_OF_LIST = re.compile(
    r"there\s(?:are|were|is)\s([0-9]{1,2}|[a-z]+)\s[^:,]{3,60}:\s([^:]{1,120})\Z", re.IGNORECASE
)
_ITEM_MARK = re.compile(r",?\sand\s|,\s")
_MAGNITUDE = re.compile(
    r"((?:about\s)?\W?[0-9][0-9,]*(?:\.[0-9]+)?)\s(?:thousand|million|billion|trillion)"
    r"(?:\s(?:u\.?s\.?\s)?(?:dollars?|euros?|pounds?|people))?\W*",
    re.IGNORECASE,
)
_PRICE_OF_ONE = re.compile(r"([$€£][0-9][0-9,]*(?:\.[0-9]+)?)\s(?:an?|per)\s[a-z]+\W*")
_LABELLED = re.compile(r"(?!Only|Both|Just|And|Then|Also|Points?\b|Part)[A-Z][a-z]+\s\(?([A-J])\)?\.?")
_LETTER = re.compile(r"(?:option\s|choice\s)?[(\[]?([A-J])[)\]]?\.?", re.IGNORECASE)
_LETTER_BEFORE = re.compile(r"(?:\A|[.:]\s)[*(]*(?:[Oo]ption\s|[Cc]hoice\s)?\(?([A-J])\)?[*.)]+\s?\Z")
_NAMING = re.compile(r"(?:,?\s(?:option|choice|answer))?[^\w°%)}$]*\Z", re.IGNORECASE)
_FRAME = re.compile(r"(.{1,120}?\s(?:is|are|was|were|equals?|=))\s(.*)", re.IGNORECASE | re.DOTALL)
_PRICE_IN_MATHS = re.compile(r"\$\\\$([0-9][0-9.,]*)\$")
_CLAUSES = re.compile(r",\s(?=so\b|which\b|hence\b|thus\b|therefore\b)|;\s")


@dataclass(frozen=True, slots=True)
class Closing:
    """The last sentence of a text, bold kept, and what stands before it in its paragraph."""

    sentence: str
    before: str


def closing_claims(text: str, options: Sequence[str] = ()) -> tuple[str, ...]:
    """The readings of the claim that a text without marks closes with, the plainest first.

    Args:
        text: a response without any mark of an answer, of any length.
        options: texts of the choices; a letter that the words before it contradict claims nothing.

    Returns:
        Texts that may each be graded as an answer; empty if the text closes with no claim.
    """
    closing = _closing(text)
    if closing is None or supposes(closing.sentence) or about_work(closing.sentence) or _says_twice(closing):
        return ()
    found = tuple(dict.fromkeys(_readings(closing.sentence, options)))
    return () if options and _contradicted(closing, found, options) else found


def _closing(text: str) -> Closing | None:
    """The last sentence; None for a list, a question, or a text that was cut off."""
    tail = text.strip()[-_TAIL:]
    shown = _DISPLAY.search(tail, max(tail.rfind("$$", 0, tail.rfind("$$")), tail.rfind("\\["), 0))
    if shown:
        before = tail[: shown.start()].strip().rpartition("\n")[2]
        return Closing(f"${' '.join(shown[1].split())}$", last_sentence(before))
    lines = [line for line in map(str.strip, tail.split("\n")) if line and not _RULE.match(line)]
    if not lines or len(lines[-1]) == _TAIL or _is_listed(lines):
        return None
    last = _TRAILING.sub("", lines[-1])
    whole = _ENDED.search(last) or len(text) <= _SHORT_TEXT or len(last) <= _SHORT_LINE
    if not whole or _is_cut(last):
        return None
    last = _without_added(last)
    sentence = _LEADING.sub("", last_sentence(last))
    before = last.removesuffix(sentence)
    if _LABEL.fullmatch(before):  # "C. 90"
        sentence, before = last, ""
    if not sentence or len(sentence) > _LONGEST or "?" in sentence:
        return None
    return Closing(sentence, before.strip() or (lines[-2] if len(lines) > 1 else ""))


def _is_listed(lines: Sequence[str]) -> bool:
    """Whether the last line is an item of a list, a row of a table, or one of several options or figures."""
    alike = len(lines) > 1 and any(
        line.match(lines[-1]) and line.match(lines[-2]) for line in (_OPTION_LINE, _FIGURE_LINE)
    )
    return alike or _LISTED.match(lines[-1]) is not None


def _is_cut(line: str) -> bool:
    """Whether a line ends in the middle of a sentence or a formula; a dollar before a price opens none."""
    opened = line.rpartition("$")[2] if line.count("$") % 2 else ""
    return _DANGLES.search(line.rstrip("*")) is not None or (opened != "" and not _PRICE.match(opened))


def _says_twice(closing: Closing) -> bool:
    """Whether the sentence before says the same of something else: "It is 15. It is 12."."""
    pairs = [_FRAME.match(sentence) for sentence in (last_sentence(closing.before), closing.sentence)]
    first, second = ((pair[1].casefold(), pair[2].strip(" .")) if pair else ("", "") for pair in pairs)
    return first[0] == second[0] != "" and first[1] != second[1]


def _without_added(line: str) -> str:
    """A line without a last sentence about other things: "r = 4.8. (The full circle would have 3.)"."""
    added = _ADDED.search(line)
    if added and not denies(re.sub(r"\bwould\b", "", added[0])):
        return line[: added.start()]
    rest = last_sentence(line)
    before = line.removesuffix(rest).strip()
    others = _OTHERS.match(rest) and not _ANY_LETTER.search(rest)
    return before if before and (others or _only_notes(rest, before)) else line


def _only_notes(sentence: str, before: str) -> bool:
    """Whether a last sentence states no value after one that concludes: "So it is small. The rest fits."."""
    if denies(sentence) or hedges(sentence) or "?" in sentence:
        return False
    concluded = _THEREFORE.match(last_sentence(before)) is not None
    return concluded and (_NOTE.match(sentence) is not None or not _MAY_STATE.search(sentence))


def _readings(sentence: str, options: Sequence[str] = ()) -> Iterator[str]:
    yield sentence.replace("**", "")
    if adds_another(sentence) or dated_twice(without_remarks(sentence)):
        return
    clause = main_clause(without_contrast(_PRICE_IN_MATHS.sub(r"$\1", sentence)))
    plain = clause.replace("**", "")
    if run := formula_run(clause):
        yield from () if denies(clause) else (run,)
        return
    if holds := condition(plain):
        yield holds
        return
    if said := polarity(plain, options):
        yield said
    if _SAYS.match(plain):
        yield plain
    elif (ending := _ENDS_SAYING.search(plain)) and not denies(plain[: ending.start()]):
        yield ending[1]
    if denies(clause) or hedges(clause):
        return
    lettered = all(len(option.strip()) == 1 for option in options)
    bold = emphasised(clause)
    yield from (bold.claim,) if bold.claim else ()
    if not bold.alone:
        yield from (form for claim in _claims(plain) for form in _forms(claim, plain, lettered))
        yield from shaped(plain)


def _claims(clause: str) -> Iterator[str]:
    """What a clause claims: a letter that it adds, the end of a chain, or what its verb or subject names."""
    stated, label = without_label(clause)
    chained = (label,) if label else tuple(chain_values(stated))
    yield clause
    dateless = without_date(clause)
    yield from chained or (*objects(clause), *subjects(clause), *settled_numbers(dateless))


def _forms(claim: str, clause: str, lettered: bool) -> Iterator[str]:
    """A claim, and what it may stand for: "5 out of 18" for 5/18, "36.33 million" in a chart in millions."""
    yield claim
    if (parts := _OUT_OF.match(claim)) and _CHANCE.search(clause):
        yield f"{parts[1]}/{parts[2]}"
    if (listed := _COUNT_OF_LIST.match(claim)) and _counts_list(listed[1], listed[2]):
        yield listed[1]
    if claim != clause and (figure := _MAGNITUDE.fullmatch(claim)):
        yield figure[1]
    if claim != clause and (price := _PRICE_OF_ONE.fullmatch(claim)):
        yield price[1]
    if lettered and (label := _LABELLED.fullmatch(claim)):
        yield label[1]


def _counts_list(count: str, items: str) -> bool:
    """Whether a list has as many items as the words before it say."""
    number = parse_number(with_digits(count))
    return number is not None and number.value == len(_ITEM_MARK.split(items.strip(" .")))


def _contradicted(closing: Closing, found: Sequence[str], options: Sequence[str]) -> bool:
    """Whether a letter and the words beside it name two options: "so the area is 8. **D**"."""
    if lone := _LETTER_BEFORE.search(closing.before):
        return any(_names_other(claim, ord(lone[1]) - 65, options) for claim in found)
    letter = next((match for reading in found if (match := _is_letter(reading))), None)
    if letter is None or ord(letter[1].upper()) - 65 >= len(options):
        return False
    clauses = _CLAUSES.split(_NAMING.sub("", closing.sentence[: closing.sentence.rfind(letter[1])]))
    words = (clause.strip(" .,(*:=→⇒➡") for clause in (closing.before, *clauses[-2:]))
    claims = (reading for clause in words if clause for reading in _readings(last_sentence(clause)))
    index = ord(letter[1].upper()) - 65
    return any(_names_other(claim, index, options) for claim in claims if not _is_letter(claim))


def _names_other(claim: str, index: int, options: Sequence[str]) -> bool:
    """Whether a claim names options, and not the one with this index."""
    named = choice.resolve(claim, options).indices
    return bool(named) and index not in named


def _is_letter(reading: str) -> re.Match[str] | None:
    return _LETTER.fullmatch(reading.strip("()[]* .,"))
