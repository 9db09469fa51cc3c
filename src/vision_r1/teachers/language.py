"""What the tiny world's teachers say about a picture, and how such words are read back.

A caption is what a glance gives: it names no values, like the plain captions of the paper's
Figure 5. A description carries every value; `parse_description` is all that the scripted
reasoner ever learns of a picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vision_r1.problems.drawing import SHAPES, Scene


@dataclass(frozen=True, slots=True)
class Facts:
    """What a description says.

    Attributes:
        layout: "row", "table", "bars" or "shapes".
        rows: the digits, one tuple a row.
        heights: bar heights, in levels; empty where there are no bars.
        shapes: the shape around each digit; empty where there are none.
    """

    layout: str
    rows: tuple[tuple[int, ...], ...]
    heights: tuple[int, ...] = ()
    shapes: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """All digits, top row first."""
        return tuple(digit for row in self.rows for digit in row)


def facts_of(scene: Scene) -> Facts:
    """The true facts of a scene."""
    return Facts(
        scene.layout,
        tuple(tuple(cell.digit for cell in row) for row in scene.rows),
        tuple(cell.bar for cell in scene.cells) if scene.layout == "bars" else (),
        tuple(cell.shape for cell in scene.cells) if scene.layout == "shapes" else (),
    )


def spaced(numbers: Sequence[int]) -> str:
    """`(3, 5, 2)` as "3 5 2"."""
    return " ".join(map(str, numbers))


def transcript(facts: Facts) -> str:
    """The values as a description lists them."""
    if facts.layout == "table":
        return f"top {spaced(facts.rows[0])}, bottom {spaced(facts.rows[1])}"
    if facts.layout == "bars":
        return f"heights {spaced(facts.heights)}, numbers {spaced(facts.numbers)}"
    if facts.layout == "shapes":
        return ", ".join(f"{shape} {n}" for shape, n in zip(facts.shapes, facts.numbers, strict=True))
    return spaced(facts.numbers)


def reading(facts: Facts) -> str:
    """The values as a thought lists them and the base reads them: pairs of what belongs together."""
    if facts.layout == "bars":
        return ", ".join(f"{height}:{n}" for height, n in zip(facts.heights, facts.numbers, strict=True))
    if facts.layout == "shapes":
        return ", ".join(f"{n} {shape}" for shape, n in zip(facts.shapes, facts.numbers, strict=True))
    return transcript(facts)


def caption(facts: Facts) -> str:
    """A plain caption, without values."""
    count = len(facts.numbers)
    return {
        "row": f"The image shows a row of {count} handwritten numbers.",
        "table": "The image shows a table with two rows of handwritten numbers.",
        "bars": f"The image shows a bar chart with {count} bars and a number under each bar.",
        "shapes": f"The image shows {count} shapes with a number in each shape.",
    }[facts.layout]


LEADS = {
    "row": "From left to right, the numbers are ",
    "table": "From left to right, the table reads ",
    "bars": "From left to right, the bars have ",
    "shapes": "From left to right, the shapes are ",
}


def description(facts: Facts) -> str:
    """A question-aware description: the caption and every value."""
    return f"{caption(facts)} {LEADS[facts.layout]}{transcript(facts)}."


_NUMBERS = r"(\d(?: \d){1,11})"
_READINGS = {
    "table": re.compile(rf"top {_NUMBERS}, bottom {_NUMBERS}\."),
    "bars": re.compile(rf"heights {_NUMBERS}, numbers {_NUMBERS}\."),
    "shapes": re.compile(rf"((?:{'|'.join(SHAPES)}) \d(?:, (?:{'|'.join(SHAPES)}) \d){{1,11}})\."),
    "row": re.compile(rf"{_NUMBERS}\."),
}


_PAIRS = re.compile(
    rf"\d:\d(?:, \d:\d){{1,11}}|\d (?:{'|'.join(SHAPES)})(?:, \d (?:{'|'.join(SHAPES)})){{1,11}}"
)


def parse_reading(layout: str, text: str) -> Facts | None:
    """The facts of a picture of this layout that a reading states, or None where it is none."""
    if layout in ("row", "table"):
        return parse_description(f"{LEADS[layout]}{text}.")
    if _PAIRS.fullmatch(text) is None or (":" in text) != (layout == "bars"):
        return None
    pairs = [pair.split(":" if layout == "bars" else " ") for pair in text.split(", ")]
    if layout == "bars":
        return Facts("bars", (tuple(int(n) for _, n in pairs),), tuple(int(h) for h, _ in pairs))
    return Facts("shapes", (tuple(int(n) for n, _ in pairs),), (), tuple(shape for _, shape in pairs))


def parse_description(text: str) -> Facts | None:
    """The facts a description states, or None where it states none that can be used."""
    for layout, lead in LEADS.items():
        _, found, rest = text.partition(lead)
        match = _READINGS[layout].match(rest) if found else None
        if match is None:
            continue
        if layout == "shapes":
            pairs = [part.split(" ") for part in match[1].split(", ")]
            return Facts(layout, (tuple(int(n) for _, n in pairs),), (), tuple(shape for shape, _ in pairs))
        groups = [tuple(map(int, group.split(" "))) for group in match.groups()]
        if layout == "row":
            return Facts(layout, (groups[0],))
        if layout == "table":
            return Facts(layout, (groups[0], groups[1]))
        return Facts(layout, (groups[1],), groups[0]) if len(groups[0]) == len(groups[1]) else None
    return None
