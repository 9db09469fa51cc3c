"""Multiple choice: letters, option texts, and letters with texts.

Gold and answer are both resolved to the set of options that they name (equal option texts are one
answer), so "B", "(B)", "12" and "B: 12" are the same answer when option B reads 12.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from vision_r1.grading.number import Number, close_to, parse_number, variable_of
from vision_r1.grading.phrases import DENIES
from vision_r1.grading.text import normalize_text, plain_math, unwrap

_LETTER = re.compile(
    r"(?:(?:option|choice|answer|choose|select|pick)\s)?[(\[<]{0,2}\s?([A-Za-z])\s?[)\]>]{0,2}\s?[.:)!]?(?:选?项)?",
    re.IGNORECASE,
)
_LETTER_TEXT = re.compile(
    r"(?:(?:option|choice)\s)?[(\[]?([A-Z])(?:[)\]][.:,]?\s?|\s?[.:;=]\s?|\s(?=\())(\S.*)",
    re.DOTALL | re.IGNORECASE,
)
_LETTER_EQUALS = re.compile(r"(?:[^=]{0,80}(?:\b(?:is|answer)|:)\s)?\(?([A-J])\)?\s?=")
_LETTER_COMMA = re.compile(r"(?:[Oo]ption\s|[Cc]hoice\s)?\(?([A-Z])\)?,\s(\S.*)", re.DOTALL)
_IN_FIGURE = re.compile(
    r"(?:sin|cos|tan|angle|∠|points?|line|sides?|arc|vertex|circle|\\)\s?[A-J]\b|\b[A-J]\s?[=′']",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\(([^()]*)\)")
_WORDS_A_I = re.compile(r"\b[AI](?=\s[a-z])")
_LETTERS = re.compile(r"\(?([A-J])\)?(?:\s?(?:,|;|&|and)\s?\(?([A-J])\)?)+")
_RUN = re.compile(r"[A-J]{2,10}")
_IGNORED = str.maketrans("", "", " ~$")
_LONE_LETTER = re.compile(r"(?<![A-Za-z])[A-J](?![A-Za-z])")


@dataclass(frozen=True, slots=True)
class Choice:
    """What an answer names: indices of options, or the reason why it names none."""

    indices: frozenset[int]
    reason: str = ""


def letters_of(text: str) -> frozenset[int]:
    """Several letters ("B, D", "B and D"), as indices; empty if the text is anything else."""
    if not _LETTERS.fullmatch(unwrap(text)):
        return frozenset()
    return frozenset(ord(letter) - 65 for letter in _LONE_LETTER.findall(text))


def run_of_letters(text: str) -> frozenset[int]:
    """Several letters written together ("BD"), as indices; for golds that are several letters."""
    plain = unwrap(text).replace(" ", "")
    return frozenset(ord(letter) - 65 for letter in plain) if _RUN.fullmatch(plain) else frozenset()


def several_letters(text: str) -> frozenset[int]:
    """Several letters however they are set apart: "B, D", "B and D", "BD", "B D"."""
    return letters_of(text) or run_of_letters(text)


def is_letter(text: str) -> bool:
    """Whether a gold is one capital option letter, bare or in brackets."""
    return re.fullmatch(r"\(?[A-J]\)?\.?", text.strip()) is not None


def resolve(answer: str, options: Sequence[str]) -> Choice:
    """The options that `answer` names. Without options only letters (A to J) can be named."""
    text = plain_math(answer)
    count = len(options) or 10
    both = _LETTER_TEXT.fullmatch(text) or (_LETTER_COMMA.fullmatch(text) if options else None)
    by_text = _by_text(answer, options)
    if (letter := _LETTER.fullmatch(text)) and (index := ord(letter[1].upper()) - 65) < count:
        return Choice(_same_text(index, options))
    lettered = (
        both and both[1].isupper() and text[1:].lstrip()[:1] == "=" and ord(both[1]) - 65 < len(options)
    )
    if by_text and not (lettered and _squeeze(answer) not in map(_squeeze, options)):
        return Choice(by_text)
    if both and both[1].isupper() and (index := ord(both[1]) - 65) < count:
        return _letter_with_text(index, both[2], options)
    return Choice(frozenset(), "different")


def lettered_text(text: str) -> tuple[int, str] | None:
    """The index and the text of "B. 5√2"; None if the text begins with no letter."""
    both = _LETTER_TEXT.fullmatch(text)
    return (ord(both[1].upper()) - 65, both[2]) if both else None


def letters_in(text: str) -> frozenset[int]:
    """The option letters that stand alone in a text; the words "A" and "I" and the A of "sin A" are none."""
    return frozenset(
        ord(letter) - 65 for letter in _LONE_LETTER.findall(_IN_FIGURE.sub("", _WORDS_A_I.sub("", text)))
    )


def equates_letter(text: str, options: Sequence[str]) -> bool:
    """Whether an answer begins with "C =": a letter of the options is the option, not a variable."""
    found = _LETTER_EQUALS.match(text) if options else None
    return found is not None and ord(found[1]) - 65 < len(options)


def _same_text(index: int, options: Sequence[str]) -> frozenset[int]:
    """The option and its duplicates; benchmarks do repeat an option."""
    if not options:
        return frozenset({index})
    wanted = _squeeze(options[index])
    return frozenset(i for i, option in enumerate(options) if _squeeze(option) == wanted)


def _letter_with_text(index: int, text: str, options: Sequence[str]) -> Choice:
    # Options that are pictures have nothing but their letters for a text.
    pictures = all(_squeeze(option) == chr(97 + place) for place, option in enumerate(options))
    if not options or (pictures and not DENIES.search(text)):
        lone = {ord(letter) - 65 for letter in _LONE_LETTER.findall(text)} - {index}
        return Choice(frozenset(), "several_answers") if lone else Choice(frozenset({index}))
    bracketed = _BRACKETED.fullmatch(text)
    named = _by_text(text, options) or (_by_text(bracketed[1], options) if bracketed else frozenset())
    if index in named:
        return Choice(frozenset({index}))
    return Choice(frozenset(), "several_answers" if named else "letter_and_text_differ")


@lru_cache(maxsize=4096)
def _option_number(option: str) -> Number | None:
    return parse_number(plain_math(option))


def _by_text(answer: str, options: Sequence[str]) -> frozenset[int]:
    """Options with this text; numbers may be rounded to an option only if that singles one out."""
    wanted = _squeeze(answer)
    exact = {i for i, option in enumerate(options) if _squeeze(option) == wanted}
    number = None if exact else parse_number(plain_math(answer))
    if number is None:
        return frozenset(exact)
    rounded = set()
    for index, option in enumerate(options):
        other = _option_number(option)
        names = {variable_of(plain_math(text)) for text in (answer, option)} - {""}
        if other is None or len(names) > 1 or (other.unit and number.unit and other.unit != number.unit):
            continue
        if other.value == number.value:
            exact.add(index)
        elif close_to(other, number.value, None):
            rounded.add(index)
    return frozenset(exact or (rounded if len(rounded) == 1 else ()))


@lru_cache(maxsize=4096)
def _squeeze(text: str) -> str:
    r"""Text without spaces and dollars; LaTeX keeps its case (\Delta is not \delta)."""
    plain = plain_math(text)
    normal = plain if "\\" in plain else normalize_text(plain)
    return normal.replace("\\(", "").replace("\\)", "").translate(_IGNORED)
