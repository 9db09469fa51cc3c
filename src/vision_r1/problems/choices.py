"""Choices that stand in a text: `A. 3; B. 4`, `Options: (A) red (B) blue`, one lettered choice a line."""

from __future__ import annotations

import re
from string import ascii_uppercase

MOST_BLOCKS = 8  # blocks of choices that are looked at, from the last; so that no text takes long
# A letter where a choice may begin; what is before it is looked at apart, for no letter may touch it.
_LABEL = re.compile(r"(?<![\w\\$])(?:\(([A-Z])\)[.:]?|([A-Z])[.):：、．])\s*")
_HEADING = re.compile(r"\b(?:answer )?(?:choices|options)\s{0,3}(?:are)?\s{0,3}[:：]", re.IGNORECASE)
_LINE = re.compile(r"^[ \t]*(?:\([A-Z]\)|[A-Z][.):：、．])", re.MULTILINE)
_BRACKETED = re.compile(r"[?:.\n]\s{0,4}(?=\(A\)\s)")
# What a set adds below its choices is no part of the last one.
_INSTRUCTION = re.compile(
    r"\n[ \t]*(?:please|answer\b|give|return|choose|select|respond|reply|provide|hint\b|context\b|first\b"
    r"|your\b|note\b|question\b|let's|think\b)",
    re.IGNORECASE,
)
_EDGES = " \t\r\n;,；，"


def lettered_parts(text: str) -> tuple[str, ...]:
    """The texts of the choices that a text consists of, each behind its letter; empty if it is no such text.

    The letters go A, B, C, ... and each is looked for after the one before, so that the choices of
    `A. B; B. C; C. D` are B, C and D.
    """
    starts: list[re.Match[str]] = []
    for label in _LABEL.finditer(text):
        if len(starts) < len(ascii_uppercase) and (label[1] or label[2]) == ascii_uppercase[len(starts)]:
            starts.append(label)
    if len(starts) < 2 or text[: starts[0].start()].strip(_EDGES):
        return ()
    ends = [label.start() for label in starts[1:]] + [len(text)]
    parts = tuple(text[label.end() : end].strip(_EDGES) for label, end in zip(starts, ends, strict=True))
    return parts if all(parts) else ()


def choices_in(question: str) -> tuple[str, ...]:
    """The texts of the choices that a question names, in the order of their letters; empty without any.

    They follow a heading ("Choices:", "Options:"), or are lines that begin with A, B, ..., or stand in
    brackets behind the question. Letters inside a sentence, "points (A) and (B)", are no choices.
    """
    headings = list(_HEADING.finditer(question))
    if headings and (parts := lettered_parts(_block(question[headings[-1].end() :]))):
        return parts
    lines = [line.start() for line in _LINE.finditer(question) if "A" in line[0]]
    for start in lines[-MOST_BLOCKS:][::-1]:
        if parts := _lines(_block(question[start:])):
            return parts
    bracketed = list(_BRACKETED.finditer(question))
    return lettered_parts(_block(question[bracketed[-1].end() :])) if bracketed else ()


def _block(text: str) -> str:
    """The text up to the first line that is an instruction."""
    end = _INSTRUCTION.search(text)
    return text[: end.start()] if end else text


def _lines(block: str) -> tuple[str, ...]:
    """The choices of a block of lettered lines; a line without a letter goes on with the one before."""
    starts = [line.start() for line in _LINE.finditer(block)]
    parts = []
    for letter, begin, end in zip(ascii_uppercase, starts, [*starts[1:], len(block)], strict=False):
        label = _LABEL.match(block[begin:end].lstrip())
        if label is None or (label[1] or label[2]) != letter:
            break
        parts.append(block[begin:end].lstrip()[label.end() :].strip(_EDGES))
    return tuple(parts) if len(parts) > 1 and all(parts) else ()
