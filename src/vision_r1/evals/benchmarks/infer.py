"""How VLMEvalKit finds the option that a text names, before it asks a judge (`can_infer`)."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)


def infer_choice(text: str, options: Sequence[str]) -> str | None:
    """The letter of the option that the text names; "Z" for a refusal; None if it is not clear.

    A lone letter counts if it is among the last five words. Failing that, the one option whose text
    occurs in the response counts, if the response is not longer than twice all options together.
    """
    if any(refusal in text for refusal in _REFUSALS):
        return "Z"
    words = text.translate(_SEPARATORS).split()
    found = set(words)
    named = [letter for letter in ascii_uppercase[: len(options)] if letter in found]
    if len(named) == 1 and words.index(named[0]) > len(words) - 5:
        return named[0]
    if not named and "Z" in found:
        return "Z"
    return _by_text(text.lower(), options)


def _by_text(text: str, options: Sequence[str]) -> str | None:
    if len(text) > 2 * sum(len(option) for option in options):
        return None
    held = [
        letter for letter, option in zip(ascii_uppercase, options, strict=False) if option.lower() in text
    ]
    return held[0] if len(held) == 1 else None
