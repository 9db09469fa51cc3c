r"""Several values that are one answer: the solutions of an equation, "\pm 2", unions of intervals."""

from __future__ import annotations

import re

from vision_r1.grading.number import parse_number
from vision_r1.grading.spans import Span, as_interval

_EITHER = re.compile(
    r"\s?(?:,\s?(?:or|and)\s|\s(?:or|and)\s|\\text\{\s?(?:or|and)\s?\}|\\lor|[,;])\s?", re.ASCII
)
_SOLVED = re.compile(r"([A-Za-z])(?:_\{?[0-9]\}?|[0-9₀-₉])?\s?(?:=|\\in)\s?")
_NAMED = re.compile(r"([A-Za-z])\s?=\s?([^=]{1,80})")
_PAIR = re.compile(r"\(\s?([A-Za-z])\s?,\s?([A-Za-z])\s?\)\s?=\s?\(([^(),]{1,80}),([^(),]{1,80})\)")
_CASES = re.compile(
    r"(?:\\left\s?\\?\{?)?\\begin\{(?:cases|aligned)\}(.{1,200})\\end\{(?:cases|aligned)\}(?:\\right\.)?",
    re.DOTALL,
)
_PLUS_MINUS = re.compile(r"(.*?)\s?(?:±|\\pm)\s?(.+)", re.DOTALL)
_UNION = re.compile(r"\s?(?:\\cup|∪|\sor\s)\s?", re.ASCII)
_MOST = 12


def solutions(text: str, *, loose: bool) -> tuple[str, ...]:
    r"""The values of "x = -3 or x = 2", "x = -3, 2" or "\pm 2"; empty if the text is nothing of the kind.

    Args:
        text: after `text.plain_math`.
        loose: also read "-3 and 2" and "{-3, 2}", as an answer to a gold that is a set of solutions.
    """
    inner = text
    if loose and text[:2] in ("\\{",) and text[-2:] == "\\}":
        inner = text[2:-2]
    elif loose and text[:1] == "{" and text[-1:] == "}":
        inner = text[1:-1]
    several = _PLUS_MINUS.match(inner) or (" or " in inner and all(map(parse_number, _EITHER.split(inner))))
    if not (loose or several or _SOLVED.match(inner)):
        return ()
    names: set[str] = set()
    values: list[str] = []
    for part in _EITHER.split(inner.strip()):
        solved = _SOLVED.match(part)
        if solved:
            names.add(solved[1])
        value = part[solved.end() :] if solved else part
        if not value.strip() or value[:1] in ("[", "(") or "=" in value or len(values) > _MOST:
            return ()
        values += _both_signs(value.strip())
    return tuple(values) if len(names) <= 1 and len(values) > 1 else ()


def assignments(text: str) -> dict[str, str]:
    """The values of several names, "a = 3, b = -2" or "(a, b) = (3, -2)"; empty for anything else."""
    if pair := _PAIR.fullmatch(text):
        return {pair[1]: pair[3].strip(), pair[2]: pair[4].strip()}
    if cases := _CASES.fullmatch(text):
        text = ", ".join(row.strip(" ,&").replace("&", "") for row in cases[1].split(r"\\") if row.strip())
    parts = _EITHER.split(text) if "=" in text else []
    matches = [match for part in parts if (match := _NAMED.fullmatch(part.strip()))]
    found = {match[1]: match[2] for match in matches}
    return found if 2 <= len(found) == len(parts) <= _MOST else {}


def _both_signs(value: str) -> list[str]:
    r"""The two values of "\pm 3" or "1 \pm \sqrt{2}"; else the value itself."""
    match = _PLUS_MINUS.fullmatch(value)
    if match is None:
        return [value]
    lead, rest = match[1], match[2]
    if lead and not re.search(r"[A-Za-z0-9)}]$", lead):
        return [value]
    return [f"{lead}+{rest}" if lead else rest, f"{lead}-{rest}"]


def union(text: str) -> Span | None:
    """("union", interval, ...) of two or more intervals or inequalities, in order; else None."""
    named = re.sub(r"^[A-Za-z]\s?\\in\s?", "", text)
    parts = _UNION.split(named)
    if not 2 <= len(parts) <= _MOST:
        return None
    found = [as_interval(part.strip()) for part in parts]
    spans = sorted("|".join(span[2:]) for span in found if span)
    return ("union", *spans) if len(spans) == len(parts) else None
