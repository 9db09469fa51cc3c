"""What is known of an image, and whether a thought says otherwise.

Where a set has gold values (a table, a scene that we drew), a thought that names another value for the same
thing contradicts the image, even if its answer is right. Only plain statements are judged, a label with a
number next to it: a rule that drops rows must be right when it speaks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vision_r1.problems.drawing import Scene
from vision_r1.problems.problem import Problem
from vision_r1.teachers.language import facts_of, reading
from vision_r1.teachers.reasoner import READING_LEADS

_NUMBER = r"[-−]?\$?\d[\d,]*(?:\.\d+)?"
_PLAIN_NUMBER = re.compile(_NUMBER)
_LINKS = r"\s*(?::|=|is|was|has|had|shows|reads|equals|at)\s*(?:about\s+|exactly\s+|equal\s+to\s+)?"
# Not a value but a part of a sum, a comparison, an order or a share.
_NOT_A_VALUE = (
    r"(?!\s*(?:[-−+*/×÷%^]|\d|\.\d|,\d|percent|per\b|more|less|fewer|greater|higher|lower|times|out\s+of|of\b|st\b|nd\b|rd\b|th\b"
    r"|[a-z]{1,3}\d))"
)
_MOST_LABELS = 200
_Labels = tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True, slots=True)
class KnownImage:
    """Values that an image is known to show.

    Attributes:
        labels: label -> every number that may stand beside it, as `plain_number` writes it.
        readings: what a text that begins to list the image's values ("the numbers are") must go on with.
    """

    labels: _Labels = ()
    readings: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, problem: Problem) -> KnownImage | None:
        """What the problem's set says of its image; None where it says nothing that can be held against."""
        scene, table = problem.meta.get("scene"), problem.meta.get("table")
        if isinstance(scene, Scene):
            facts = facts_of(scene)
            return cls(readings=((READING_LEADS[facts.layout], reading(facts)),))
        labels = _of_table(table) if isinstance(table, str) else ()
        return cls(labels=labels) if labels else None


def plain_number(text: str) -> str:
    """A number without marks: "$1,200.50" -> "1200.5"."""
    plain = text.replace("−", "-").replace("$", "").replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _of_table(table: str) -> _Labels:
    """First cell -> numbers of its row, of a table with cells parted by "|"; repeated labels are left out."""
    rows: dict[str, frozenset[str] | None] = {}
    for line in table.splitlines()[:_MOST_LABELS]:
        label, *cells = (cell.strip() for cell in line.split("|"))
        numbers = frozenset(plain_number(each) for cell in cells for each in _PLAIN_NUMBER.findall(cell))
        key = label.casefold()
        # A number as a label, or one of few letters, stands beside other numbers for other reasons.
        if sum(map(str.isalpha, label)) < 3 or len(label) > 60 or not numbers or len(numbers) > len(cells):
            continue
        rows[key] = None if key in rows else numbers
    return tuple((label, numbers) for label, numbers in rows.items() if numbers)


def contradiction_of_image(thought: str, known: KnownImage) -> str | None:
    """The first value that a thought names wrongly and never rightly, if any."""
    lowered = thought.casefold()
    for lead, right in known.readings:
        said = re.findall(rf"\b{re.escape(lead)} ([^.\n]{{1,200}})", lowered)
        wrong = [each for each in said if each.strip() != right]
        if wrong and right not in lowered:
            return f"{lead} {wrong[0][:60]}; the image shows {right[:60]}"
    return _wrong_label(lowered, dict(known.labels))


def _wrong_label(lowered: str, labels: Mapping[str, frozenset[str]]) -> str | None:
    for label, numbers in labels.items():
        if label not in lowered:
            continue
        said = re.findall(rf"(?<!\w){re.escape(label)}{_LINKS}({_NUMBER})\b{_NOT_A_VALUE}", lowered)
        values = [plain_number(each) for each in said]
        if values and not numbers & set(values):
            return f"{label[:40]} {values[0]}; the image shows {', '.join(sorted(numbers))[:60]}"
    return None
