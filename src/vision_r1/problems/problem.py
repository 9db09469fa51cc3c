"""Problem: media + question + gold answer + how it is graded. Immutable, with a stable id."""

from __future__ import annotations

from dataclasses import dataclass, field
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
        question: the text the model sees; `<image>` marks may place the images, else they lead.
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
