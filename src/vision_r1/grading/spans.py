r"""Ranges, intervals with inequalities, and ratios as answers.

"10-20" is "from 10 to 20"; "(2, 5]" is "2 < x \le 5"; "x > 3" is "3 < x" and "(3, \infty)"; "3:8" is
"3 to 8" and 3/8, but not 6:16.
"""

from __future__ import annotations

import re

from vision_r1.grading.number import parse_number

_SIGNED = r"[+-]?\s?\\?[$€£¥]?[0-9][0-9,.]*%?"
_RANGE = re.compile(
    rf"(?:from\s|(?P<between>between\s))?(?P<low>{_SIGNED})\s?(?P<mark>-|to|and|through)\s?(?P<high>{_SIGNED})"
    r"(?P<rest>(?:\s?[A-Za-z°][A-Za-z°^0-9 ]{0,20})?)",
    re.IGNORECASE | re.ASCII,
)
_TERM = r"[0-9]+(?:\.[0-9]+)?"
_RATIO = re.compile(
    rf"{_TERM}(?:\s?(?::|/|to)\s?{_TERM}){{1,5}}|\\[dt]?frac\s?\{{{_TERM}\}}\s?\{{{_TERM}\}}", re.ASCII
)
_TERMS = re.compile(_TERM)
_INTERVAL = re.compile(
    r"(?P<left>[(\[])\s?(?P<low>[^,()\[\]]+?)\s?,\s?(?P<high>[^,()\[\]]+?)\s?(?P<right>[)\]])"
)
_RELATIONS = {
    r"\leq": "<=", r"\le": "<=", r"\geq": ">=", r"\ge": ">=", r"\lt": "<", r"\gt": ">", "≤": "<=", "≥": ">=",
}  # fmt: skip
_RELATION = re.compile(r"(<=|>=|<|>)")
_VARIABLE = re.compile(r"[A-Za-z]")
_INFINITE = re.compile(r"([+-]?)\s?(?:\\infty|∞|infinity|inf)")
_BUILDER = re.compile(r"\\?\{\s?[A-Za-z]\s?(?:\||\\mid|\\vert|:)\s?(.+?)\s?\\?\}")
_IN_WORDS = re.compile(r"\sis\s(less|greater|more|smaller|larger)\sthan(\sor\sequal\sto)?\s")
_MEMBER = re.compile(r"[A-Za-z]\s?(?:\\in|∈)\s?")

Span = tuple[str, ...]


def parse_range(text: str) -> Span | None:
    """("range", low, high, unit) of "10-20 cm", "from 10 to 20", "between 10 and 20"; else None."""
    match = _RANGE.fullmatch(text)
    if match is None or (match["mark"].casefold() == "and") != bool(match["between"]):
        return None
    low, high = parse_number(match["low"]), parse_number(match["high"] + match["rest"])
    if low is None or high is None or low.value >= high.value:
        return None
    return "range", str(low.value), str(high.value), high.unit or low.unit or ""


def parse_ratio(text: str) -> Span | None:
    r"""("ratio", a, b) of "3:8", "3 to 8", "3/8" or "\frac{3}{8}", or of more terms; else None."""
    match = _RATIO.fullmatch(text)
    return ("ratio", *_TERMS.findall(text)) if match else None


def parse_interval(text: str) -> Span | None:
    r"""("interval", variable or "", low, closed, high, closed) of an interval or an inequality; else None.

    A pair in equal brackets without an infinite end could be a point and is left alone, unless it is
    asked for as the other side of an inequality: see `as_interval`.
    """
    found = as_interval(text)
    plain = _INTERVAL.fullmatch(text)
    point = (
        plain is not None and plain["left"] + plain["right"] in ("()", "[]") and "infinity" not in str(found)
    )
    return None if point else found


def as_interval(text: str) -> Span | None:
    """As `parse_interval`, but any pair in brackets is an interval."""
    member, built = _MEMBER.match(text), _BUILDER.fullmatch(text)
    text = built[1] if built else text[member.end() :] if member else text
    match = _INTERVAL.fullmatch(text)
    if match:
        low, high = _end(match["low"], "-"), _end(match["high"], "+")
        return "interval", "", low, _shut(match["left"] == "[", low), high, _shut(match["right"] == "]", high)
    return _inequality(text)


def _inequality(text: str) -> Span | None:
    text = _IN_WORDS.sub(
        lambda m: f" {'<' if m[1] in ('less', 'smaller') else '>'}{'=' if m[2] else ''} ", text
    )
    for mark, plain in _RELATIONS.items():
        text = text.replace(mark, plain)
    parts = [part.strip() for part in _RELATION.split(text)]
    if len(parts) == 3:
        return _one_sided(parts[0], parts[1], parts[2])
    if len(parts) != 5 or parts[1][0] != parts[3][0] or not _VARIABLE.fullmatch(parts[2]):
        return None
    low, first, variable, second, high = parts
    if first[0] == ">":
        low, first, second, high = high, second, first, low
    return (
        "interval",
        variable,
        _end(low, "-"),
        _shut("=" in first, ""),
        _end(high, "+"),
        _shut("=" in second, ""),
    )


def _one_sided(left: str, relation: str, right: str) -> Span | None:
    if _VARIABLE.fullmatch(right) and not _VARIABLE.fullmatch(left):
        left, right, relation = right, left, relation.translate(str.maketrans("<>", "><"))
    if not _VARIABLE.fullmatch(left) or not right or _VARIABLE.fullmatch(right):
        # "4 < 5": no interval, but the same as "5 > 4".
        low, high = (left, right) if relation[0] == "<" else (right, left)
        return ("relation", _end(low, ""), relation[1:], _end(high, "")) if low and high else None
    shut = _shut("=" in relation, "")
    if relation[0] == "<":
        return "interval", left, "-infinity", "open", _end(right, "+"), shut
    return "interval", left, _end(right, "-"), shut, "+infinity", "open"


def _end(text: str, side: str) -> str:
    """An end in the form that is compared: an exact number, an infinity, or the text without spaces."""
    infinite = _INFINITE.fullmatch(text.strip())
    if infinite:
        return f"{infinite[1] or side}infinity"
    number = parse_number(text)
    return str(number.value) if number and not number.unit else text.replace(" ", "")


def _shut(closed: bool, end: str) -> str:
    return "closed" if closed and not end.endswith("infinity") else "open"
