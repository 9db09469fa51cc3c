"""What a sentence claims: "The bar for France is 27.5%." claims "27.5%", whatever the gold is.

The gold plays no part here, so nothing can be found in an answer because it is the gold. A sentence has a
claim only if the whole of it is plain: one that denies, doubts, compares or names a second value claims
nothing and stays what it is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from vision_r1.grading.number import parse_number
from vision_r1.grading.phrases import (
    COMPARES,
    COPULA,
    CORRECTED,
    DENIES,
    FILLER,
    FLAGS,
    FUNCTION_WORDS,
    GIVES,
    IS_ANSWER,
    JUDGED,
    LEAD,
    LEFT,
    NAMED_OPTION,
    NEGATIVE,
    NUMBER_IS,
    REASON,
    REMARK,
    SAYS,
    SAYS_FIRST,
    SECOND_THOUGHTS,
    SHORT_IS,
    SUBJECT,
    UNFINISHED,
)
from vision_r1.grading.polynomial import arithmetic_value
from vision_r1.grading.text import has_foreign_digits, hedges, plain_math, unwrap
from vision_r1.grading.units import canonical_unit
from vision_r1.grading.words import SPELT

_LONGEST = 300
_LONE_NAME = re.compile(r"\\?[A-Za-z](?:_\{?[A-Za-z0-9]{1,3}\}?)?(?:\([a-z]\))?|[-+]?[0-9.,]+")
_ALSO = re.compile(r"(?:or|i\.e\.|that is|=|≈|about)[,\s]*", FLAGS)
_ASIDE = re.compile(r"(.{1,120}?)\s\(([^()]{1,80})\)")
_CHAIN = re.compile(r"\s?=\s?|:\s")
_TURNED = re.compile(r"([-+]?[0-9][^=]{0,40}?)\s?=\s?[A-Za-z]")
_SIGNS = str.maketrans("×·÷−", "**/-")
_SUM = 60  # characters of a sum that are looked at
_SUM_BEFORE = re.compile(r"(?<![\w.,)^])([0-9(][0-9.+\-*/() ]{1,60}[0-9)])\s*$")
_OPERATOR = re.compile(r"[+\-*/]")
# A sum begins the text, or follows a word or a sign that ends what came before.
_SUM_STARTS = re.compile(r"^$|[=:;,.]$|(?<![\\A-Za-z])[A-Za-z]{2,}$")
_NUMBER_AFTER = re.compile(r"\s*(-?[0-9]{1,30}(?:\.[0-9]{1,30})?)(?![0-9,]*[\\\w/(^%+*-])")
_CLOCK_COLON = re.compile(r"(?<=[0-9]):(?=[0-9])")

_MATHS = re.compile(r"\$([^$]{1,120})\$|\\\(([^$]{1,120}?)\\\)")
_FIGURE = (
    r"(?:(?:US|USD\s|EUR\s)?[+-]?\\?[$€£¥]\s?)?(?<![A-Za-z0-9.,])[+-]?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?"
    r"(?:\s[0-9]+/[0-9]+|/[0-9]+)?(?:\s?(?:hundred|thousand|million|billion|trillion|[kMB])\b)?"
    r"(?:\s?(?:\\?%|°|\^\s?\{?\\circ\}?))?"
)
_VALUE = re.compile(rf"[0-9]{{1,2}}:[0-9]{{2}}(?:\s?[ap]\.?m\b\.?)?|{_FIGURE}", FLAGS)
_PLAIN_TEXT = re.compile(r"(?:[A-Za-z0-9\s.,:'\"$€£¥°%/–+-]|\\[%$])+|[^\x00-\u2fff]+")
_SIGN_BEFORE = re.compile(r"[0-9]|[+/-]\s?$")
_SIGN_AFTER = re.compile(r"\s?[-+/–]|\s?(?:hundred|thousand|million|billion)\b|.*[0-9]", FLAGS | re.DOTALL)
# Units that are also words or names, and so are units only at the end of a sentence.
_DOUBTFUL_UNITS = frozenset({"in", "A", "m", "t", "N", "V", "W", "J", "g", "s", "h", "l"})


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer that a sentence gives.

    Attributes:
        text: the claimed answer.
        noun: the words after a number up to the next function word, when they are no known unit.
    """

    text: str
    noun: str = ""


