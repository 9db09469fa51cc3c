r"""The end of a chain of equalities: "AO = \sqrt{361} = 19", "P = 13/51 ≈ 0.2549".

A chain states its last member, and the exact value before an "≈", of what its first member names. Members that
are plain arithmetic must agree with the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from vision_r1.grading.number import Number, parse_number
from vision_r1.grading.polynomial import arithmetic_value
from vision_r1.grading.text import plain_math

_LONGEST = 400
_CLAUSE = re.compile(r"(?:[,;]\s(?:and\s)?|\sand\s|(?<!\s):\s)(?=(?:[^,;=≈()]|\([^()]{0,40}\)){1,60}(?:=|≈))")
_SIGN = re.compile(r"(?<![<>!≠])(=|≈)(?!=)")
_APPROX = re.compile(r"\\(?:approx|simeq|fallingdotseq)(?![a-z])|≅")
_RELATES = re.compile(r"[<>≤≥≠]|\\(?:le|ge|ne|lt|gt|leq|geq|neq)(?![a-z])")
_SPACE = re.compile(r"\\[,;:! ]|\\q?quad(?![a-z])|~")
_ROUNDED = re.compile(r"\s\((?:rounded|to|correct to|approximately)\b[^()]*\)\W*\Z", re.IGNORECASE)
_COPULA = re.compile(
    r"(?<!\\)\b(?:is|are|was|equals?|be|becomes|have|get|obtain|gives?|total|area|volume|perimeter|probability|length|ratio|value|angle|sum)"
    r"(?:\sof\s[^=]{1,40})?:?\s+(?=\S*\Z|[^a-z]|[a-z][^a-z])",
    re.IGNORECASE,
)
_WORD = re.compile(
    r"(?<![\\A-Za-z])(?!(?:sin|cos|tan|cot|sec|log|ln|arc|sqrt)\b)[A-Za-z]{4,}|^[A-Z][a-z]{2,}\b"
)
_GREEK = (
    r"\\?(?:alpha|beta|gamma|theta|phi|pi|angle|triangle|overline|widehat|mathrm|text|vec|cos|sin|tan|cot)"
)
_NAME = re.compile(
    rf"(?:(?:m\s?)?(?:∠|△|°|{_GREEK})?\s?\{{?[A-Za-z■□△?]{{0,12}}'?\}}?(?:_\{{?\w{{1,5}}\}}?|[₀-₉])?(?:\([^()=]{{1,30}}\))?"
    r"|\\?(?:sin|cos|tan|cot|log|ln)(?:\^\{?2\}?)?\s?(?:∠|\\?(?:angle|theta|alpha|beta|phi)|[θαβφ])?\s?\(?[A-Za-z]{0,4}\)?"
    r"|[A-Za-z]{1,3}\s?[/:]\s?[A-Za-z]{1,3}|\\d?frac\{[A-Za-z]{1,3}\}\{[A-Za-z]{1,3}\}|\\(?:int|sum|lim|prod).*|[∫∑].*)"
)
_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])")
_VARIABLE = re.compile(r"[A-Za-z]")
_RATIO = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?:\s?([0-9]+(?:\.[0-9]+)?)")
_RATIO_OF = re.compile(r"\bratio\b|[A-Za-z]\s?:\s?[A-Za-z]", re.IGNORECASE)
_UNEVALUATED = re.compile(r"[0-9)}]\s*(?:[+×*÷·]|\\times|\\cdot|\\div)\s*[0-9(\\]|[0-9]\s[-−]\s[0-9]")
_DIGIT_FRAC = re.compile(r"\\[dt]?frac\s?([0-9])\s?([0-9])")
_MARKS = str.maketrans(
    {
        "×": "*",
        "·": "*",
        "⋅": "*",
        "÷": "/",
        "−": "-",
        "–": "-",
        "$": None,
        "€": None,
        "£": None,
        "°": None,
        "½": "(1/2)",
    }
)
_NUMBER = r"[-−]?\s?[0-9]+(?:[./][0-9]+)?"
_ASSIGNED = re.compile(
    rf"\b(?:when|where|at|with|is|are|get|gives?|:)\s([A-Za-z]\s?=\s?{_NUMBER}(?:(?:,|\sand|,\sand)\s[A-Za-z]\s?=\s?{_NUMBER}){{1,3}})\s?\.?\Z"
)
_SOLVED = re.compile(r"\$\s?([A-Za-z])(?:_\{?[0-9]\}?)?\s?=")
_WHEN = re.compile(
    r"\b(?:exactly|precisely|only|true|holds|satisfied)\s(?:when|for|if)\s\$([^$=]{1,60}(?:[<>≤≥]|\\[lg]eq?)[^$=]{1,60})\$\s?\.?\Z"
)
_RUN = re.compile(
    r"(?:\b(?:when|where|if|at|for|are|is|or|get|obtain|:)\s|:\s|\A)(\$[^$]{1,60}\$(?:\s?[a-z]{1,3}\b)?(?:\s?(?:,|or|and|,\s?or|,\s?and)\s\$[^$]{1,60}\$(?:\s?[a-z]{1,3}\b)?){1,5})\s?\.?\Z"
)


def chain_values(clause: str) -> Iterator[str]:
    """The end of the chain that a clause closes with, and the member before an "≈"; nothing if it states none.

    Args:
        clause: without bold marks.
    """
    text = _ROUNDED.sub("", clause).strip().rstrip(".")
    text = _SPACE.sub(" ", _APPROX.sub("≈", text.replace(r"\$", "").replace(r"\(", "").replace(r"\)", "")))
    if len(text) > _LONGEST or not _SIGN.search(text) or _RELATES.search(text):
        return
    *others, last = _CLAUSE.split(_money_kept(text))
    parts = _SIGN.split(last)
    sides, signs = [side.strip() for side in parts[::2]], parts[1::2]
    derived = len(sides) > 2 or all(
        sides[0] in other for other in others if "=" in other
    )  # "2x = 30 and x = 15"
    if not derived:
        return
    end = sides[-1].strip(" .,")
    if (
        not signs
        or not end
        or not _names(sides[0])
        or not _agrees(sides)
        or (_UNEVALUATED.search(end) and not _LETTER.search(end))
    ):
        return
    name = _after_words(sides[0])
    if _VARIABLE.fullmatch(name):  # "y = 0" is not "x = 0"
        yield f"{name} = {end}"
        if signs[-1] == "≈" and len(sides) > 2:
            yield f"{name} = {sides[-2]}"
        return
    yield end
    if signs[-1] == "≈" and len(sides) > 1:
        exact = sides[-2]
        yield _after_words(exact) if len(sides) == 2 else exact
    if (ratio := _RATIO.fullmatch(end)) and _RATIO_OF.search(clause):
        yield f"{ratio[1]}/{ratio[2]}"


def _money_kept(text: str) -> str:
    """The text without the dollars that enclose mathematics; those of money stay."""
    return (
        text
        if re.search(r"\$\s?[0-9][0-9,.]*(?![^$]*\$)", text) and text.count("$") % 2
        else re.sub(r"\$(?![0-9])|(?<=[^\s])\$(?=[\s.,]|\Z)|\$(?=[0-9][^$]*[\\=])", "", text)
    )


def formula_run(sentence: str) -> str | None:
    """The formulas that a sentence ends in, joined as it joins them: "when $x < -1$ or $x > 2$"."""
    if assigned := _ASSIGNED.search(sentence.replace("$", "")):
        return assigned[1]
    if condition := _WHEN.search(sentence):
        return condition[1]
    found = _RUN.search(sentence)
    if found is None:
        return None
    names = {match[1] for match in _SOLVED.finditer(found[1])}
    if "=" in found[1] and (len(names) != 1 or len(_SOLVED.findall(found[1])) != found[1].count("=")):
        return None  # "$2x = 30$ and $x = 15$" are steps
    return re.sub(r"\$\s?(?:s|m|cm|h)\b", "$", found[1]).replace("$", "")


def _names(side: str) -> bool:
    """Whether the first member is a name, arithmetic, or an expression that words introduce."""
    if _COPULA.search(side) or not side:
        return True
    rest = _after_words(side)
    if rest != side:
        return not rest or _NAME.fullmatch(rest) is not None or _value(rest) is not None
    return _NAME.fullmatch(side) is not None or _value(side) is not None


def _after_words(side: str) -> str:
    """The last expression of a member that begins with words: "the ratio is 20/13" -> "20/13"."""
    words = list(_WORD.finditer(side))
    found = list(_COPULA.finditer(side))
    start = max(words[-1].end() if words else 0, found[-1].end() if found else 0)
    return side[start:].strip(" ,:")


def _agrees(sides: list[str]) -> bool:
    """Whether all members that are plain arithmetic have the value of the end, as far as it is rounded."""
    end = parse_number(plain_math(sides[-1].replace("$", "")))
    if end is None:
        return True
    values = [value for side in sides[:-1] if (value := _value(_after_words(side) or side)) is not None]
    return all(abs(value - end.value) <= _slack(end) for value in values)


def _slack(end: Number) -> Fraction:
    """Half a step of the last decimal, and a little for a factor that was rounded before."""
    return (
        Fraction(1, 10 ** (end.decimals or 0)) * Fraction(11, 20) + abs(end.value) / 2000
        if end.decimals
        else Fraction(0)
    )


def _value(side: str) -> Fraction | None:
    text = (
        plain_math(side).translate(_MARKS).replace("^\\circ", "").replace("^{\\circ}", "").replace("\\$", "")
    )
    text = _DIGIT_FRAC.sub(r"\\frac{\1}{\2}", re.sub(r"(?<=[0-9]),(?=[0-9]{3})", "", text))
    number = parse_number(text)
    return number.value if number else arithmetic_value(text)
