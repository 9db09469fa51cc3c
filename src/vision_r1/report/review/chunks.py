"""Rows of a construction as script files of a few rows each: what a page loads when it is turned.

A page that was opened from the disk may not fetch files, but it may add scripts. So each file is one
call, `review.rows(NUMBER, [...])`, whose argument is JSON in plain ASCII without `<`: no text can end
the literal, open a tag, or be read in another encoding. Rows are grouped by source and by the reason to
keep or drop them; a file holds rows of one group only, so a page of any choice of groups is one file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_r1.construct.images import is_image_name
from vision_r1.report.clean import cut

ROWS_PER_CHUNK = 25
CHUNKS_PER_INDEX = 100
LONGEST_TEXT = 40_000
_LONGEST_INDEXED = 400
# More groups than anybody can choose from share one name.
MOST_NAMES = 100
OTHER = "(all others)"

# What a row of a file is, in this order; review.js names the same fields.
FIELDS = (
    "id", "source", "source_id", "question", "options", "answer", "images", "image_sizes", "kept", "reason",
    "detail", "fired", "caption", "pseudo_cot", "description", "notes", "thought", "reply", "final_text",
    "tokens", "extracted", "verdict", "rewritten", "family", "requests",
)  # fmt: skip
_TEXTS = (
    "id", "source", "source_id", "question", "answer", "reason", "detail", "caption", "pseudo_cot",
    "description", "notes", "thought", "reply", "final_text", "extracted", "verdict", "family",
)  # fmt: skip


def script(call: str, *arguments: Any) -> str:
    """A file of one call of `review.js` with plain data."""
    texts = [json.dumps(argument, separators=(",", ":")).replace("<", "\\u003c") for argument in arguments]
    return f"review.{call}({','.join(texts)});\n"


@dataclass
class Group:
    """Rows with one source and one reason.

    Attributes:
        source: the set they are from.
        reason: why they were kept or dropped.
        kept: whether they were kept.
        rows: how many they are.
        chunks: the files that hold them.
    """

    source: str
    reason: str
    kept: bool
    rows: int = 0
    chunks: list[int] = field(default_factory=list)
    waiting: list[list[Any]] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """What the page is told of the group."""
        return {name: getattr(self, name) for name in ("source", "reason", "kept", "rows", "chunks")}


class ChunkWriter:
    """Deals rows to groups and writes a file whenever a group has enough; holds no more than that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._groups: dict[tuple[str, str, bool], Group] = {}
        self._names: dict[str, set[str]] = {"source": set(), "reason": set()}
        self._chunks = self._indexes = 0
        self._index: list[list[str]] = []

    @property
    def indexes(self) -> int:
        """How many files of the search index there are."""
        return self._indexes

    def groups(self) -> list[Group]:
        """All groups: kept ones first, then by number of rows."""
        return sorted(
            self._groups.values(), key=lambda group: (not group.kept, -group.rows, group.reason, group.source)
        )

    def write(self, row: dict[str, Any]) -> None:
        """Add a row of the construction."""
        source, reason = (self._name(part, str(row[part]) or "(none)") for part in ("source", "reason"))
        key = (source, reason, bool(row["kept"]))
        group = self._groups.setdefault(key, Group(*key))
        group.rows += 1
        group.waiting.append(shown_row(row))
        if len(group.waiting) == ROWS_PER_CHUNK:
            self._flush(group)

    def finish(self) -> None:
        """Write what is left."""
        for group in self.groups():
            if group.waiting:
                self._flush(group)
        if self._index:
            self._flush_index()

    def _name(self, part: str, name: str) -> str:
        known = self._names[part]
        if len(known) < MOST_NAMES:
            known.add(name)
        return name if name in known else OTHER

    def _flush(self, group: Group) -> None:
        rows, group.waiting = group.waiting, []
        (self.folder / f"rows-{self._chunks:05d}.js").write_text(script("rows", self._chunks, rows), "ascii")
        group.chunks.append(self._chunks)
        self._chunks += 1
        self._index.append([_indexed(row) for row in rows])
        if len(self._index) == CHUNKS_PER_INDEX:
            self._flush_index()

    def _flush_index(self) -> None:
        first = self._chunks - len(self._index)
        path = self.folder / f"index-{self._indexes:05d}.js"
        path.write_text(script("index", self._indexes, first, self._index), "ascii")
        self._index = []
        self._indexes += 1


def shown_row(row: dict[str, Any]) -> list[Any]:
    """A row as `FIELDS`, long texts cut with a word about it, without anything that is no image name."""
    shown = dict(row)
    for name in _TEXTS:
        shown[name] = None if row[name] is None else _cut(str(row[name]))
    # The final text repeats the thought; where the two agree, the page says so instead.
    if not row["rewritten"]:
        shown["final_text"] = ""
    shown["options"] = [_cut(text) for text in row["options"]]
    shown["fired"] = [_cut(text) for text in row["fired"]]
    shown["images"] = [name for name in row["images"] if is_image_name(name)]
    shown["image_sizes"] = [sent_smaller(size) for size in row["image_sizes"]]
    parts = ("step", "model", "template", "key", "attempt")
    shown["requests"] = [[note[part] for part in parts] for note in row["requests"]]
    return [shown[name] for name in FIELDS]


def sent_smaller(size: dict[str, int] | None) -> str:
    """What became of an image that was sent smaller than it is; "" for any other."""
    if size is None or (size["width"], size["height"]) == (size["sent_width"], size["sent_height"]):
        return ""
    return "{width} x {height} pixels, sent as {sent_width} x {sent_height}".format_map(size)


def _cut(text: str) -> str:
    start, left_off = cut(text, LONGEST_TEXT)
    return f"{start}\n… {left_off:,} more characters are in the rows." if left_off else start


def _indexed(row: Sequence[Any]) -> str:
    """What a search over all rows looks at: ids, answer and the question's beginning."""
    by_name = dict(zip(FIELDS, row, strict=True))
    parts = (by_name["id"], by_name["source_id"], by_name["answer"], by_name["question"])
    return "\n".join(str(part)[:_LONGEST_INDEXED] for part in parts)


def rows_of(tables: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """The rows of small tables, one by one."""
    for table in tables:
        yield from table.to_pylist()
