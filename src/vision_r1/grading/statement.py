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

from vision_r1.grading.equations import follows_from_left
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
    PLURAL,
    SAYS,
    SAYS_FIRST,
    SECOND_THOUGHTS,
    SHORT_IS,
    SUBJECT,
    TAIL,
)
from vision_r1.grading.remarks import without_aside, without_reason, without_remark
from vision_r1.grading.sentences import names_another, states_once
from vision_r1.grading.text import has_foreign_digits, hedges, plain_math, unwrap
from vision_r1.grading.units import canonical_unit
from vision_r1.grading.values import VALUE
from vision_r1.grading.words import SPELT

_LONGEST = 300
_ASSIGNED = re.compile(r"(?<![\w\\])([A-Za-z]{1,4}(?:_\w)?)\s?=\s?[-+$\\]?[0-9]")
_LONE_NAME = re.compile(r"\\?[A-Za-z](?:_\{?[A-Za-z0-9]{1,3}\}?)?(?:\([a-z]\))?|[-+]?[0-9.,]+")
_CHAIN = re.compile(r"\s?=\s?|:\s")
_TURNED = re.compile(r"([-+]?[0-9][^=]{0,40}?)\s?=\s?[A-Za-z]")
_CLOCK_COLON = re.compile(r"(?<=[0-9]):(?=[0-9])")

_MATHS = re.compile(r"\$([^$]{1,120})\$|\\\(([^$]{1,120}?)\\\)")
_PLAIN_TEXT = re.compile(r"(?:[A-Za-z0-9\s.,:'\"$€£¥°%/–+-]|\\[%$])+|[^\x00-\u2fff]+")
# What makes another value of the number after it: "fell by 12", "the sum of 12", but not "a total of 12".
_SIGN_BEFORE = re.compile(
    r"[0-9]|[+/-]\s?$|\b(?:(?<!differ )(?<!differs )by|to|from|than|and|with|per"
    r"|(?<!total )(?<!area )(?<!length )(?<!width )(?<!height )(?<!value )(?<!cost )(?<!price )of)\s$",
    FLAGS,
)
_SIGN_AFTER = re.compile(r"\s?[-+/–]|\s?(?:hundred|thousand|million|billion)\b|.*[0-9]", FLAGS | re.DOTALL)
# Units that are also words or names, and so are units only at the end of a sentence.
_DOUBTFUL_UNITS = frozenset({"in", "A", "m", "t", "N", "V", "W", "J", "g", "s", "h", "l"})

# "It is. Yes." repeats itself; "It is. No." does not.
_SAID = re.compile(r"(?:it\sis[.,]\s(?=yes))?[\"'(*]{0,3}(yes|no|true|false)\b(.*)", FLAGS | re.DOTALL)
_NEGATES = re.compile(r"\b(?:not|never)\b|n't\b", FLAGS)
_NONE_ELSE = re.compile(r";\sthere\s(?:is|are)\sno\s[a-z\s]{1,30}\W*\Z", FLAGS)
_NO_SENTENCE = re.compile(r"\W*(?:[0-9(%]|not\b)", FLAGS)
_VALUE_IS = re.compile(
    rf"(?:{VALUE.pattern}|{SPELT.pattern})[^:=]{{0,40}}(?:\s(?:is|are|was|were|equals?)|:)\s", FLAGS
)
# "12 is the answer to another question", "12 is the number before the answer"
_ABOUT_ANSWER = re.compile(
    r"\banswers?\b.|(?<!the )(?<!correct )(?<!right )(?<!final )answer|\b(?:before|after)\b", FLAGS
)

# "Zack has 268 more stuffed animals than Ann": the difference that was asked for.
_MORE_THAN = re.compile(
    r"[A-Z][\w']{1,20}\s(?:has|have|had|sold|made|got|ate|read|scored|bought|saw|[a-z]{3,}ed)\s([0-9][0-9,.]*)\smore"
    r"\s([a-z]{3,}(?:\s[a-z]{3,}){0,2})\sthan\s[A-Z][\w']{1,20}"
)
_WHEN = re.compile(r"(?:in|on|at)\s", FLAGS)
_OTHER_SUBJECT = re.compile(
    r"(?:,\s(?:then\s)?|\sand\s(?:[a-z]+\s){0,3})[A-Z]"
)  # "Mali has the lowest value, Chad the highest"


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
    main = without_aside(answer)
    text = plain_sentence(main)
    if text is None:
        return (Claim(main),) if main != answer else ()
    if not states_once(text) or _assigns_several(text) or (follows := follows_from_left(text)) is False:
        return ()
    whole = (Claim(text),) if text != answer.strip() else ()
    return (*whole, *_readings(text, follows is True))


def _assigns_several(text: str) -> bool:
    """Whether several names get values: "AB = 5, AC = 12" answers two questions."""
    return len(set(_ASSIGNED.findall(plain_math(text)))) > 1


