"""Rows of published sets that are no tables of problems -> rows with the usual columns.

| layout | set | row |
|---|---|---|
| `llava_cot` | Xkev/LLaVA-CoT-100k, train.jsonl | `id`, `image`, `conversations` of human and gpt |
| `mulberry` | HuanjinYao/Mulberry-SFT, mulberry_sft.json | `images`, `messages` of user and assistant |
| `scemqa` | SceMQA, multiple_choice.json and free_response.json | `Question`, `Answer ...`, `ImagePath` |
| `polymath` | him1411/polymath | an image that holds question and options, `final_answer` |

The answers of the first two are sentences: the gold is in them, and `construct.sources` takes it out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from vision_r1.core.files import is_file
from vision_r1.problems.choices import choices_in
from vision_r1.problems.columns import cell_text
from vision_r1.problems.config import ProblemLayout, Turns
from vision_r1.problems.faults import RowError
from vision_r1.problems.tables import Row, field

# Folders that the sets are unpacked into, which their rows may or may not name.
WRAPPERS = ("llava_cot_images", "mulberry_images", "image_files", "images", "image")
SUFFIXES = ("", ".jpg", ".png", ".jpeg")
_COLLECTIONS = frozenset({*WRAPPERS, "cauldron"})
_CONCLUSION = ("<CONCLUSION>", "</CONCLUSION>")
# The prompt of the search that made Mulberry stands before the question, and ends in this heading.
_TASK_END = "### The final answer is:"
_ANSWER_IS = re.compile(r"(?:#{1,4}\s{0,3})?The final answer is\s{0,3}:?", re.IGNORECASE)
_LEAD = re.compile(r"\s*Question\s{0,3}:\s*", re.IGNORECASE)
_MARK = re.compile(r"<image>\s*")
_ANSWER_COMMAND = re.compile(r"\\answer\{((?:[^{}]|\{[^{}]*\})*)\}")

Adapter = Callable[[Row, Path, Turns], Iterator[Row]]


def _llava_cot(row: Row, root: Path, turns: Turns) -> Iterator[Row]:
    """One row for each exchange: later questions of a conversation are asked of the same image."""
    talk = exchanges(row, "conversations", ("from", "value"), ("human", "gpt"))
    name = cell_text(row.values.get("id"))
    images = _images(row.values.get("image"), root)
    for number, (asked, said) in enumerate(talk[: 1 if turns == "first" else None], start=1):
        begin, end = (said.rfind(tag) for tag in _CONCLUSION)
        values = {
            "id": name if number == 1 else f"{name}-{number}",
            "question": asked if number == 1 else _MARK.sub("", asked),
            "options": list(choices_in(asked)),
            "answer": said[begin + len(_CONCLUSION[0]) : end].strip() if 0 <= begin < end else "",
            "image": images,
            "family": _family(images),
        }
        yield Row(row.where if len(talk) == 1 else f"{row.where}, turn {number}", values)


def _mulberry(row: Row, root: Path, turns: Turns) -> Iterator[Row]:
    """One exchange a row. Of a reflection, which states an answer and takes it back, the last one counts."""
    talk = exchanges(row, "messages", ("role", "content"), ("user", "assistant"))
    images = _images(row.values.get("images"), root)
    for number, (asked, said) in enumerate(talk[: 1 if turns == "first" else None], start=1):
        stated = list(_ANSWER_IS.finditer(said))
        question = asked.rpartition(_TASK_END)[2]
        lead = _LEAD.match(_MARK.sub("", question))
        question = _MARK.sub("", question)[lead.end() :] if lead else question
        values = {
            "question": question,
            "options": list(choices_in(question)),
            "answer": _unquoted(said[stated[-1].end() :].strip(" \t\r\n#*")) if stated else "",
            "image": images,
            "family": _family(images),
        }
        yield Row(row.where if len(talk) == 1 else f"{row.where}, turn {number}", values)


def _scemqa(row: Row, root: Path, turns: Turns) -> Iterator[Row]:
    r"""The choices stand in the question; a free answer is `\answer{69.5}`, followed by its explanation."""
    question = cell_text(row.values.get("Question"))
    column = next((name for name in row.values if name.startswith("Answer")), "Answer")
    answer = cell_text(row.values.get(column))
    commands = {text.strip() for text in _ANSWER_COMMAND.findall(answer)}
    if len(commands) > 1:
        raise RowError(
            f"the row has {len(commands)} different answers",
            where=field(row, column),
            reason="ambiguous_gold",
        )
    values = {
        "question": question,
        "options": list(choices_in(question)) if not commands else [],
        "answer": commands.pop() if commands else answer,
        "image": _images(row.values.get("ImagePath"), root),
        "family": cell_text(row.values.get("subject")).removesuffix("_Free_Response"),
    }
    yield Row(row.where, values)


def _polymath(row: Row, root: Path, turns: Turns) -> Iterator[Row]:
    """The question is in the image, so what is asked is the same for all but the names of the options."""
    named = cell_text(row.values.get("final_answer_range")) or cell_text(row.values.get("answer_option"))
    among = f" Its options are {named}." if named else ""
    values = {
        "question": f"Solve the question in the image.{among} Answer with the name of the right option.",
        "answer": row.values.get("final_answer"),
        "image": row.values.get("image") or row.values.get("file_name"),
        "family": cell_text(row.values.get("category")),
    }
    yield Row(row.where, values)


ADAPTERS: dict[ProblemLayout, Adapter] = {
    "llava_cot": _llava_cot,
    "mulberry": _mulberry,
    "scemqa": _scemqa,
    "polymath": _polymath,
}
ADAPTED_COLUMNS: dict[ProblemLayout, tuple[str, ...]] = {
    "llava_cot": ("id", "question", "options", "answer", "image", "family"),
    "mulberry": ("question", "options", "answer", "image", "family"),
    "scemqa": ("question", "options", "answer", "image", "family"),
    "polymath": ("question", "answer", "image", "family"),
}
# Their answers are what a model wrote: the gold has to be found in it.
WRITTEN_ANSWERS = frozenset[ProblemLayout]({"llava_cot", "mulberry"})
# Every row of these is about an image, so one without is incomplete.
ALWAYS_ILLUSTRATED = frozenset[ProblemLayout]({"llava_cot", "mulberry", "polymath", "scemqa", "we_math"})


def exchanges(row: Row, column: str, keys: tuple[str, str], roles: tuple[str, str]) -> list[tuple[str, str]]:
    """Question and answer of each exchange of a conversation.

    Args:
        row: a published row.
        column: the one that holds the turns.
        keys: of a turn: its role and its text.
        roles: who asks, who answers.

    Raises:
        RowError: anything but turns of the two roles in alternation.
    """
    cell = row.values.get(column)
    turns = [_turn(item, keys) for item in cell] if isinstance(cell, list) else []
    if not turns or [role for role, _ in turns] != [*roles] * (len(turns) // 2):
        found = ", ".join(role for role, _ in turns)[:80]
        raise RowError(
            f"expected turns of {roles[0]} and {roles[1]}; found {found or 'none'}",
            where=field(row, column),
            reason="bad_conversation",
        )
    texts = [text for _, text in turns]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _turn(item: Any, keys: Sequence[str]) -> tuple[str, str]:
    role, text = ((item.get(key) if isinstance(item, dict) else None) for key in keys)
    return (role, text) if isinstance(role, str) and isinstance(text, str) else ("?", "")


def _unquoted(text: str) -> str:
    """The text without the quotation marks around the whole of it."""
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _images(cell: Any, root: Path) -> list[Any]:
    items = cell if isinstance(cell, list) else [cell]
    return [located(root, item) if isinstance(item, str) else item for item in items if item]


def located(root: Path, relative: str) -> str:
    """The name of an image below `root`, whether or not the row names the folder it was unpacked into.

    Where no file is found it is what the row says, and reading the image will tell.
    """
    path = PurePosixPath(relative.strip())
    if path.is_absolute() or ".." in path.parts or "\0" in relative:
        return relative
    inner = PurePosixPath(*path.parts[1:]) if path.parts[:1] and path.parts[0] in WRAPPERS else path
    for name in dict.fromkeys([path, *(PurePosixPath(folder) / inner for folder in WRAPPERS), inner]):
        for suffix in SUFFIXES:
            if is_file(root / f"{name}{suffix}"):
                return f"{name}{suffix}"
    return relative


def _family(images: Sequence[Any]) -> str | None:
    """Which set an image is from: the first folder of its path that is not one around all of them."""
    if not images or not isinstance(images[0], str):
        return None
    return next((part for part in PurePosixPath(images[0]).parts[:-1] if part not in _COLLECTIONS), None)
