"""Tables of the user's own problems -> `Problem`s, checked whole before anything is trained on them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from vision_r1.core.errors import InputError
from vision_r1.core.files import is_folder, user_path
from vision_r1.problems.columns import (
    REQUIRED,
    answer_type,
    cell_options,
    cell_text,
    gold_letter,
    name_marks,
    place_images,
    question_text,
    resolve_columns,
    template_columns,
    whole_number,
)
from vision_r1.problems.config import DatasetData, FileData, ProblemsConfig, Take, TinyWorldData
from vision_r1.problems.faults import RowError
from vision_r1.problems.image_checks import ImageCallback, check_images
from vision_r1.problems.images import BytesImage, FileImage
from vision_r1.problems.layouts import ADAPTED_COLUMNS, ADAPTERS, WRITTEN_ANSWERS
from vision_r1.problems.problem import Media, Problem
from vision_r1.problems.split import taken
from vision_r1.problems.tables import Row, Table, column_names, field, open_dataset, open_table

T = TypeVar("T")


def load_problems(config: ProblemsConfig, progress: ImageCallback | None = None) -> list[Problem]:
    """The problems that a data section describes, in the order of their rows.

    The gold of a multiple-choice row is always a letter (`A` is `options[0]`), whatever the table
    says; the gold as written is kept in `meta["gold"]`. Every image is decoded once. The golds of
    `llava_cot` and `mulberry` are answers as published, whole sentences of them: `construct.sources`
    takes the answer out.

    Args:
        config: a tiny world, a file, or a data set.
        progress: called with (images checked, images in all).

    Raises:
        InputError: naming file, row and field, and how to mend it.
    """
    if isinstance(config, TinyWorldData):
        from vision_r1.problems.tiny_world import make_problems

        return make_problems(config)
    source = open_source(config)
    rows = [row for raw in source.table.rows() for row in source.adapt(raw)]
    reader = source.reader(rows)
    if config.take is None:
        rows = rows[: config.limit]
    problems = [reader.problem(row) for row in rows]
    check_images([image for problem in problems for image in problem.media], progress)
    problems = _with_ids(problems, rows, reader.columns.get("id"))
    keys = [split_keys(problem.media, problem.question) for problem in problems]
    return share(problems, keys, config.take, config.limit, source.name)


@dataclass(frozen=True, slots=True)
class Source:
    """The table that a data section names.

    Attributes:
        config: the section.
        name: the file, folder or hub id.
        table: its rows as they are published.
        root: where image paths start.
    """

    config: FileData | DatasetData
    name: str
    table: Table
    root: Path

    def adapt(self, row: Row) -> Iterator[Row]:
        """A published row as rows with the usual columns. Raises RowError where it is no such row."""
        adapter = ADAPTERS.get(self.config.layout)
        return iter([row]) if adapter is None else adapter(row, self.root, self.config.turns)

    def reader(self, rows: Sequence[Row] | None = None, *, golds: bool = True) -> Reader:
        """What makes problems of adapted rows.

        Args:
            rows: the rows, if they are at hand, for their columns; None looks them up in the table.
            golds: whether there must be a column of answers.

        Raises:
            InputError: a named column does not exist, or question or answer cannot be found.
        """
        names: Sequence[str]
        if self.config.layout in ADAPTED_COLUMNS:
            names = ADAPTED_COLUMNS[self.config.layout]
        else:
            names = self.table.columns() if rows is None else column_names(rows)
        required = REQUIRED if golds else REQUIRED - {"answer"}
        columns = resolve_columns(self.config.columns, self.config.layout, names, self.name, required)
        return Reader(self.config, columns, self.root)


def open_source(config: FileData | DatasetData) -> Source:
    """The table of a data section. Raises InputError where there is none."""
    if isinstance(config, FileData):
        path = user_path(config.path)
        table = open_table(path)
        return Source(config, str(path), table, image_root(config.images, path.parent))
    table = open_dataset(config.name, config.split, config.revision)
    folder = Path(config.name)
    root = image_root(config.images, folder if folder.is_dir() else _hub_files())
    return Source(config, config.name, table, root)


def _hub_files() -> Path:
    """Where the hub's files lie: a data set of image files names them by their place there."""
    from huggingface_hub.constants import HF_HOME

    home = Path(HF_HOME)
    return home if home.is_dir() else Path()


