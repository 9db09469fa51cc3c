r"""The end of a chain of equalities: "AO = \sqrt{361} = 19", "P = 13/51 ≈ 0.2549".

A chain states its last member, and the exact value before an "≈", of what its first member names. Members
that are plain arithmetic must agree with the end.
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
_APPROXIMATELY = re.compile(r"\\(?:approx|simeq)(?![a-z])|≅")
_RELATES = re.compile(r"[<>≤≥≠]|\\(?:le|ge|ne|lt|gt|leq|geq|neq)(?![a-z])")
_SPACE = re.compile(r"\\[,;:! ]|\\q?quad(?![a-z])|~")
_ALIGNED = re.compile(r"\\begin\{(aligned|align\*?|split|gathered)\}(.*)\\end\{\1\}")
_NEXT_ROW = re.compile(r"\\\\\s*(?![=≈]|\\approx)")
_ROUNDED = re.compile(r"\s\((?:rounded|to|correct to|approximately)\b[^()]*\)\W*\Z", re.IGNORECASE)
_COPULA = re.compile(
    r"(?<!\\)\b(?:is|are|was|equals?|be|becomes|have|get|obtain|gives?|total|area|volume|perimeter|probability"
    r"|length|ratio|value|angle|sum)(?:\sof\s[^=]{1,40})?:?\s+(?=\S*\Z|[^a-z]|[a-z][^a-z])",
    re.IGNORECASE,
)
_FUNCTIONS = r"(?:sin|cos|tan|cot|sec|log|ln|arc|sqrt)"
_WORD = re.compile(rf"(?<![\\A-Za-z])(?!{_FUNCTIONS}\b)[A-Za-z]{{4,}}|^[A-Z][a-z]{{2,}}\b")
_GREEK = (
    r"\\?(?:alpha|beta|gamma|theta|phi|pi|angle|triangle|overline|widehat|mathrm|text|vec|cos|sin|tan|cot)"
)
_NAME = re.compile(
    rf"(?:(?:m\s?)?(?:∠|△|°|{_GREEK})?\s?\{{?[A-Za-z■□△?]{{0,12}}'?\}}?(?:_\{{?\w{{1,5}}\}}?|[₀-₉])?"
    r"(?:\([^()=]{1,30}\))?"
    rf"|\\?{_FUNCTIONS}(?:\^\{{?2\}}?)?\s?(?:∠|\\?(?:angle|theta|alpha|beta|phi)|[θαβφ])?\s?\(?[A-Za-z]{{0,4}}\)?"
    r"|[A-Za-z]{1,3}\s?[/:]\s?[A-Za-z]{1,3}|\\d?frac\{[A-Za-z]{1,3}\}\{[A-Za-z]{1,3}\}"
    r"|\\(?:int|sum|lim|prod).*|[∫∑].*)"
)
_VARIABLE = re.compile(r"[A-Za-z]")
_LONE_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])")
_RATIO = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?:\s?([0-9]+(?:\.[0-9]+)?)")
_RATIO_OF = re.compile(r"\bratio\b|[A-Za-z]\s?:\s?[A-Za-z]", re.IGNORECASE)
_UNEVALUATED = re.compile(r"[0-9)}]\s*(?:[+×*÷·]|\\times|\\cdot|\\div)\s*[0-9(\\]|[0-9]\s[-−]\s[0-9]")
_DIGIT_FRACTION = re.compile(r"\\[dt]?frac\s?([0-9])\s?([0-9])")
_COUNTED = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?)\s[a-z]{3,}\s[a-z]")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3})")
_DEGREES = re.compile(r"\^\{?\\circ\}?")
_SIGNS = {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "½": "(1/2)"}
_MARKS = str.maketrans(_SIGNS | dict.fromkeys("$€£°"))
# Dollars that enclose mathematics, and not those before a price.
_PRICE = re.compile(r"\$\s?[0-9][0-9,.]*(?![^$]*\$)")
_MATHS_DOLLAR = re.compile(r"\$(?![0-9])|(?<=\S)\$(?=[\s.,]|\Z)|\$(?=[0-9][^$]*[\\=])")

_UNITS = r"(?:\s?[a-z]{1,3}\b)?"
_RUN = re.compile(
    r"(?:\b(?:when|where|if|at|for|are|is|or|get|obtain|:)\s|:\s|\A)"
    rf"(\$[^$]{{1,60}}\${_UNITS}(?:\s?(?:,|or|and|,\s?or|,\s?and)\s\$[^$]{{1,60}}\${_UNITS}){{1,5}})\s?\.?\Z"
)
_SOLVED = re.compile(r"\$\s?([A-Za-z])(?:_\{?[0-9]\}?)?\s?=")
_WHEN = re.compile(
    r"(?:\b(?:exactly|precisely|only|true|holds|satisfied)\s(?:when|for|if)"
    r"|\b(?:numbers|values|all|set\sof)\s\$?[a-z]\$?\s(?:such\sthat|with))\s"
    r"\$([^$=]{1,60}(?:[<>≤≥]|\\[lg]eq?)[^$=]{1,60})\$\s?\.?\Z"
)
_FIGURE = r"[-−]?\s?[0-9]+(?:[./][0-9]+)?"
_ASSIGNED = re.compile(
    rf"(?:\A|\b(?:when|where|at|with|is|are|get|gives?|:)\s)([A-Za-z]\s?=\s?{_FIGURE}"
    rf"(?:(?:,|\sand|,\sand|,?\sor)\s[A-Za-z]\s?=\s?{_FIGURE}){{1,3}})\s?\.?\Z"
)


def chain_values(clause: str) -> Iterator[str]:
    """The end of the chain that a clause closes with, and what stands before its "≈"; else nothing.

    Args:
        clause: without bold marks.
    """
    text = _written_out(clause)
    if len(text) > _LONGEST or not _SIGN.search(text) or _RELATES.search(text):
        return
    *others, last = _CLAUSE.split(text)
    parts = _SIGN.split(last)
    sides, sign = [side.strip() for side in parts[::2]], parts[-2] if len(parts) > 1 else ""
    end = sides[-1].strip(" .,")
    # "2x = 30 and x = 15" derives x, "AB = 12, AC = 13" states two things
    derived = len(sides) > 2 or all(sides[0] in other for other in others if "=" in other)
    copied = _UNEVALUATED.search(end) and not _LONE_LETTER.search(end)
    if not (sign and end and derived and _names(sides[0]) and _agrees(sides)) or copied:
        return
    name, exact = _after_words(sides[0]), sides[-2] if len(sides) > 2 else _after_words(sides[-2])
    is_variable = _VARIABLE.fullmatch(name) is not None  # "y = 0" is not "x = 0"
    lead = f"{name} = " if is_variable else ""
    yield f"{lead}{end}"
    if sign == "≈" and (len(sides) > 2 or not is_variable):
        yield f"{lead}{exact}"
    if (ratio := _RATIO.fullmatch(end)) and _RATIO_OF.search(clause):
        yield f"{ratio[1]}/{ratio[2]}"


def formula_run(sentence: str) -> str | None:
    """The formulas that a sentence ends in, joined as it joins them: "when $x < -1$ or $x > 2$"."""
    if assigned := _ASSIGNED.search(sentence.replace("$", "")):
        return assigned[1]
    if condition := _WHEN.search(sentence):
        return condition[1]
    found = _RUN.search(sentence)
    if found is None:
        return None
    solved = _SOLVED.findall(found[1])
    if "=" in found[1] and (len(set(solved)) != 1 or len(solved) != found[1].count("=")):
        return None  # "$2x = 30$ and $x = 15$" are steps
    return re.sub(r"\$\s?(?:s|m|cm|h)\b", "$", found[1]).replace("$", "")


def _written_out(clause: str) -> str:
    """A clause without the marks of mathematics; rows that go on with "=" are one chain."""
    text = _ROUNDED.sub("", clause).strip().rstrip(".")
    if aligned := _ALIGNED.search(text):
        text = _NEXT_ROW.sub(", ", aligned[2].replace("&", "")).replace("\\\\", " ")
    for mark in (r"\$", r"\(", r"\)"):
        text = text.replace(mark, "")
    text = _SPACE.sub(" ", _APPROXIMATELY.sub("≈", text))
    priced = text.count("$") % 2 and _PRICE.search(text)
    return text if priced else _MATHS_DOLLAR.sub("", text)


def _names(side: str) -> bool:
    """Whether the first member is a name, arithmetic, or an expression that words introduce."""
    if not side or _COPULA.search(side) or _NAME.fullmatch(side):
        return True
    rest = _after_words(side)
    return not rest or _NAME.fullmatch(rest) is not None or _value(rest) is not None


def _after_words(side: str) -> str:
    """The last expression of a member that begins with words: "the ratio is 20/13" -> "20/13"."""
    ends = [0, *(found.end() for pattern in (_WORD, _COPULA) for found in pattern.finditer(side))]
    return side[max(ends) :].strip(" ,:")


def _agrees(sides: list[str]) -> bool:
    """Whether all members that are plain arithmetic have the value of the end, as far as it is rounded."""
    last = sides[-1].replace("$", "")
    end = parse_number(plain_math(last))
    if end is None and (counted := _COUNTED.match(last)):
        end = parse_number(counted[1])  # "152 trees in the park"
    if end is None:
        return True
    cents = end.unit == "¢" and "$" in sides[-2]
    values = [value for side in sides[:-1] if (value := _value(_after_words(side) or side)) is not None]
    values = [value * 100 for value in values] if cents else values
    return all(abs(value - end.value) <= _slack(end) for value in values)


def arithmetic_of(work: str, result: str) -> bool:
    """Whether plain arithmetic has the value of a result that is written behind it: "720 + 654", "1,374"."""
    return _value(work) is not None and _agrees([work, result])


def _slack(end: Number) -> Fraction:
    """Half a step of the last decimal, and a little for a factor that was rounded before."""
    if not end.decimals:
        return Fraction(0)
    return Fraction(11, 20 * 10 ** max(end.decimals, 0)) + abs(end.value) / 2000


def _value(side: str) -> Fraction | None:
    text = _DEGREES.sub("", plain_math(side).translate(_MARKS))
    text = _DIGIT_FRACTION.sub(r"\\frac{\1}{\2}", _THOUSANDS.sub("", text))
    number = parse_number(text)
    return number.value if number else arithmetic_value(text)
