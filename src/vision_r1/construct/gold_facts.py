"""What of an image a problem needs, as far as its set says: the gold table, caption or scene, item by item.

An item is a number, a label, a colour, a size: words as a description would say them. Items stand in
groups, in the order in which they belong together: a row of a table, a list of a caption. An item is needed
if it leads to the solution: every value of a list that a pattern is read off, the rows of a table that
question or solution name (all of them where they name none).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vision_r1.problems.drawing import Scene
from vision_r1.problems.problem import Problem
from vision_r1.teachers.language import description, facts_of

Item = tuple[str, ...]
Group = tuple[Item, ...]

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+")
_LIST = re.compile(r"\[([^\[\]]{1,400})\]")
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {name: str(value) for value, name in enumerate(_NUMBER_WORDS.split())}
_VALUE_WORDS = """
red orange yellow green blue purple pink brown black white grey gray cyan magenta small medium large short
long dark light circle triangle square rectangle pentagon hexagon octagon star
"""
_VALUES = frozenset(_VALUE_WORDS.split())
_SOLUTIONS = ("solution", "explanation", "deduction")
_MOST_ROWS = 100
_MOST_ITEMS = 40  # in a group; longer ones are cut into several


@dataclass(frozen=True, slots=True)
class GoldFacts:
    """What a text about an image must keep.

    Attributes:
        text: the gold text itself.
        layouts: the needed items, grouped in each of the orders in which a text may give them: a table
            by its rows or by its columns. All layouts have the same items.
    """

    text: str
    layouts: tuple[tuple[Group, ...], ...]

    @property
    def count(self) -> int:
        """How many items are needed."""
        return sum(map(len, self.layouts[0]))


def words_of(text: str) -> list[str]:
    """The words and numbers of a text as they are compared: "Three cats, 1,200" is 3, cat, 1200."""
    return [_plain(word) for word in _WORD.findall(text.casefold())]


def _plain(word: str) -> str:
    if word[0].isdigit():
        number = word.replace(",", "")
        return number.rstrip("0").rstrip(".") if "." in number else number
    word = _NUMBERS.get(word, word)
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def gold_facts(problem: Problem) -> GoldFacts | None:
    """The needed facts of a problem's image.

    Read from `meta`: "scene" (the tiny world), "table" (lines of cells parted by "|"), or "caption" with
    lists in square brackets; "solution", "explanation" and "deduction" say what is needed.

    Returns:
        None where the set says nothing of the image, or nothing that can be told apart.
    """
    meta = problem.meta
    solution = " ".join(str(meta[name]) for name in _SOLUTIONS if meta.get(name))
    if isinstance(meta.get("scene"), Scene):
        return _of_scene(meta["scene"])
    if isinstance(meta.get("table"), str):
        return _of_table(meta["table"], f"{problem.question} {solution}", meta)
    if isinstance(meta.get("caption"), str):
        return _of_caption(meta["caption"], solution)
    return None


def _facts(text: str, *layouts: list[Group]) -> GoldFacts | None:
    kept = tuple(
        tuple(
            group[start : start + _MOST_ITEMS]
            for group in layout
            for start in range(0, len(group), _MOST_ITEMS)
        )
        for layout in layouts
    )
    return GoldFacts(text, kept) if kept[0] else None


def _of_scene(scene: Scene) -> GoldFacts | None:
    facts = facts_of(scene)
    rows: list[Group] = [tuple((str(digit),) for digit in row) for row in facts.rows]
    rows.append(tuple((str(height),) for height in facts.heights))
    rows.append(tuple((shape,) for shape in facts.shapes))
    # A shape may be named beside its number instead.
    pairs = zip(facts.shapes, facts.numbers, strict=True) if facts.shapes else ()
    beside: list[Group] = [tuple((str(each),) for pair in pairs for each in pair)]
    return _facts(description(facts), rows, *([beside] if facts.shapes else []))


def _of_table(table: str, needed_by: str, meta: Mapping[str, Any]) -> GoldFacts | None:
    rows = [[tuple(words_of(cell)) for cell in line.split("|")] for line in table.splitlines()]
    rows = [row for row in rows if any(row)][:_MOST_ROWS]
    wanted = words_of(needed_by)
    head, body = rows[:1], rows[1:]
    named = [row for row in body if row[0] and _occurs(row[0], wanted)] or body or head
    width = max(map(len, named), default=0)
    by_column = [
        tuple(row[place] for row in named if place < len(row) and row[place]) for place in range(width)
    ]
    title = f"{meta.get('table_title') or ''}\n"
    return _facts(title + table, [tuple(cell for cell in row if cell) for row in named], by_column)


def _occurs(item: Item, words: list[str]) -> bool:
    return any(tuple(words[at : at + len(item)]) == item for at in range(len(words) - len(item) + 1))


def _of_caption(caption: str, solution: str) -> GoldFacts | None:
    lists = [
        tuple(tuple(item) for part in found.split(",") if (item := words_of(part)))
        for found in _LIST.findall(caption)
    ]
    if not lists:
        wanted = set(words_of(solution))
        values = [
            word for word in words_of(caption) if word in wanted and (word[0].isdigit() or word in _VALUES)
        ]
        lists = [tuple((word,) for word in values)]
    return _facts(caption, lists)
