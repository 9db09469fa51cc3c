"""Bold in a closing sentence: the one bold span that reads as a value is the claim.

"So it costs **$27.88** more." claims $27.88, whatever else it mentions; "twice **12**" and "**12** or **13**"
claim nothing by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BOLD = re.compile(r"\*\*([^*\n]{1,120})\*\*")
_SUMS = ["equal", "sponds", "up", "comes", "counts", "simplifies", "leads", "points", "belongs"]
_MEASURES = [
    "value",
    "total",
    "area",
    "volume",
    "length",
    "perimeter",
    "cost",
    "price",
    "angle",
    "radius",
    "measure",
    "sum",
    "probability",
    "mean",
    "range",
]
_NOT_AFTER = (
    "".join(rf"(?<!{word}\s)" for word in _SUMS)
    + "to|"
    + "".join(rf"(?<!{word}\s)" for word in _MEASURES)
    + "of"
)
# Words next to a bold value that make another value of it.
_BEFORE = re.compile(
    rf"(?:\b(?:{_NOT_AFTER}|than|by|from|with|twice|half|double|times|between|and|after|before|until|since"
    r"|beside|over|under|above|below|per|minus|plus|like|nearly|almost|most|least|guess)|[-+/×·])\s*\Z",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\s*(?:too|less|fewer|times|short|higher|lower|greater|smaller|larger|per|of|and|to|city|county"
    r"|more\sthan\s(?:it|that|this|the\s(?:answer|one|correct|right)|[0-9]))\b|\s?[-+/×·^]"
    r"|.*,\s(?:and|but)\s",
    re.IGNORECASE,
)
_VALUE_LIKE = re.compile(r"[0-9\\=]|\A\(?[A-J]\)?\.?\Z")
_LETTER_FIRST = re.compile(r"\*\*(\(?[A-J]\)?)\*\*\s*([^*]{1,80}?)\.?")


@dataclass(frozen=True, slots=True)
class Emphasis:
    """What the bold of a clause claims.

    Attributes:
        claim: the text of the only bold span; "" if there is none beside other words.
        alone: whether nothing else in the clause may be read as its claim.
    """

    claim: str
    alone: bool


def emphasised(clause: str) -> Emphasis:
    """The claim that the bold of a clause makes."""
    bold = _BOLD.findall(clause)
    if len(bold) != 1:
        return Emphasis("", len(bold) > 1)
    if lettered := _LETTER_FIRST.fullmatch(clause):  # "**C** 15" is a letter with a text
        return Emphasis(f"{lettered[1]}. {lettered[2]}", True)
    before, after = clause.split(f"**{bold[0]}**")
    if _BEFORE.search(before) or _AFTER.match(after):
        return Emphasis("", True)
    if not re.search(r"\w", before + after):
        return Emphasis("", False)
    return Emphasis(bold[0].strip(" .:"), _VALUE_LIKE.search(bold[0]) is not None)