def claims(answer: str) -> tuple[Claim, ...]:
    """The readings of a sentence, the fullest first; empty if it claims nothing or is no sentence."""
    if len(answer) > _LONGEST:
        return ()
    if negative := NEGATIVE.fullmatch(unwrap(answer)):
        return (Claim(negative[1] or negative[2]),)
    main = _without_aside(answer)
    text = plain_sentence(main)
    if text is None:
        return (Claim(main),) if main != answer else ()
    if _miscalculates(text):
        return ()
    whole = (Claim(text),) if text != answer.strip() else ()
    return (*whole, *_readings(text))


def _readings(text: str) -> Iterator[Claim]:
    if named := IS_ANSWER.fullmatch(text) or NUMBER_IS.fullmatch(text):
        yield Claim(_without_filler(named[1]))
        return
    subject = SUBJECT.match(text)
    if subject and not _VALUE.search(subject[0]):
        yield Claim(_without_filler(subject["subject"]))
        return
    rest = _after_copula(text)
    if rest is not None:
        yield Claim(rest)
        yield Claim(_without_filler(rest))
        last = _CHAIN.split(rest)[-1]
        if last != rest and not _LONE_NAME.fullmatch(rest[: -len(last)].rstrip(" =:")):
            yield Claim(last)  # "The area is 6 * 4 = 24"
    elif turned := _TURNED.fullmatch(text):
        yield Claim(turned[1])  # "17 = x"
    elif FILLER.match(text):
        yield Claim(_without_filler(text))
    stated = rest if rest is not None and not LEFT.match(rest) else text
    single = _single_formula(stated) if _MATHS.search(stated) else _single_value(stated)
    if single:
        yield single


def plain_sentence(answer: str) -> str | None:
    """The sentence without its lead, its reason and what it corrects; None if it is not a plain one."""
    text = unwrap(answer)
    if "\n" in text or not (" " in text or "=" in text or not text.isascii()):
        return None
    text = plain_math(text)
    if corrected := CORRECTED.match(text):
        text = text[corrected.end() :]
    text = _without_remark(without_reason(text))
    text = SHORT_IS.sub(r"\1 is", text)
    while lead := LEAD.match(text):
        text = text[lead.end() :]
    text = unwrap(text)
    denied = DENIES.search(NAMED_OPTION.sub("", text))
    return None if not text or denied or hedges(text) else text


def without_reason(text: str) -> str:
    """A sentence without the reason that it gives: "B because A is too small" -> "B"."""
    return REASON.sub("", text)


def _miscalculates(text: str) -> bool:
    """Whether the text works out a sum and gets it wrong: "18-1=18" claims nothing."""
    text = text.translate(_SIGNS)
    for sign in re.finditer("=", text):
        left = _SUM_BEFORE.search(text, max(0, sign.start() - _SUM), sign.start())
        right = _NUMBER_AFTER.match(text, sign.end())
        if left is None or right is None or not _OPERATOR.search(left[1], 1):
            continue
        if not _SUM_STARTS.search(text[: left.start(1)].rstrip()):
            continue
        worked, given = arithmetic_value(left[1]), arithmetic_value(right[1])
        if worked is not None and given is not None:
            # A result may be rounded to the digits that it is given to.
            step = Fraction(1, 10 ** len(right[1].partition(".")[2]))
            if abs(worked - given) > (step / 2 if worked.denominator > 1 else 0):
                return True
    return False


def yes_or_no(answer: str) -> bool | None:
    """Whether an answer says yes or no: "Yes.", "No, the lines cross.", "True"; None if neither or both."""
    if judged := JUDGED.fullmatch(unwrap(answer)):
        return SAYS[judged[1].casefold()]
    words = re.findall(r"[a-z']+", unwrap(answer).casefold()[:_LONGEST])
    if not words or words[0] not in SAYS:
        return None
    says = SAYS[words[0]]
    opposite = {word for word, other in SAYS.items() if other is not says}
    alone = len(words) == 1 or SAYS_FIRST.match(answer)
    return says if alone and not set(words[1:]) & (opposite | SECOND_THOUGHTS) else None


