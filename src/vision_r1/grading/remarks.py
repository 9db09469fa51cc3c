"""Reasons and remarks that leave an answer what it is: "B because A is too small", "Germany (45%)".

Only what can be no second answer is dropped: a remark that denies, transforms, or names another candidate
stays, and the text is then no plain answer.
"""

from __future__ import annotations

import re

from vision_r1.grading.number import close_to, parse_number
from vision_r1.grading.phrases import COMPARES, DENIES, FLAGS, TOP, UNFINISHED
from vision_r1.grading.text import hedges, plain_math
from vision_r1.grading.units import canonical_unit
from vision_r1.grading.values import VALUE
from vision_r1.grading.words import SPELT

_REASON = re.compile(
    r",?\s(?:because|since|as (?:shown|seen|it|the|[A-J])|based on|according to|due to|given that)\b(.*)",
    FLAGS | re.DOTALL,
)
_CONTRAST = re.compile(r"(.+),\snot\s(\S{1,40}|[A-Z].{0,60})")
_LETTER = r"(?:the\s)?(?:(?:correct\s)?(?:option|choice|answer)\s)?(?:is\s)?\(?[A-J]\)?\.?$"
_VALUE_ONLY = rf"(?:a\s[a-z]+\sof\s|about\s)?(?:{VALUE.pattern})(?:\s[a-z]+)?\.?$"
_REMARK = re.compile(
    rf",\s(?:so\s(?:(?:it|that)\sis\s)?{_LETTER}|which\s(?:is|matches|corresponds\sto|gives)\s{_LETTER}"
    rf"|(?P<value>(?:with|having|at)\s{_VALUE_ONLY})|(?P<top>which\s(?:is|was|has|had)\s(?:by\sfar\s)?the\s{TOP}\b"
    r"[a-z\s]{0,40}$)"
    r"|(?P<next>(?:followed\sby|ahead\sof)\s[^,.;]{1,60}$))",
    FLAGS,
)
_HEAD = re.compile(
    r"(.{1,40}?),?\s(?:because|since|(?<=,\s)as(?=\s(?:the|it|they|only|each|all)\b))\s(.+)",
    FLAGS | re.DOTALL,
)
_RESULT = re.compile(
    r"(?:=|\b(?:is|are|equals|makes|gives)\b)\s?([-+]?\$?[0-9][0-9.,/]*(?:\s?%)?)(?=[\s,.;)]|\Z)", FLAGS
)
_TOO = re.compile(r"\btoo\b", FLAGS)
_LONE_LETTER = re.compile(r"\b[A-J]\b")
# "21.6, the mean of 18, 20 and 25": what the answer was worked out from.
_TAKEN_OF = re.compile(
    r"([^,]{1,30}),\s(the\s(?:mean|average|median|mode|sum|total|product|difference|quotient|range)\s(?:of|between)\s(?!which\b|that\b|it\b)(?:(?!\s(?:is|was|are)\s).){1,120})",
    FLAGS,
)
_RANGE_SHARE = re.compile(
    r"([0-9]{1,4}\s?-\s?[0-9]{1,4}(?:\s[a-z]+)?),\s(?:with|at)\s(?:an?\s[a-z]+\sof\s|about\s)?[0-9.]+\s?(?:%|percent)",
    FLAGS,
)
_ASIDE = re.compile(r"(.{1,120}?)\s\(([^()]{1,80})\)")
_ALSO = re.compile(r"(?:or|i\.e\.|that is|=|≈|about)[,\s]*", FLAGS)
_SOURCE = re.compile(r"(?:as|see|seen|from|read|shown)\s[a-z\s]{2,60}", FLAGS)
_OPTION = re.compile(r"(?:option\s)?[A-J]")
_LONE_OPTION = re.compile(r"(?:(?:option|choice)\s)?\(?[A-J]\)?", FLAGS)
# A reason with one of these is about the answer itself, or is another answer.
_UNDOES = re.compile(
    r"\b(?:answers?|both\s\(?[A-J]\b|key|nothing|other|correct|right|mistake\w*|error|must|should|labels?|(?:it|this|that)\s(?:is|was|means|equals)\s\S+\W*$"
    r"|(?:is|choose|pick)\s\(?[A-J]\)?\W*$)",
    re.ASCII,
)


