"""From the cells of a row to the fields of a problem: column names, choices, golds, image marks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Sequence
from string import ascii_uppercase
from typing import Any

from vision_r1.core.errors import InputError, nearest
from vision_r1.problems.choices import lettered_parts
from vision_r1.problems.config import AnswerType, ColumnMap, ProblemLayout
from vision_r1.problems.faults import Reason, RowError
from vision_r1.problems.tables import Row, field

# Tried in this order, in any case; the names of the known benchmarks are among them.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "pid", "uid", "qid", "question_id", "sample_index"),
    "question": ("question", "problem", "prompt", "query", "problem_text"),
    "answer": ("answer", "gold", "label", "ground_truth"),
    "image": ("image", "images", "image_path", "img", "picture", "file", "filename", "file_name", "path"),
    "options": ("options", "choices"),
    "answer_type": ("answer_type",),
    "precision": ("precision",),
    "unit": ("unit",),
    "family": ("family", "category", "subject"),
    "level": ("level", "difficulty", "grade"),
}
REQUIRED = frozenset({"question", "answer"})

# Geometry3K has two editions: that of InterGPS and the one with images inside, of which the file of
# Vision-R1-rl has the columns. The latter names the letter of the right choice `ground_truth`.
# An `ID` of We-Math is shared by the parts of a problem.
LAYOUTS: dict[ProblemLayout, dict[str, tuple[str, ...]]] = {
    "geometry3k": {
        **USUAL_NAMES,
        "question": ("problem_text", "problem"),
        "answer": ("ground_truth", "answer"),
        "image": ("image", "images"),
        "options": ("choices",),
    },
    "vision_r1_rl": {
        **USUAL_NAMES,
        "question": ("problem",),
        "answer": ("answer",),
        "image": ("images", "image"),
    },
    "we_math": {
        **USUAL_NAMES,
        "id": (),
        "options": ("option",),
        "family": ("knowledge concept",),
        "level": ("key",),
    },
    "mathvision": {**USUAL_NAMES, "image": ("decoded_image", "image")},
}

_ANSWER_TYPES: dict[str, AnswerType] = {
    "auto": "auto",
    "free_form": "auto",
    "free_text": "auto",
    "single_answer": "auto",
    "choice": "choice",
    "multiple_choice": "choice",
    "multi_choice": "choice",
    "number": "number",
    "float": "number",
    "int": "number",
    "integer": "number",
    "integer_number": "number",
    "decimal_number": "number",
    "list": "list",
    "text": "text",
    "boolean_text": "text",
    "extractive_text": "text",
    "other_text": "text",
}

_MARK = re.compile(r"<image(\d*)>")
_SLOT = re.compile(r"\{([^{}]+)\}")
_LETTERED = re.compile(r"\(?([A-Z])[.):]\s*(.*)", re.DOTALL)


def resolve_columns(
    columns: ColumnMap,
    layout: ProblemLayout,
    names: Sequence[str],
    where: str,
    required: Collection[str] = REQUIRED,
) -> dict[str, str]:
    """Which column holds each field of a problem.

    Args:
        columns: the user's choice; wins over the layout's.
        layout: a known set of names.
        names: the columns that the table has.
        where: the table, for messages.
        required: fields that must have a column.

    Returns:
        field name -> column or question template; fields without a column are left out.

    Raises:
        InputError: a named column does not exist, or a required field cannot be found.
    """
    given = {key: value for key, value in columns.model_dump(exclude={"meta"}).items() if value is not None}
    result = {}
    for key, usual in LAYOUTS.get(layout, USUAL_NAMES).items():
        column = given.get(key, find_column(names, usual))
        if column:
            for name in template_columns(column) if key == "question" else [column]:
                require_column(name, names, f"{where}, columns.{key}")
            result[key] = column
        elif key in required:
            raise InputError(
                f"no column for the {key} ({', '.join(usual)}) among {', '.join(names)}",
                where=where,
                fix=f"set columns.{key}",
            )
    for name in columns.meta:
        require_column(name, names, f"{where}, columns.meta")
    return result


def find_column(names: Sequence[str], usual: Sequence[str]) -> str | None:
    """The first of the usual names that the table has, whatever its case."""
    by_folded = {name.casefold(): name for name in reversed(names)}
    return next((by_folded[name] for name in usual if name in by_folded), None)


def require_column(name: str, names: Sequence[str], where: str) -> None:
    """Raise InputError, with the nearest name, when the table has no such column."""
    if name in names:
        return
    raise InputError(f"no column {name!r}", where=where, fix=nearest(name, names, "columns"))


def template_columns(template: str) -> list[str]:
    """The columns that a question template names; a text without braces is a column itself."""
    return _SLOT.findall(template) or [template]


def question_text(row: Row, template: str) -> str:
    """The question: one column, or a template with `{column}` slots.

    Slots are column names and nothing else: `str.format` would follow attributes of its arguments.

    Raises:
        InputError: the question is empty.
    """
    slots = template_columns(template)
    if slots == [template]:
        text = cell_text(row.values.get(template))
    else:
        text = _SLOT.sub(lambda match: cell_text(row.values.get(match[1])), template)
    if not text.strip():
        raise RowError(
            "the question is empty",
            where=field(row, slots[0]),
            fix="give a question or remove the row",
            reason="no_question",
        )
    return text.strip()


def cell_text(value: Any) -> str:
    """A cell as text; nothing for null and NaN; lists joined by commas."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list):
        return ", ".join(cell_text(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value).strip()


def cell_object(value: Any) -> dict[str, Any]:
    """An object in a cell, also as JSON text; empty for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def cell_options(row: Row, column: str) -> tuple[str, ...]:
    """The choices in order of their letters; empty for a free-form row.

    Raises:
        InputError: the cell cannot be read as choices, or there are more than 26.
    """
    value = row.values.get(column)
    if isinstance(value, str) and value.strip():
        value = _parse_options(value.strip())
    if value is None or cell_text(value) in ("", "[]", "{}"):
        return ()
    if isinstance(value, dict):
        # Parquet gives every row the keys of all rows; an absent one is null.
        present = {str(key).strip().upper(): item for key, item in value.items() if item is not None}
        if sorted(present) != list(ascii_uppercase[: len(present)]):
            raise RowError(
                f"choices are named {', '.join(present)[:60]}",
                where=field(row, column),
                fix="name them A, B, C, ...",
                reason="bad_options",
            )
        value = [present[letter] for letter in sorted(present)]
    if not isinstance(value, list) or len(value) < 2:
        raise RowError(
            f"cannot read {cell_text(value)[:60]!r} as choices",
            where=field(row, column),
            fix='give a list such as ["3", "4"]',
            reason="bad_options",
        )
    if len(value) > len(ascii_uppercase):
        raise RowError(
            f"{len(value)} choices; at most 26 have letters", where=field(row, column), reason="bad_options"
        )
    return _without_letters(tuple(cell_text(item) for item in value))


def _parse_options(text: str) -> Any:
    """JSON, or `A. x; B. y`, or `x | y`, or one choice a line. Anything else comes back as it is."""
    if text[0] in "[{":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):  # also a number of more digits than Python converts
            return text
    if parts := lettered_parts(text):
        return list(parts)
    for separator in ("|", "\n", ";"):
        if separator in text:
            return [part.strip() for part in text.split(separator)]
    return text


def _without_letters(options: tuple[str, ...]) -> tuple[str, ...]:
    """`("A. 3", "B. 4")` -> `("3", "4")`; letters that are the whole choice stay."""
    matches = [_LETTERED.fullmatch(option) for option in options]
    found = [match for match in matches if match is not None and match[2].strip()]
    if [match[1] for match in found] != list(ascii_uppercase[: len(options)]):
        return options
    return tuple(match[2].strip() for match in found)


def gold_letter(row: Row, column: str, gold: str, options: tuple[str, ...], kind: str) -> str:
    """The letter of the right choice, so that nothing later has to guess what the gold means.

    Args:
        row: the row, for messages.
        column: the answer column.
        gold: the gold as written.
        options: the choices.
        kind: `letter`, `text`, `index` or `auto` (letter or text, whichever fits).

    Raises:
        InputError: the gold is none of the choices, or `auto` finds two different ones.
    """
    letters = ascii_uppercase[: len(options)]
    named = gold.strip("().: ").upper()
    as_letter = letters.index(named) if len(named) == 1 and named in letters else None
    folded = [option.casefold() for option in options]
    as_text = folded.index(gold.casefold()) if gold.casefold() in folded else None
    as_index = int(gold) if re.fullmatch(r"[0-9]{1,2}", gold) and int(gold) < len(options) else None
    if kind == "auto" and as_letter is not None and as_text is not None and as_letter != as_text:
        raise RowError(
            f"answer {gold!r} is the letter of one choice and the text of another",
            where=field(row, column),
            fix="set gold to letter or text",
            reason="ambiguous_gold",
        )
    choice = {
        "letter": as_letter,
        "text": as_text,
        "index": as_index,
        "auto": as_letter if as_letter is not None else as_text,
    }[kind]
    if choice is None:
        raise RowError(
            f"answer {gold[:60]!r} is none of the {len(options)} choices",
            where=field(row, column),
            fix="correct it, or set gold to letter, text or index",
            reason="gold_outside_options",
        )
    return letters[choice]


def answer_type(row: Row, column: str | None, default: AnswerType) -> AnswerType:
    """How the row says it is graded.

    Raises:
        InputError: a word that is not known.
    """
    word = cell_text(row.values.get(column)) if column else ""
    if not word:
        return default
    known = _ANSWER_TYPES.get(word.lower().replace(" ", "_").replace("-", "_"))
    if known is None:
        raise InputError(
            f"unknown answer type {word[:40]!r}",
            where=field(row, str(column)),
            fix=f'one of {", ".join(_ANSWER_TYPES)}, or set columns.answer_type to ""',
        )
    return known


def whole_number(row: Row, column: str | None, default: int | None) -> int | None:
    """A count such as the precision; None or `default` where the cell is empty.

    Raises:
        InputError: not a whole number between 0 and 12.
    """
    text = cell_text(row.values.get(column)) if column else ""
    if not text:
        return default
    if not re.fullmatch(r"\d{1,2}(\.0)?", text, re.ASCII) or int(float(text)) > 12:
        raise InputError(f"{text[:40]!r} is not a number of decimals", where=field(row, str(column)))
    return int(float(text))


def place_images(question: str, count: int, mode: str, where: str) -> tuple[str, tuple[int, ...]]:
    """Make every mark a plain `<image>`.

    Args:
        question: the text; may hold `<image>` or numbered marks, `<image2>`.
        count: how many images the row has.
        mode: `strict` or `one_image` (see `config.FileData`).
        where: file, row and field, for messages.

    Returns:
        the text, and which image (from 0) stands at each mark; all in order if there are no marks.

    Raises:
        InputError: marks and images do not fit together.
    """
    numbers = _MARK.findall(question)
    if mode == "one_image" and count == 1:
        return _first_mark_only(question), (0,)
    order = tuple(int(number) - 1 if number else position for position, number in enumerate(numbers))
    if numbers and sorted(order) != list(range(count)):
        reason: Reason = "bad_marks" if count else "no_image"
        raise RowError(
            f"{len(numbers)} <image> marks, but {count} images",
            where=where,
            fix="mark each image once, or set marks to one_image if one file holds all pictures",
            reason=reason,
        )
    return _MARK.sub("<image>", question), order or tuple(range(count))


def _first_mark_only(question: str) -> str:
    first = _MARK.search(question)
    if first is None:
        return question
    return question[: first.start()] + "<image>" + name_marks(question[first.end() :])


def name_marks(text: str) -> str:
    """Marks as words, where no image may stand: `<image2>` -> `(picture 2)`."""
    return _MARK.sub(lambda match: f"(picture {match[1]})" if match[1] else "(picture)", text)
