"""Question and written answer for supervised fine-tuning, from the sharegpt files of Vision-R1-cold
and their like (https://github.com/Osilly/Vision-R1, README):

| file | messages | images | keys | roles |
|---|---|---|---|---|
| vision_r1_llava_cot_full.json | conversations | image | from, value | human, gpt |
| vision_r1_mulberry_sft_full.json | conversations | images | from, value | user, assistant |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vision_r1.core.errors import InputError
from vision_r1.core.files import user_path
from vision_r1.problems.columns import USUAL_NAMES, cell_text, find_column, place_images, require_column
from vision_r1.problems.config import ChatData, ChatLayout
from vision_r1.problems.image_checks import ImageCallback, check_images
from vision_r1.problems.load import cell_images, image_root, share, split_keys, unique_ids
from vision_r1.problems.problem import Media, Problem
from vision_r1.problems.tables import Row, column_names, field, read_table


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One training conversation of one turn.

    Attributes:
        id: unique in its set.
        user: what is asked; rows that were loaded have one `<image>` mark for each image.
        assistant: what is to be learned.
        media: images in the order of the marks.
    """

    id: str
    user: str
    assistant: str
    media: tuple[Media, ...] = ()

    def as_problem(self) -> Problem:
        """What is asked, with what is to be learned as its answer."""
        return Problem(self.id, self.user, self.assistant, self.media)


@dataclass(frozen=True, slots=True)
class _Layout:
    messages: tuple[str, ...]
    images: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]
    user: frozenset[str]
    assistant: frozenset[str]


_FROM_VALUE = (("from", "value"),)
_SHAREGPT: dict[ChatLayout, _Layout] = {
    "vision_r1_cold_llava": _Layout(
        ("conversations",), ("image",), _FROM_VALUE, frozenset({"human"}), frozenset({"gpt"})
    ),
    "vision_r1_cold_mulberry": _Layout(
        ("conversations",), ("images",), _FROM_VALUE, frozenset({"user"}), frozenset({"assistant"})
    ),
    "sharegpt": _Layout(
        ("conversations", "messages"),
        ("images", "image"),
        (("from", "value"), ("role", "content")),
        frozenset({"human", "user"}),
        frozenset({"gpt", "assistant"}),
    ),
}
_PLAIN_USER = ("user", "question", "prompt", "problem", "instruction")
_PLAIN_ASSISTANT = ("assistant", "response", "completion", "output")


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the texts and images of a table of conversations are."""

    user: str
    assistant: str
    image: str | None


def load_chat_rows(config: ChatData, progress: ImageCallback | None = None) -> list[ChatRow]:
    """The conversations of a file, each checked; every image is decoded once.

    Args:
        config: where they are and how they are laid out.
        progress: called with (images checked, images in all).

    Raises:
        InputError: naming file, row and field, and how to mend it.
    """
    path = user_path(config.path)
    rows = read_table(path)
    columns = _columns(config.layout, column_names(rows), str(path))
    if config.take is None:
        rows = rows[: config.limit]
    root = image_root(config.images, path.parent)
    chats = []
    for row in rows:
        user, assistant = _texts(row, columns, config.layout)
        media = cell_images(row, columns.image, root, config.max_pixels)
        user, order = place_images(user, len(media), "strict", field(row, columns.user))
        ordered = tuple(media[index] for index in order)
        chats.append(ChatRow("", explicit_marks(user, len(media)), assistant, ordered))
    check_images([image for chat in chats for image in chat.media], progress)
    chats = _with_ids(chats, rows)
    keys = [split_keys(chat.media, chat.user) for chat in chats]
    return share(chats, keys, config.take, config.limit, str(path))


def explicit_marks(text: str, count: int) -> str:
    """The text with an `<image>` mark for each image: images without marks lead."""
    return text if "<image>" in text else "<image>" * count + text


def _columns(layout: ChatLayout, names: Sequence[str], where: str) -> _Columns:
    if layout == "plain":
        user, assistant = find_column(names, _PLAIN_USER), find_column(names, _PLAIN_ASSISTANT)
        if user is None or assistant is None:
            missing, usual = ("question", _PLAIN_USER) if user is None else ("response", _PLAIN_ASSISTANT)
            raise InputError(
                f"no column for the {missing} among {', '.join(names)}",
                where=where,
                fix=f"name it one of {', '.join(usual)}, or set layout",
            )
        return _Columns(user, assistant, find_column(names, USUAL_NAMES["image"]))
    form = _SHAREGPT[layout]
    messages = next((name for name in form.messages if name in names), None)
    if messages is None:
        require_column(form.messages[0], names, where)
    messages = messages or form.messages[0]
    return _Columns(messages, messages, next((name for name in form.images if name in names), None))


def _texts(row: Row, columns: _Columns, layout: ChatLayout) -> tuple[str, str]:
    """What the user asks and what the assistant answers."""
    if layout == "plain":
        texts = [cell_text(row.values.get(column)) for column in (columns.user, columns.assistant)]
    else:
        texts = _turns(row, columns.user, _SHAREGPT[layout])
    for text, part, column in zip(
        texts, ("user", "assistant"), (columns.user, columns.assistant), strict=True
    ):
        if not text.strip():
            raise InputError(
                f"the {part} turn is empty", where=field(row, column), fix="fill it or remove the row"
            )
    return texts[0], texts[1]


def _turns(row: Row, column: str, form: _Layout) -> list[str]:
    where = field(row, column)
    cell = row.values.get(column)
    turns = [_turn(item, form.keys, where) for item in cell] if isinstance(cell, list) else []
    roles = [role for role, _ in turns]
    if len(turns) != 2 or roles[0] not in form.user or roles[1] not in form.assistant:
        wanted = f"{' or '.join(sorted(form.user))}, then {' or '.join(sorted(form.assistant))}"
        raise InputError(
            f"expected one turn of {wanted}; found {', '.join(roles)[:80] or 'none'}",
            where=where,
            fix="split longer conversations into rows, or set layout: sharegpt for other role names",
        )
    return [text for _, text in turns]


def _turn(item: Any, keys: Sequence[tuple[str, str]], where: str) -> tuple[str, str]:
    if isinstance(item, dict):
        for role, text in keys:
            if isinstance(item.get(role), str) and isinstance(item.get(text), str):
                return item[role], item[text]
    wanted = " or ".join(f"{role}/{text}" for role, text in keys)
    raise InputError(f"a turn without the texts {wanted}", where=where, fix="mend the turn or set layout")


def _with_ids(chats: Sequence[ChatRow], rows: Sequence[Row]) -> list[ChatRow]:
    made = unique_ids([[c.user, c.assistant, *(image.key for image in c.media)] for c in chats])
    first: dict[str, Row] = {}
    result = []
    for chat, row, content_id in zip(chats, rows, made, strict=True):
        name = cell_text(row.values.get("id")) or content_id
        other = first.setdefault(name, row)
        if other is not row:
            raise InputError(
                f"id {name[:60]!r} is already that of {other.where}",
                where=field(row, "id"),
                fix="make it unique, or remove the id column",
            )
        result.append(replace(chat, id=name))
    return result