def _without_remark(text: str) -> str:
    """The part before a remark ("Germany, with 45%"); "12, so 13" stays, for its remark may be the answer."""
    remark = REMARK.search(text)
    if (
        remark is None
        or not re.search(r"\w", text[: remark.start()])
        or (_VALUE.search(text[: remark.start()]) and _VALUE.search(remark[0]))
    ):
        return text
    return text[: remark.start()]


def _without_aside(answer: str) -> str:
    """An answer without a remark in brackets that leaves it what it is: "Germany (45%)", "6 (six)"."""
    aside = _ASIDE.fullmatch(plain_math(answer))
    if aside is None or UNFINISHED.search(aside[1]):
        return answer
    main, inner = aside[1], aside[2]
    number, other = parse_number(plain_math(main)), parse_number(_ALSO.sub("", plain_math(inner)))
    if number is not None and other is not None:
        return main if other.value == number.value else answer
    if hedges(inner) or DENIES.search(inner) or "," in inner:
        return answer
    if number is not None:
        return answer if _VALUE.search(inner) or SPELT.search(inner) or COMPARES.search(inner) else main
    named = len(main) > 1 and not _VALUE.search(main) and not any(char in main for char in "\\=():")
    return main if named else answer


def _after_copula(text: str) -> str | None:
    """What follows the last "is", "equals", ":" or "="; None if there is none, or only a name before it."""
    found = list(COPULA.finditer(_CLOCK_COLON.sub(".", text)))
    words = [match for match in found if match[0].strip()[:1] not in ("=", ":", "＝")]
    for match in [*reversed(words), *reversed(found)]:
        before, rest = text[: match.start()].strip(), text[match.end() :].strip()
        # "m = 4" is more than 4, and "1, x = 2" gives two values.
        sign = match[0].strip() in ("=", ":", "≈")
        named = sign and (_LONE_NAME.fullmatch(plain_math(before)) or "," in before)
        if rest and before and not named:
            return rest
    return None


def _without_filler(text: str) -> str:
    for _ in range(3):
        filler = FILLER.match(text)
        if not filler:
            break
        text = text[filler.end() :].strip()
    return text


def _single_formula(text: str) -> Claim | None:
    r"""The formula of a sentence that has one in dollars and no other value: "we get $2\sqrt{3}$ cm"."""
    maths = list(_MATHS.finditer(text))
    outside = _MATHS.sub(" ", text)
    if len(maths) != 1 or _VALUE.search(outside) or SPELT.search(outside) or COMPARES.search(text):
        return None
    return Claim((maths[0][1] or maths[0][2]).strip(), _noun(text[maths[0].end() :]))


def _single_value(text: str) -> Claim | None:
    """The one number or time of a sentence, with its unit; None if there is another, or more than words."""
    values = [*_VALUE.finditer(text), *SPELT.finditer(text)]
    plain = _PLAIN_TEXT.fullmatch(text) and not has_foreign_digits(text) and not COMPARES.search(text)
    if len(values) != 1 or not plain:
        return None
    before, value, after = text[: values[0].start()], values[0][0], text[values[0].end() :]
    if (
        _SIGN_BEFORE.search(before)
        or _SIGN_AFTER.match(after)
        or (before.strip() and not GIVES.match(before))
    ):
        return None
    if unit := _known_unit(after):
        return Claim(f"{value} {unit}")
    if after[:1].isalpha():  # "17th"
        return None
    return Claim(value, _noun(after)) if ":" in value or parse_number(plain_math(value)) else None


def _known_unit(after: str) -> str:
    """The longest known unit that the text begins with, or nothing."""
    words = after.split()
    for count in range(min(len(words), 4), 0, -1):
        unit = " ".join(words[:count]).rstrip(".,;!")
        if canonical_unit(unit) and (count == len(words) or unit not in _DOUBTFUL_UNITS):
            return unit
    return ""


def _noun(after: str) -> str:
    """What is counted: up to four words, as far as the next function word."""
    words = (word.casefold() for word in re.findall(r"[A-Za-z]+", after)[:4])
    return " ".join(itertools.takewhile(lambda word: word not in FUNCTION_WORDS, words))
