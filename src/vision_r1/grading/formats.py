"""The paper's output format: exactly one `<think>` part followed by exactly one `<answer>` part.

Checked by position, not by a lazy regular expression, which would let an inner match absorb further
tags. Anything inside a part that reads as one of the four tags to a person (other letter case, inner
spaces, full-width or Cyrillic letters, other brackets, `&lt;`) is refused as well.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_WHITE = " \t\r\n\f\v"
_THINK, _THINK_END, _ANSWER, _ANSWER_END = "<think>", "</think>", "<answer>", "</answer>"

_TAG_LIKE = re.compile(r"(?:<|&lt;?|&#0*60;?|&#x0*3c;?)\s{0,8}[/\\|]?\s{0,8}(?:think|answer)")
_LETTERS = {
    **dict.fromkeys("аα", "a"),
    **dict.fromkeys("еε", "e"),
    **dict.fromkeys("һ", "h"),
    **dict.fromkeys("іι", "i"),
    **dict.fromkeys("кκ", "k"),
    **dict.fromkeys("пոην", "n"),
    **dict.fromkeys("гɼ", "r"),
    **dict.fromkeys("ѕ", "s"),
    **dict.fromkeys("тτ", "t"),
    **dict.fromkeys("ԝω", "w"),
}
_SIGNS = {**dict.fromkeys("‹〈《⟨⟪❮❰≺«˂ᐸ", "<"), **dict.fromkeys("⁄∕⧸╱", "/")}
_CONFUSABLE = str.maketrans(_LETTERS | _SIGNS)


@dataclass(frozen=True, slots=True)
class Parts:
    """The two parts of a well-formed completion, as written."""

    think: str
    answer: str


def split_parts(completion: str) -> Parts | str:
    """Split a completion into its parts, or say what is wrong with its format.

    Only ASCII white space round the completion and between the parts is passed over.

    Returns:
        `Parts`, or one of the codes "start", "no_think_end", "no_answer", "end", "empty_think",
        "empty_answer", "extra_tag".
    """
    text = completion.strip(_WHITE)
    think, closed, rest = text.removeprefix(_THINK).partition(_THINK_END)
    rest = rest.lstrip(_WHITE)
    answer = rest[len(_ANSWER) : -len(_ANSWER_END)]
    # In order: the first fault is the one that is named.
    faults = {
        "start": not text.startswith(_THINK),
        "no_think_end": not closed,
        "no_answer": not rest.startswith(_ANSWER),
        "end": len(rest) < len(_ANSWER + _ANSWER_END) or not rest.endswith(_ANSWER_END),
        "extra_tag": has_tag(think) or has_tag(answer),
        "empty_think": not _visible(think),
        "empty_answer": not _visible(answer),
    }
    fault = next((name for name, found in faults.items() if found), None)
    return fault or Parts(think, answer)


def has_tag(text: str) -> bool:
    """Whether the text holds a think or answer tag, or something that looks like one."""
    return _TAG_LIKE.search(_fold(text)) is not None


def _fold(text: str) -> str:
    """Lower case, with invisible characters removed and look-alikes made plain; linear in length.

    Compatibility folding works character by character: normalising a whole untrusted text is
    quadratic in runs of combining marks.
    """
    if text.isascii():
        return text.lower()
    table: dict[int, str] = {}
    for char in set(text):
        if not char.isascii():
            hidden = unicodedata.category(char) in ("Cf", "Mn", "Me")
            table[ord(char)] = "" if hidden else unicodedata.normalize("NFKC", char)
    return text.translate(table).lower().translate(_CONFUSABLE)


def _visible(text: str) -> bool:
    """Whether anything is there beside separators, controls and invisible characters."""
    return any(unicodedata.category(char)[0] not in "CZ" for char in set(text))
