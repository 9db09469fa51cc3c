"""Verdict: what the grader says of one answer, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["right", "wrong", "unparseable", "timeout"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of grading one answer against its gold.

    Attributes:
        status: "unparseable" means that no answer could be read; "timeout" that the symbolic
            comparison did not end. Both count as not correct, and are counted apart.
        extracted: the answer as the model wrote it; None if there is none.
        normalized_gold: the gold in the form that was compared.
        normalized_answer: the answer in the form that was compared; None if it has none.
        reason: a short code such as "equal", "different", "no_answer", "several_answers", "timeout".
    """

    status: Status
    extracted: str | None
    normalized_gold: str
    normalized_answer: str | None
    reason: str

    @property
    def correct(self) -> bool:
        """Whether the answer is right."""
        return self.status == "right"