def _readings(text: str, follows: bool) -> Iterator[Claim]:
    """What a plain sentence may claim; what follows a "=" only if it `follows`."""
    number_is = None if COMPARES.search(text) or _ABOUT_ANSWER.search(text) else NUMBER_IS.fullmatch(text)
    if named := IS_ANSWER.fullmatch(text) or number_is:
        yield Claim(_without_filler(named[1]))
        return
    if more := _MORE_THAN.fullmatch(text):
        yield Claim(more[1], more[2])
        return
    subject = SUBJECT.match(text)
    if subject and not VALUE.search(subject[0]) and not _OTHER_SUBJECT.search(text, subject.end()):
        yield Claim(_without_filler(subject["subject"]))
        return
    if (begins := _VALUE_IS.match(text)) and not LEFT.match(text[begins.end() :]):  # "12 is 15"
        return
    rest = _after_copula(text, follows)
    if rest is not None:
        yield Claim(rest)
        yield Claim(_without_filler(rest))
        last = _CHAIN.split(rest)[-1]
        lead = rest[: -len(last)].rstrip(" =:")
        sign = rest[len(lead) : -len(last)].strip()
        if follows and lead and not (_LONE_NAME.fullmatch(lead) or names_another(lead, last, sign)):
            yield Claim(last)  # "The area is 6 * 4 = 24"
    elif follows and (turned := _TURNED.fullmatch(text)):
        yield Claim(turned[1])  # "17 = x"
    elif FILLER.match(text):
        yield Claim(_without_filler(text))
    stated = rest if rest is not None and not LEFT.match(rest) else text
    if "=" in stated and not follows:
        return
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
    text = without_remark(without_reason(text))
    text = SHORT_IS.sub(r"\1 is", text)
    while lead := LEAD.match(text):
        text = text[lead.end() :]
    text = unwrap(text)
    denied = DENIES.search(NAMED_OPTION.sub("", text))
    return None if not text or denied or hedges(text) else text


def yes_or_no(answer: str) -> bool | None:
    """Whether an answer says yes or no: "Yes.", "No, the lines cross.", "True"; None if neither or both.

    The word stands alone, or before a sentence that neither begins with a number nor says it again.
    """
    text = unwrap(answer)[:_LONGEST]
    if judged := JUDGED.fullmatch(text):
        return SAYS[judged[1].casefold()]
    found = _SAID.match(text)
    if found is None or "?" in text:
        return None
    says, rest = SAYS[found[1].casefold()], _NONE_ELSE.sub("", found[2])
    words = re.findall(r"[a-z']+", rest.casefold())
    if not re.search(r"\w", rest) or (rest[:1] in ".!" and set(words) == {found[1].casefold()}):
        return says
    plain = (
        SAYS_FIRST.match(text[found.start(1) :])
        and not _NO_SENTENCE.match(rest)
        and (len(words) > 1 or rest[:1] == " ")
        and not hedges(rest)
    )
    if says and _NEGATES.search(rest):
        return None
    again = {"yes", "true", "false"} if says is False else set(SAYS)  # "No, there is no dog."
    return says if plain and not set(words) & (SECOND_THOUGHTS | again) else None


def _after_copula(text: str, follows: bool) -> str | None:
    """What follows the last "is", "equals", ":" or "="; None if there is none, or only a name before it."""
    found = list(COPULA.finditer(_CLOCK_COLON.sub(".", text)))
    words = [match for match in found if match[0].strip()[:1] not in ("=", ":", "＝")]
    for match in [*reversed(words), *reversed(found)]:
        before, rest = text[: match.start()].strip(), text[match.end() :].strip()
        # "m = 4" is more than 4, and "1, x = 2" gives two values.
        sign = match[0].strip() in ("=", ":", "≈")
        if ("=" in match[0] and not follows) or names_another(before, rest, match[0].strip()):
            continue
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
    if len(maths) != 1 or VALUE.search(outside) or SPELT.search(outside) or COMPARES.search(text):
        return None
    return Claim((maths[0][1] or maths[0][2]).strip(), _noun(text[maths[0].end() :]))


def _single_value(text: str) -> Claim | None:
    """The one number or time of a sentence, with its unit; None if there is another, or more than words."""
    values = [*VALUE.finditer(text), *SPELT.finditer(text)]
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
        rest = after.strip().removeprefix(unit).strip(" .,!")
        return Claim(f"{value} {unit}") if TAIL.match(rest) and not rest.startswith("more") else None
    if value.endswith(("%", "°")) and after.startswith(" more"):
        return None
    if after[:1].isalpha() or not (
        _counts(after) or (after[:1] == "," and _WHEN.fullmatch(before))
    ):  # "17th", "12 in hex"
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


def _counts(after: str) -> bool:
    """Whether what follows a number is what it counts, up to three words, and where that is."""
    rest = after.strip(" .,!")
    words = rest.split()
    for count in range(min(len(words), 4)):
        noun = words[:count]
        if TAIL.match(" ".join(words[count:])) and (not noun or PLURAL.fullmatch(noun[-1].strip(",."))):
            return True
    return not words or (len(words) <= 3 and PLURAL.fullmatch(words[-1]) is not None)


def _noun(after: str) -> str:
    """What is counted: up to four words, as far as the next function word."""
    words = (word.casefold() for word in re.findall(r"[A-Za-z]+", after)[:4])
    return " ".join(itertools.takewhile(lambda word: word not in FUNCTION_WORDS, words))
