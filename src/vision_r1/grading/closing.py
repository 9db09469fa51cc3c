r"""What an answer without any mark closes with: "Therefore the kittens are shown in picture **D**."

Real models often end in prose, not in a tag or a box. The last sentence is then read with more good will than an
answer that a mark sets apart: it may show its work, restate what was given, or name what it compares with. What
it claims is still found without regard to the gold, and the whole of the claim must read as the gold. A sentence
that denies, hedges, asks, supposes or lists claims nothing, and neither does one that was cut off.
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
    without_label,
)
from vision_r1.grading.number import parse_number
from vision_r1.grading.sentences import last_sentence
from vision_r1.grading.text import hedges
from vision_r1.grading.words import with_digits

_TAIL = 1200
_LONGEST = 400
_SHORT_TEXT = 200
_SHORT_LINE = 60
_MARKERS = r"[\u2190-\u21ff\u2600-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f300-\U0001faff\ufe0f\s]+"
_LEADING = re.compile(_MARKERS)
_TRAILING = re.compile(rf"{_MARKERS}\Z")
_RULE = re.compile(r"[-*_=\s]+\Z")
_LISTED = re.compile(r"(?:[-•·]|\*(?!\*)|[0-9]{1,2}[.)])(?:\s|\Z)|\|")
_OPTION_LINE = re.compile(r"[(\[*]{0,3}[A-J](?:[.):\]*]{1,3}(?:\s|\Z)|\s*\Z)")
_LABEL = re.compile(r"\W*(?:[A-J]|[0-9]{1,2})\W*")
_OTHERS = re.compile(r"(?:the\s|all\s)?(?:other|others|remaining|rest)\b", re.IGNORECASE)
_FIGURE_LINE = re.compile(r"[*$\s]*[0-9][0-9.,/]*[*$\s]*\Z")
_ADDED = re.compile(r"\s\([A-Z][^()]{1,150}\.\)\Z")
_DISPLAY = re.compile(r"(?:\$\$|\\\[)([^$]{1,300}?)(?:\$\$|\\\])\s*\.?\Z")
_ENDED = re.compile(r"[.!。)*$\]}%°]\Z")
_DANGLES = re.compile(
    r"(?:\b(?:is|are|was|the|an?|and|or|of|to|so|that|equals?|be|by|with|for|in|on|we|get|than|then|thus)|[-=+*/×·÷:,(<>≈→^_\\])\Z"
)
# A dollar that opens a formula, and is not the price "$12.50".
_CUT_FORMULA = re.compile(r"\A(?:[^$]*\$[^$]*\$)*[^$]*\$(?=[^$]*\Z)(?![0-9][0-9,.]*(?:[^\\=^_]*)\Z)")
_BOLD = re.compile(r"\*\*([^*\n]{1,120})\*\*")
_LETTER = re.compile(r"(?:option\s|choice\s)?[(\[]?([A-J])[)\]]?\.?", re.IGNORECASE)
_LONE_BEFORE = re.compile(r"(?:\A|[.:]\s)[*(]*(?:[Oo]ption\s|[Cc]hoice\s)?\(?([A-J])\)?[*.)]+\s?\Z")
_NAMING = re.compile(r"(?:,?\s(?:option|choice|answer))?[^\w°%)}$]*\Z", re.IGNORECASE)
_CLAUSES = re.compile(r",\s(?=so\b|which\b|hence\b|thus\b|therefore\b)|;\s")
# Words before a bold value that make another value of it, or no claim.
_BOLD_AFTER = re.compile(
    r"(?:\b(?:(?<!equal\s)(?<!sponds\s)(?<!up\s)(?<!comes\s)(?<!counts\s)(?<!simplifies\s)(?<!leads\s)(?<!points\s)to|than|by|from"
    r"|with|twice|half|double|times|between|and|after|before|until|since|beside|over|under|above|below|per|minus"
    r"|plus|like|nearly|almost|most|least|guess|(?<!value\s)(?<!total\s)(?<!area\s)(?<!volume\s)(?<!length\s)(?<!perimeter\s)"
    r"(?<!cost\s)(?<!price\s)(?<!angle\s)(?<!radius\s)(?<!measure\s)(?<!sum\s)(?<!probability\s)(?<!mean\s)(?<!range\s)of)|[-+/×·])\s*\Z",
    re.IGNORECASE,
)
_BOLD_BEFORE = re.compile(
    r"\s*(?:too|less|fewer|times|short|higher|lower|greater|smaller|larger|per|of|and|to|[-+/×·^]|more\sthan\s(?:it|that|this|the"
    r"\s(?:answer|one|correct|right)|[0-9]))\b|\s?[-+/×·^]|\s*,\s(?:and|but)\b|\s(?:city|county)\b",
    re.IGNORECASE,
)
_BOLD_LETTER = re.compile(r"\*\*\(?[A-J]\)?\*\*\s*([^*]{1,80}?)\.?")
_GOES_ON = re.compile(r",\s(?:and|but)\s", re.IGNORECASE)
_OUT_OF = re.compile(r"(?:an?\s)?([0-9]{1,9})\s(?:out\sof|in)\s([0-9]{1,9})(?:\schance)?\W*\Z")
_COUNT_OF_LIST = re.compile(
    r"there\s(?:are|were|is)\s([0-9]{1,2}|[a-z]+)\s[^:,]{3,60}:\s([^:]{1,120})\Z", re.IGNORECASE
)
_ITEM_MARK = re.compile(r",?\sand\s|,\s")
_SAYS = re.compile(r"\W*(?:yes|no|true|false)\b\W", re.IGNORECASE)
_ENDS_SAYING = re.compile(r"(?:\sis|:)\s\W*(yes|no|true|false)\W*\Z", re.IGNORECASE)
_CHANCE = re.compile(r"\b(?:probability|chance|fraction|proportion|odds)\b", re.IGNORECASE)
_MAGNITUDE = re.compile(
    r"((?:about\s)?\W?[0-9][0-9,]*(?:\.[0-9]+)?)\s(?:thousand|million|billion|trillion)(?:\s(?:u\.?s\.?\s)?(?:dollars?|euros?|pounds?|people))?\W*",
    re.IGNORECASE,
)
_LABELLED = re.compile(r"(?!Only|Both|Just|And|Then|Also|Points?\b|Part)[A-Z][a-z]+\s\(?([A-J])\)?\.?")
_VALUE_LIKE = re.compile(r"[0-9\\=]|\A\(?[A-J]\)?\.?\Z")


@dataclass(frozen=True, slots=True)
class Closing:
    """The last sentence of a text, bold kept, and what stands before it in the same paragraph."""

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
    if closing is None or supposes(closing.sentence) or about_work(closing.sentence):
        return ()
    found = tuple(dict.fromkeys(_readings(closing.sentence, options)))
    return () if options and _contradicted(closing, found, options) else found


def _closing(text: str) -> Closing | None:
    """The last sentence; None for a list, a question, or a text that was cut off."""
    cut = len(text) > _TAIL
    lines = [line.strip() for line in text.strip()[-_TAIL:].split("\n")]
    lines = [line for line in lines if line and not _RULE.match(line)]
    if not lines or (cut and len(lines) == 1 and len(lines[0]) == _TAIL):
        return None
    last = _TRAILING.sub("", lines[-1])
    alike = (_OPTION_LINE, _FIGURE_LINE)
    listed = _LISTED.match(last) or (
        len(lines) > 1 and any(line.match(last) and line.match(lines[-2]) for line in alike)
    )
    if listed or _CUT_FORMULA.search(last) or _DANGLES.search(last.rstrip("*")):
        return None
    if not _ENDED.search(last) and len(text) > _SHORT_TEXT and len(last) > _SHORT_LINE:
        return None
    last = _without_added(last)
    if _OTHERS.match(rest := last_sentence(last)) and len(rest) < len(last):
        last = last[: -len(rest)].strip()
    shown = _DISPLAY.search(last)
    sentence = f"${shown[1].strip()}$" if shown and not shown.start() else last_sentence(last)
    sentence = _LEADING.sub("", sentence, count=1) if _LEADING.match(sentence) else sentence
    before = last[: -len(sentence)] if last.endswith(sentence) else ""
    if _LABEL.fullmatch(before):  # "C. 90"
        sentence, before = last, ""
    if not sentence or len(sentence) > _LONGEST or "?" in sentence:
        return None
    return Closing(sentence, before.strip() or (lines[-2] if len(lines) > 1 else ""))


def _without_added(line: str) -> str:
    """A line without a last sentence in brackets: "r = 4.8. (The full circle would have 3.)"."""
    added = _ADDED.search(line)
    return line[: added.start()] if added and not denies(re.sub(r"\bwould\b", "", added[0])) else line


def _readings(sentence: str, options: Sequence[str] = ()) -> Iterator[str]:
    yield sentence.replace("**", "")
    clause = main_clause(sentence)
    if run := formula_run(clause):
        yield run
        return
    if said := polarity(clause.replace("**", ""), options):
        yield said
    if _SAYS.match(clause):
        yield clause.replace("**", "")
    elif (said := _ENDS_SAYING.search(clause)) and not denies(clause[: said.start()]):
        yield said[1]
    if denies(clause) or hedges(clause):
        return
    yield from _forms(clause.replace("**", ""), clause)
    bold = _BOLD.findall(clause)
    if len(bold) == 1 and not _bold_is_claim(clause):
        return
    if len(bold) == 1 and len(bold[0]) < len(clause.rstrip(".")) - 4:
        yield f"{bold[0]}. {after}" if (after := _after_letter(clause)) else bold[0].strip(" .:")
        if _VALUE_LIKE.search(bold[0]):
            return
    elif len(bold) > 1 and clause.count("**") > 2:
        return
    plain = clause.replace("**", "")
    plain, label = without_label(plain)
    if label:
        yield label
        return
    chained = list(chain_values(plain))
    yield from chained
    if chained:
        return
    if len(plain) < len(sentence.replace("**", "")):
        yield plain
    for claim in (*objects(plain), *subjects(plain), *settled_numbers(plain)):
        yield from _forms(claim, plain)


def _forms(claim: str, clause: str) -> Iterator[str]:
    """A claim, and what it may stand for: "5 out of 18" for 5/18, "36.33 million" for a chart in millions."""
    yield claim
    if (parts := _OUT_OF.match(claim)) and _CHANCE.search(clause):
        yield f"{parts[1]}/{parts[2]}"
    if (listed := _COUNT_OF_LIST.match(claim)) and _counts_list(listed[1], listed[2]):
        yield listed[1]
    if figure := _MAGNITUDE.fullmatch(claim):
        yield figure[1]
    if label := _LABELLED.fullmatch(claim):
        yield label[1]


def _after_letter(clause: str) -> str:
    """What a clause that begins with a bold letter goes on with, if that has no words: "**C** 15"."""
    found = _BOLD_LETTER.fullmatch(clause)
    return found[1] if found else ""


def _counts_list(count: str, items: str) -> bool:
    """Whether a list has as many items as the sentence before it says."""
    number = parse_number(with_digits(count))
    return number is not None and number.value == len(_ITEM_MARK.split(items.strip(" .")))


def _bold_is_claim(clause: str) -> bool:
    """Whether the words next to the only bold span leave it what it is: not "twice **12**"."""
    before, _, rest = clause.partition("**")
    _, _, after = rest.partition("**")
    goes_on = _GOES_ON.search(after)
    return not (_BOLD_AFTER.search(before) or _BOLD_BEFORE.match(after) or goes_on)


def _contradicted(closing: Closing, found: Sequence[str], options: Sequence[str]) -> bool:
    """Whether the words before a closing letter claim another option: "so the area is 8. **D**"."""
    if lone := _LONE_BEFORE.search(closing.before):
        stated = {ord(lone[1]) - 65}
        return any(
            (named := choice.resolve(claim, options).indices) and not named & stated for claim in found
        )
    letter = next((match for reading in found if (match := _is_letter(reading))), None)
    if letter is None:
        return False
    index = ord(letter[1].upper()) - 65
    if index >= len(options):
        return False
    place = closing.sentence.rfind(letter[1])
    clauses = _CLAUSES.split(_NAMING.sub("", closing.sentence[:place]))
    words = [clause.strip(" .,(*:=→⇒➡") for clause in (closing.before, *clauses[-2:])]
    claims = (reading for clause in words if clause for reading in _readings(last_sentence(clause)))
    named = (choice.resolve(claim, options).indices for claim in claims if not _is_letter(claim))
    return any(indices and index not in indices for indices in named)


def _is_letter(reading: str) -> re.Match[str] | None:
    return _LETTER.fullmatch(reading.strip("()[]* .,"))
