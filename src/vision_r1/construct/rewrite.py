"""Talk of a description becomes talk of the image, phrase by phrase.

The reasoner read a description; the model that learns from its thought sees an image. The
published set shows what blind substitution of words does: "depicts shows", "displays displays". So
each pattern here takes a whole phrase with its verb, and what no pattern fits is refused
(`residual_talk`), not patched. Every replacement removes a word it was looking for and adds none,
so rewriting ends, and rewriting twice changes nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vision_r1.construct.filters import missing_talk

_FLAGS = re.IGNORECASE
_NOUN = (
    r"(?:the|this|that|our|my|your)\s+"
    r"(?:(?:given|provided|detailed|above|image|picture|figure|text|problem)(?:['’]s)?\s+){0,3}"
    r"(?:description|caption)(?:\s+(?:above|given|provided))?"
    r"(?:\s+of\s+(?:the|this)\s+(?:image|picture|figure|diagram|chart|table|graph|problem))?"
)
_SAYS = (
    r"(?:says|said|states|stated|mentions|mentioned|notes|noted|indicates|indicated|specifies"
    r"|tells\s+(?:us|me))"
)
_SHOWS = (
    r"(?:shows|showed|lists|listed|gives|gave|contains|includes|provides|provided|depicts|describes|described|displays"
    r"|presents|reads|has|mentions|mentioned|states|stated|says|said|notes|noted|indicates|indicated|specifies)"
)
_VERBS = (
    r"(?:is|are|was|were|has|have|had|reads?|equals?|shows?|lies?|meets?|intersects?|measures?"
    r"|contains?|holds?|must|can)"
)
_DOUBLED = re.compile(
    r"\b(?:depicts|displays|shows|presents)\s+(?:depicts|displays|shows|presents)\b", _FLAGS
)
_RESIDUAL = re.compile(
    r"\b(?:descriptions?|captions?|captioned)\b|\bas\s+described\b|\bdescribed\s+(?:above|below|in|by)\b",
    _FLAGS,
)


def _upper_as(model: str, text: str) -> str:
    """`text` with the letter case that `model` begins with."""
    return text[:1].upper() + text[1:] if model[:1].isupper() else text


def _clause(match: re.Match[str]) -> str:
    """What is said stands by itself: "The description says the bars have" -> "The bars have"."""
    return _upper_as(match[0], match["rest"])


# In order; each is (what it looks for, what it becomes).
_PHRASES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    # A clause follows: it stands without the lead.
    (re.compile(rf"\b{_NOUN}\s+{_SAYS}\s+that\s+(?P<rest>\w)", _FLAGS), _clause),
    (
        re.compile(
            rf"\b{_NOUN}\s+{_SAYS}\s*(?:[:,]\s*|\s)(?P<rest>(?:the|a|an|there|it|its|each|all|both|one|two|three|four|five)\b"
            rf"(?=(?:\s+[\w-]+){{0,6}}\s+{_VERBS}\b))",
            _FLAGS,
        ),
        _clause,
    ),
    # A thing follows: the image shows it.
    (
        re.compile(rf"\b{_NOUN}\s+{_SHOWS}\b(?!\s+(?:that|{_SHOWS})\b)", _FLAGS),
        lambda match: _upper_as(match[0], "the image shows"),
    ),
    # "As described in the caption", "is mentioned in the description".
    (
        re.compile(
            rf"\bas\s+(?:described|mentioned|stated|given|noted|shown)\s+(?:in|by)\s+{_NOUN}\b", _FLAGS
        ),
        lambda match: _upper_as(match[0], "as the image shows"),
    ),
    (
        re.compile(rf"\b(?:described|mentioned|stated|given|noted|listed)\s+(?:in|by)\s+{_NOUN}\b", _FLAGS),
        lambda match: _upper_as(match[0], "shown in the image"),
    ),
    (re.compile(r"\bas\s+described\b(?!\s+(?:in|by)\b)", _FLAGS), lambda m: _upper_as(m[0], "as shown")),
    # The image can be looked at, not read.
    (
        re.compile(rf"\b(?:re-?read|read|go(?:ing)?\s+(?:back\s+to|over|through))\s+{_NOUN}\b", _FLAGS),
        lambda match: _upper_as(match[0], "look at the image"),
    ),
    (
        re.compile(
            rf"\b(?P<lead>(?:according\s+to|based\s+on|in|from|at|per|with|check(?:ing)?|see|revisit|review|examine"
            rf"|consider(?:ing)?|using|use))\s+{_NOUN}\b",
            _FLAGS,
        ),
        lambda match: f"{match['lead']} the image",
    ),
)


def rewrite(thought: str) -> str:
    """The thought with talk of a description turned into talk of the image. Pure and idempotent."""
    while True:
        before = thought
        for pattern, becomes in _PHRASES:
            thought = pattern.sub(becomes, thought)
        if thought == before:
            return thought


def residual_talk(thought: str) -> str | None:
    """What is left of a description, a caption or content that was not provided, if anything."""
    for pattern in (_RESIDUAL, _DOUBLED):
        match = pattern.search(thought)
        if match:
            return match[0]
    return missing_talk(thought)
