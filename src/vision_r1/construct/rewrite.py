"""Talk of a description becomes talk of the image, phrase by phrase.

The reasoner read a description; the model that learns from its thought sees an image. The
published set shows what blind substitution of words does: "depicts shows", "displays displays". So
each pattern takes a whole phrase with its verb (`phrases.PHRASES`), and what no pattern fits is refused
(`residual_talk`), not patched. A thought is rewritten sentence by sentence, and a sentence until nothing
changes any more, so rewriting twice changes nothing more.
"""

from __future__ import annotations

import re

from vision_r1.construct.missing import missing_talk, near
from vision_r1.construct.phrases import PHRASES, STEMS

_FLAGS = re.IGNORECASE
# A sentence ends in white space after a stop, or at a line's end; the white space stays as it is.
_BREAK = re.compile(r"(\s(?<=[.!?]\s)\s*|\n\s*)")
# Sentences of the reasoners that we know of are done in three passes.
_MOST_PASSES = 8

_PHRASE_STEMS = tuple({stem for phrase in PHRASES for stem in phrase.stems})
_RESIDUAL_STEMS = (
    "descri", "caption", "alt text", "alt-text", "transcription", "the user ", "textual", "narrative",
    "narration", "i was", "i wasn", "i have been told", "i've been told", "i’ve been told", "details",
)  # fmt: skip
# One of these is in every such phrase; no phrase reaches further round it.
_ANCHORS = (
    "descri", "caption", "alt text", "alt-text", "transcription", "textual", "narrati", "told", "details",
    "user",
)  # fmt: skip
_AFTER_IMAGE = ("based on", "according to", "from", "in", "of", "shows that")
_IMAGE_TWICE = tuple(f"the image {words} the image" for words in _AFTER_IMAGE)
_RESIDUAL = re.compile(
    r"\b(?:(?:description|caption)s?(?!\s+(?:column|field|label|box|row)\b)|captioned|describers?)\b"
    r"|\bas\s+described\b|\bdescribed\s+(?:above|below)\b|\balt[- ]text\b|\btranscription\b"
    # A parabola is described by its equation, a region in the problem.
    r"|\bdescribed\s+(?:in|by)\s+(?:(?:the|this|that|your)\s+)?(?:(?:given|provided|image|original)\s+){0,2}"
    r"(?:user|text)\b"
    r"|\b(?:the|this|these|those)\s+described\b"
    r"|\btextual\s+(?:representation|rendition|rendering|version|form|account|depiction|information|data)\b"
    r"|\bnarrati(?:ve|on)\s+of\s+(?:the|this)\s+(?:image|picture|figure|diagram|chart|graph|photo|table|scene)\b"
    # What it was told to do is no talk of an image.
    r"|(?<![\"“'‘])\bI(?:\s+(?:was|have\s+been)|['’]ve\s+been|\s+wasn['’]t)(?:\s+(?:not|only|just|never|also|already))?"
    r"\s+told\b(?!\s+to\b)"
    r"|\b(?:given|provided|described)\s+details\s+(?:do|does|did|don|are|aren|lack|say|state|mention|omit|describe)\b"
    r"|\bthe\s+user\s+(?:also\s+|just\s+)?"
    r"(?:says?|said|states?|stated|mentions?|mentioned|told|described?|describes)\b",
    _FLAGS,
)
_SHOWN = r"(?:depicts|displays|shows|presents|illustrates|says|states)"
_DOUBLED = re.compile(rf"{_SHOWN}\s+{_SHOWN}\b")


def rewrite(thought: str) -> str:
    """The thought with talk of a description turned into talk of the image. Pure and idempotent."""
    lowered = thought.lower()
    if not any(stem in lowered for stem in STEMS):
        return thought
    pieces = _BREAK.split(thought)
    kept: list[str] = []
    # Sentence, white space, sentence, ...: a sentence that goes takes the white space behind it along.
    for sentence, space in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        new = _rewrite_sentence(sentence)
        if new or not sentence:
            kept += (new, space)
    return "".join(kept)


def _rewrite_sentence(sentence: str) -> str:
    lowered = sentence.lower()
    if not any(stem in lowered for stem in STEMS):
        return sentence
    now, there = sentence, _stems_in(lowered)
    for _ in range(_MOST_PASSES):
        before = now
        for stems, pattern, becomes in PHRASES:
            if not there.isdisjoint(stems):
                changed = pattern.sub(becomes, now)
                if changed != now:
                    now, there = changed, _stems_in(changed.lower())
        if now == before:
            return now
    # Built to need one pass after the other: left as it is, and refused for what it says.
    return sentence


def _stems_in(lowered: str) -> set[str]:
    return {stem for stem in _PHRASE_STEMS if stem in lowered}


def residual_talk(thought: str) -> str | None:
    """What is left of a description, a caption or content that was not provided, if anything."""
    return leftover_talk(thought) or missing_talk(thought)


def leftover_talk(thought: str) -> str | None:
    """What is left of a description or a caption, or came out doubled, if anything."""
    lowered = thought.lower()
    if any(stem in lowered for stem in _RESIDUAL_STEMS) and (found := _residual(thought, lowered)):
        return found
    doubled = _DOUBLED.search(lowered)
    return doubled[0] if doubled else next((words for words in _IMAGE_TWICE if words in lowered), None)


def _residual(thought: str, lowered: str) -> str | None:
    """The first phrase of `_RESIDUAL`, looked for round the words that it needs, which are rare."""
    found = [match for anchor in _ANCHORS if (match := near(thought, lowered, anchor, _RESIDUAL))]
    return min(found, key=lambda match: match.start())[0] if found else None