def image_root(images: Path | None, default: Path) -> Path:
    """The folder that image paths start from. Raises InputError when it does not exist."""
    root = default if images is None else user_path(images)
    if not is_folder(root):
        raise InputError("no such image folder", where=str(root), fix="set `images` to an existing folder")
    return root


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads rows of one table.

    Attributes:
        config: its data section.
        columns: field -> column (see `resolve_columns`).
        root: where image paths start.
    """

    config: FileData | DatasetData
    columns: dict[str, str]
    root: Path

    def problem(self, row: Row) -> Problem:
        """One problem, without an id if there is no id column; images are not opened."""
        columns = self.columns
        question, media = self._asked(row)
        options = cell_options(row, columns["options"]) if "options" in columns else ()
        written = self._gold(row)
        gold = written
        if options and self.config.layout not in WRITTEN_ANSWERS:
            gold = gold_letter(row, columns["answer"], written, options, self.config.gold)
        return Problem(
            id=self._id(row),
            question=question,
            answer=gold,
            media=media,
            answer_type="choice" if options else self._answer_type(row),
            options=tuple(name_marks(option) for option in options),
            precision=whole_number(row, columns.get("precision"), self.config.precision),
            unit=cell_text(row.values.get(columns.get("unit", ""))) or None,
            meta=self._meta(row) | ({"gold": written} if options else {}),
        )

    def question(self, row: Row) -> Problem:
        """What is asked alone: a problem without id, gold and choices; images are not opened."""
        question, media = self._asked(row)
        return Problem("", question, "", media)

    def _asked(self, row: Row) -> tuple[str, tuple[Media, ...]]:
        """The question, and its images in the order of their marks."""
        columns = self.columns
        media = cell_images(row, columns.get("image"), self.root, self.config.max_pixels)
        question, order = place_images(
            question_text(row, columns["question"]),
            len(media),
            self.config.marks,
            field(row, template_columns(columns["question"])[0]),
        )
        return question, tuple(media[index] for index in order)

    def _gold(self, row: Row) -> str:
        value = row.values.get(self.columns["answer"])
        parts = value if isinstance(value, list) else [value]
        if any(isinstance(part, dict | list) for part in parts):
            raise InputError(
                "answer must be text or a number",
                where=field(row, self.columns["answer"]),
                fix="give the answer itself, or a list of answers",
            )
        gold = cell_text(value)
        if not gold:
            raise RowError(
                "the problem has no answer",
                where=field(row, self.columns["answer"]),
                fix="give its gold answer or remove the row",
                reason="no_answer",
            )
        return gold

    def _answer_type(self, row: Row) -> str:
        if isinstance(row.values.get(self.columns["answer"]), list) and "answer_type" not in self.columns:
            return "list"
        return answer_type(row, self.columns.get("answer_type"), self.config.answer_type)

    def _id(self, row: Row) -> str:
        column = self.columns.get("id")
        if column is None:
            return ""
        text = cell_text(row.values.get(column))
        if not text:
            raise InputError(
                "the id is empty",
                where=field(row, column),
                fix='give one, or set columns.id to "" for ids made from the content',
            )
        return text

    def _meta(self, row: Row) -> dict[str, Any]:
        named = {key: row.values.get(self.columns[key]) for key in ("family", "level") if key in self.columns}
        extra = {column: row.values.get(column) for column in self.config.columns.meta}
        return {key: value for key, value in (named | extra).items() if value is not None}


def cell_images(row: Row, column: str | None, root: Path, max_pixels: int) -> tuple[Media, ...]:
    """The images that a cell names or holds; nothing is opened yet.

    A cell is a path, bytes, `{bytes, path}` as `datasets` stores it, a list of those, or a JSON list
    of paths.

    Raises:
        InputError: a cell of another kind.
    """
    value = row.values.get(column) if column else None
    if column is None or value is None or cell_text(value) == "":
        return ()
    where = field(row, column)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):  # also a number of more digits than Python converts
            raise InputError("not a JSON list of image paths", where=where) from None
    items = value if isinstance(value, list) else [value]
    return tuple(_image(item, where, root, max_pixels) for item in items)


def _image(item: Any, where: str, root: Path, max_pixels: int) -> Media:
    if isinstance(item, dict):
        item = item.get("bytes") if item.get("bytes") is not None else item.get("path")
    if isinstance(item, bytes):
        return BytesImage(item, where, max_pixels)
    if isinstance(item, str) and item.strip():
        return FileImage(root, item.strip(), where, max_pixels)
    raise InputError(f"expected an image path or image bytes, found {type(item).__name__}", where=where)


def with_content_ids(problems: Sequence[Problem]) -> list[Problem]:
    """The problems with ids made from their content."""
    contents = [[p.question, p.answer, *p.options, *(image.key for image in p.media)] for p in problems]
    return [replace(problem, id=name) for problem, name in zip(problems, unique_ids(contents), strict=True)]


def _with_ids(problems: Sequence[Problem], rows: Sequence[Row], column: str | None) -> list[Problem]:
    if column is None:
        return with_content_ids(problems)
    first: dict[str, Row] = {}
    for problem, row in zip(problems, rows, strict=True):
        other = first.setdefault(problem.id, row)
        if other is not row:
            raise RowError(
                f"id {problem.id[:60]!r} is already that of {other.where}",
                where=field(row, column),
                fix='make it unique, or set columns.id to "" for ids made from the content',
                reason="repeated_id",
            )
    return list(problems)


def unique_ids(contents: Sequence[Sequence[str]]) -> list[str]:
    """Ids made from the content of rows; a later row of equal content gets `-2`, `-3`, ..."""
    seen: Counter[str] = Counter()
    ids = []
    for parts in contents:
        name = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        seen[name] += 1
        ids.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return ids


def split_keys(media: Sequence[Media], text: str) -> list[str]:
    """What ties a row to others when shares are cut: its images, or its text if it has none."""
    return [image.key for image in media] or [f"text:{text}"]


def share(
    rows: Sequence[T], keys: Sequence[Sequence[str]], take: Take | None, limit: int | None, source: str
) -> list[T]:
    """The rows of a share, at most `limit` of them. Raises InputError when none is left.

    Args:
        rows: anything, one item a row.
        keys: what ties each row to others (see `split_keys`).
        take: the share; None for all.
        limit: None for no limit.
        source: the table, for messages.
    """
    if take is None:
        return list(rows[:limit])
    chosen = [rows[index] for index in taken(keys, take)]
    if not chosen:
        raise InputError(
            f"none of {len(rows)} rows falls into the share from {take.from_} to {take.to}",
            where=f"{source}, take",
            fix="widen the share or give more rows with different images",
        )
    return chosen[:limit]
