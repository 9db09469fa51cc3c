"""Problem: media + question + gold answer + how it is graded. Immutable, with a stable id."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any, Protocol

from PIL import Image


class Media(Protocol):
    """Something that yields an RGB image when asked; problems stay light until then."""

    @property
    def key(self) -> str:
        """A stable name of the content, for ids, logs and reports."""
        ...

    def load(self) -> Image.Image:
        """The decoded RGB image. Raises InputError naming the file and row."""
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """One question about zero or more images.

    Attributes:
        id: stable and unique in its set.
        question: the question as it stands; `<image>` marks may place the images, else they lead. What
            the model sees is `prompt`.
        answer: the gold answer as text.
        media: images in the order of the question.
        answer_type: how the grader compares (see `grading.equivalence`): "auto", "choice",
            "number", "list", "text", ...
        options: the texts of the choices, in order of their letters; empty if free-form.
        precision: decimals the gold is given to, where the benchmark says so.
        unit: unit of the gold, where the benchmark says so.
        meta: whatever the loader knows beside (family, level, subject, gold caption, ...).
    """

    id: str
    question: str
    answer: str
    media: tuple[Media, ...] = ()
    answer_type: str = "auto"
    options: tuple[str, ...] = ()
    precision: int | None = None
    unit: str | None = None
    meta: dict[str, Any] = field(default_factory=dict, compare=False, hash=False)

    @property
    def prompt(self) -> str:
        """What the model is asked: the question, and its choices unless they stand in it already."""
        return with_choices(self.question, self.options)


def content_key(problem: Problem) -> str:
    """A name of 32 hex digits for what is asked: the images, the question, its choices and the gold.

    Equal problems of different sets, ids and orders have the same; reads each stored image once.

    Raises:
        InputError: an image cannot be read.
    """
    parts = [[image.key for image in problem.media], problem.question, problem.options, problem.answer]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def with_choices(question: str, options: Sequence[str]) -> str:
    """The question followed by its choices, one lettered line each.

    It stays as it is without options, and where they are named in it: by their letters, "(A) ... (B)
    ...", or by their texts in the same order ("is it linear or nonlinear?").
    """
    letters = [f"({letter})" for letter in ascii_uppercase[: len(options)]]
    texts = [rf"(?<!\w){re.escape(option)}(?!\w)" for option in options]
    if _in_order(question, [re.escape(letter) for letter in letters]) or _in_order(question, texts):
        return question
    lines = [f"{letter} {option}" for letter, option in zip(letters, options, strict=True)]
    return "\n".join([question, "Choices:", *lines])


def _in_order(text: str, patterns: Sequence[str]) -> bool:
    """Whether each pattern is found, each behind the one before; true for none."""
    start = 0
    for pattern in patterns:
        found = re.compile(pattern).search(text, start)
        if found is None:
            return False
        start = found.end()
    return True