def without_reason(text: str) -> str:
    """A sentence without the reason that it gives: "B because A is too small" -> "B"."""
    if contrast := _CONTRAST.fullmatch(text):
        main, other = contrast[1], contrast[2]
        named = VALUE.fullmatch(other) or other[:1].isupper()
        return main if named and main != other else text
    if head := _settled_before_reason(text):
        return head
    reason = _REASON.search(text)
    if reason is None or _UNDOES.search(reason[1]) or DENIES.search(re.sub("[<>]", "", reason[0])):
        return text
    main = text[: reason.start()]
    counts = has_value(main)
    return text if counts and (has_value(reason[0]) or COMPARES.search(reason[0])) else main


def _settled_before_reason(text: str) -> str:
    """The value or letter before a reason with figures of its own and no other result; else nothing."""
    found = _HEAD.fullmatch(text)
    if found is None:
        return ""
    head, why = found[1], re.sub(r"\beach other\b", "", found[2])
    number = parse_number(plain_math(head))
    if (
        not (number or _LONE_OPTION.fullmatch(head))
        or hedges(why)
        or DENIES.search(why)
        or _UNDOES.search(why)
    ):
        return ""
    if _TOO.search(why):  # "3000 is too much" speaks of another candidate
        return ""
    results = [parse_number(plain_math(result)) for result in _RESULT.findall(why)]
    same = number is None or all(result is None or result.value == number.value for result in results)
    return head if same and not (number is None and _LONE_LETTER.search(why)) else ""


def without_remark(text: str) -> str:
    """The part before a remark: "Germany, with 45%", "9, so option B"; any other text as it is."""
    remark = _REMARK.search(text)
    main = text[: remark.start()] if remark else ""
    if (taken := _TAKEN_OF.fullmatch(text)) and parse_number(taken[1]) and not hedges(taken[2]):
        return taken[1] if not DENIES.search(taken[2]) else text
    if (share := _RANGE_SHARE.fullmatch(text)) and not hedges(text):
        return share[1]
    if remark is None or not re.search(r"\w", main) or _LONE_OPTION.fullmatch(main):
        return text
    return text if has_value(main) and (remark["value"] or remark["top"] or remark["next"]) else main


def without_aside(answer: str) -> str:
    """An answer without a remark in brackets that leaves it what it is: "Germany (45%)", "6 (six)"."""
    aside = _ASIDE.fullmatch(plain_math(answer))
    if aside is None or UNFINISHED.search(aside[1]):
        return answer
    main, inner = aside[1], aside[2]
    number, other = parse_number(plain_math(main)), parse_number(_ALSO.sub("", plain_math(inner)))
    if number is not None and other is not None:
        shown = number.unit is None and other.unit == "%" and close_to(other, number.value * 100, None)
        return main if shown or other.value == number.value else answer
    if _initials(main) == inner.replace(".", "").upper():
        return main
    named = len(main) > 1 and not VALUE.search(main) and not any(char in main for char in "\\=():")
    if (named and other is not None) or (_OPTION.fullmatch(inner) and (named or number)):
        return main
    plain = not (hedges(inner) or DENIES.search(inner) or COMPARES.search(inner) or has_value(inner))
    source = canonical_unit(inner) or (plain and _SOURCE.fullmatch(inner) and not _UNDOES.search(inner))
    return main if number is not None and source else answer


def _initials(name: str) -> str:
    """The initials of several words, UK of United Kingdom; nothing for one word."""
    words = name.split()
    return "".join(word[0] for word in words).upper() if len(words) > 1 else ""


def has_value(text: str) -> bool:
    """Whether a text holds a number, in figures or in words."""
    return VALUE.search(text) is not None or SPELT.search(text) is not None
