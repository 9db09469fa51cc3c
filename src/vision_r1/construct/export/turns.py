"""The user's turn of a row, with its images in their places."""

from __future__ import annotations

from typing import Any

from vision_r1.core.errors import InputError
from vision_r1.problems.chat import explicit_marks

MARK = "<image>"


def user_turn(row: dict[str, Any]) -> str:
    """The question with an `<image>` mark for each image. Raises InputError where they do not fit."""
    question, count = str(row["question"]), len(row["images"])
    marked = explicit_marks(question, count)
    if marked.count(MARK) != count:
        raise InputError(
            f"{marked.count(MARK)} {MARK} marks, but {count} images", where=f"row {str(row['id'])[:80]!r}"
        )
    return marked


def content_parts(text: str) -> list[dict[str, str | None]]:
    """A marked text as the parts of a message: `{"type": "image"}` where a mark was, and texts."""
    parts: list[dict[str, str | None]] = []
    for index, piece in enumerate(text.split(MARK)):
        if index:
            parts.append({"type": "image", "text": None})
        if piece:
            parts.append({"type": "text", "text": piece})
    return parts
