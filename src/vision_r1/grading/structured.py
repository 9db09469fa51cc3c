r"""Answers with a form of their own: matrices, sets, intervals, ranges, ratios, times and dates.

The gold decides: where it has none of these forms, nothing here is asked. Where it has one, an answer of
the same form is equal or not; an answer of another form is left to the other comparisons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from vision_r1.grading.moments import parse_moment
from vision_r1.grading.solutions import assignments, solutions, union
from vision_r1.grading.spans import as_interval, parse_interval, parse_range, parse_ratio

# (answer, gold) of one item or cell -> whether they are equal
SameItem = Callable[[str, str], bool]
Form = tuple[object, ...]
Parse = Callable[[str], Form | None]
Rows = tuple[tuple[str, ...], ...]

_MOST_ITEMS = 64
_MATRIX = re.compile(r"\\begin\{([pbBvV]?)matrix\}(.*)\\end\{\1matrix\}", re.DOTALL)
_NAMED_MATRIX = re.compile(r"\A(?:[A-Z]|\\mathbf\s?\{?\s?[A-Z]\s?\}?)\s?=\s?")
_SET = re.compile(r"\\?\{(.*?)\\?\}", re.DOTALL)
_ARRAY = re.compile(r"[(\[]\s?\\begin\{array\}\s?\{[clr|\s]{1,20}\}(.*)\\end\{array\}\s?[)\]]", re.DOTALL)
_VECTOR = re.compile(r"(?:\\langle|⟨|<)\s?([^<>⟨⟩]+?)\s?(?:\\rangle|⟩|>)")
_POINT = re.compile(r"\(([^()]*)\)")
_POINTS = re.compile(r"\([^()]*,[^()]*\)(?:\s?(?:,|;|and|,\sand)\s?\([^()]*,[^()]*\)){1,20}")
_SETTLED = re.compile(r"[A-Za-z]\s?(?:=|\\in)\s?")


def same_form(answer: str, gold: str, same_item: SameItem) -> bool | None:
    """Whether two texts of one form are equal; None if the gold has no form, or the answer another one.

    Args:
        answer: after `text.plain_math`.
        gold: after `text.plain_math`.
        same_item: compares cells and members.
    """
    wanted = _matrix(gold)
    if wanted:
        found = _matrix(_NAMED_MATRIX.sub("", answer, count=1))
        return _same_cells(found, wanted, same_item) if found else None
    if points := _points(gold) or _vector(gold):
        return _same_cells(_points(answer) or _vector(answer), points, same_item)
    if named := assignments(gold):
        given = assignments(answer)
        return given.keys() == named.keys() and all(same_item(given[name], named[name]) for name in named)
    alike = _same_collection(answer, gold, same_item)
    return _same_span(answer, gold) if alike is None else alike


def _same_collection(answer: str, gold: str, same_item: SameItem) -> bool | None:
    """Whether solutions or sets have the same members; None if the gold is neither."""
    if roots := solutions(gold, loose=False):
        return _same_members(solutions(answer, loose=True), roots, same_item)
    if members := _members(gold):
        return _same_members(_members(answer) or tuple(_split(answer)), members, same_item)
    return None


def _same_span(answer: str, gold: str) -> bool | None:
    for parse, parse_answer in _PARSERS:
        wanted = _parsed(parse, gold)
        if wanted is None:
            continue
        found = parse_answer(answer)
        if found is None:
            continue
        if wanted[0] == found[0] == "range" and "" in (wanted[3], found[3]):  # a unit may be missing
            return found[:3] == wanted[:3]
        if wanted[0] == "interval" and "" in (wanted[1], found[1]):  # an interval names no variable
            return found[2:] == wanted[2:]
        return found == wanted
    return None


def _pair(text: str) -> Form | None:
    """A pair in brackets, which is an interval only beside an inequality."""
    return as_interval(text) if text[:1] in ("(", "[") else None


def _inequality(text: str) -> Form | None:
    return as_interval(text) if text[:1] not in ("(", "[") else None


def _colon(text: str) -> Form | None:
    return parse_ratio(text) if ":" in text else None


def _slash(text: str) -> Form | None:
    return parse_ratio(text) if "/" in text or "frac" in text else None


# How a gold is read, and how then an answer. 2/4 is 1/2, but 2:4 is not 1/2.
_PARSERS: tuple[tuple[Parse, Parse], ...] = (
    (union, union),
    (parse_interval, as_interval),
    (_pair, _inequality),
    (parse_moment, parse_moment),
    (parse_range, parse_range),
    (_colon, parse_ratio),
    (_slash, _colon),
)


@lru_cache(maxsize=4096)
def _parsed(parse: Parse, gold: str) -> Form | None:
    return parse(gold)


def _matrix(text: str) -> Rows:
    r"""Rows of cells of `\begin{pmatrix}…` or `[[1, 2], [3, 4]]`; empty if the text is neither."""
    if array := _ARRAY.fullmatch(text):
        text = rf"\begin{{matrix}}{array[1]}\end{{matrix}}"
    match = _MATRIX.fullmatch(text)
    if match and match[1] not in ("v", "V"):  # bars make a determinant
        rows = [row for row in match[2].split(r"\\") if row.strip()]
        return _rows([row.split("&") for row in rows])
    inner = text[1:-1].strip() if text[:1] == "[" and text[-1:] == "]" else ""
    if inner[:1] != "[" or inner[-1:] != "]":
        return ()
    return _rows([row.split(",") for row in re.split(r"\]\s?,\s?\[", inner[1:-1])])


def _rows(rows: Sequence[Sequence[str]]) -> Rows:
    cells = tuple(tuple(cell.strip() for cell in row) for row in rows)
    fits = len({len(row) for row in cells}) == 1 and sum(map(len, cells)) <= _MOST_ITEMS
    return cells if fits and all(cell for row in cells for cell in row) else ()


def _same_cells(found: Rows, wanted: Rows, same_item: SameItem) -> bool:
    if [len(row) for row in found] != [len(row) for row in wanted]:
        return False
    pairs = zip(sum(found, ()), sum(wanted, ()), strict=True)
    return all(same_item(cell, other) for cell, other in pairs)


def _vector(text: str) -> Rows:
    r"""One row of the components of `\langle 1, 2 \rangle` or `<1, 2>`; empty for anything else."""
    match = _VECTOR.fullmatch(text)
    return (tuple(_split(match[1])),) if match else ()


def _points(text: str) -> Rows:
    """The points of "(1, 2), (3, 4)" or "(1, 2) and (3, 4)"; empty if the text is anything else."""
    if not _POINTS.fullmatch(text):
        return ()
    return tuple(tuple(_split(point)) for point in _POINT.findall(text))


def _members(text: str) -> tuple[str, ...]:
    r"""Members of `{1, 2}` or `x \in \{1, 2\}`; empty if the text is no set."""
    if any(mark in text for mark in ("|", "\\mid", ":")):  # {x | x > 2} is an interval
        return ()
    match = _SET.fullmatch(_SETTLED.sub("", text, count=1) if _SETTLED.match(text) else text)
    return tuple(_split(match[1])) if match else ()


def _split(text: str) -> list[str]:
    items = [item.strip() for item in re.split(r"[,;]|\sand\s", text)]
    return items if len(items) <= _MOST_ITEMS and all(items) else []


def _same_members(found: Sequence[str], wanted: Sequence[str], same_item: SameItem) -> bool:
    """Whether each member of one is a member of the other, in any order."""
    left = list(found)
    for member in wanted:
        index = next((place for place, item in enumerate(left) if same_item(item, member)), None)
        if index is None:
            return False
        left.pop(index)
    return not left
