"""Why a row of a table cannot be used, in words that can be counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from vision_r1.core.errors import InputError
from vision_r1.problems.problem import Media

Reason = Literal[
    "no_question",
    "no_answer",
    "no_image",
    "missing_image",
    "image_outside_folder",
    "corrupt_image",
    "image_too_large",
    "repeated_id",
    "gold_outside_options",
    "ambiguous_gold",
    "bad_options",
    "bad_marks",
    "bad_conversation",
    "bad_cell",
    "no_gold",
    "open_answer",
    "ungradeable_gold",
]


class RowError(InputError):
    """One row of a table cannot be used; the others may be.

    Attributes:
        reason: what kind of fault it is, for counts.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "", reason: Reason) -> None:
        super().__init__(what, where=where, fix=fix)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was set aside.

    Attributes:
        source_id: what the set calls it; "" where it has no id.
        row: where it is in its table, such as "line 12"; no folder of this machine is in it.
        reason: what kind of fault it is.
        detail: one line that says what exactly is wrong.
        question: what is asked, as far as it could be read.
        options: the texts of the choices.
        answer: the gold as written.
        media: its images, for whoever looks at the row; some may not be readable.
    """

    source_id: str
    row: str
    reason: Reason
    detail: str
    question: str = ""
    options: tuple[str, ...] = field(default=())
    answer: str = ""
    media: tuple[Media, ...] = field(default=(), compare=False)

    def key(self, source: str) -> str:
        """A name of 32 hex digits that no other row of the same source has."""
        parts = [source, self.row, self.source_id, self.question, *self.options, self.answer]
        return sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def reason_of(error: InputError, otherwise: Reason) -> Reason:
    """The reason that an error carries; `otherwise` for one from a floor below."""
    return error.reason if isinstance(error, RowError) else otherwise
