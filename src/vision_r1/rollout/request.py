"""What an engine is asked; imports no torch, as a served model needs none."""

from __future__ import annotations

from dataclasses import dataclass

from vision_r1.problems.problem import Media


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to complete.

    Attributes:
        id: unique among the requests of a call; it keys the sampling noise.
        question: the user's turn; `<image>` marks place the images, else they lead.
        media: its images in the order of the marks, those of earlier turns first.
        history: earlier turns, each (what the user asked, what the model answered); their images stand where
            `<image>` marks are. Only the model in this process is asked several turns.
        max_new_tokens: a cap of its own; None takes the sampling's.
    """

    id: str
    question: str
    media: tuple[Media, ...] = ()
    history: tuple[tuple[str, str], ...] = ()
    max_new_tokens: int | None = None
