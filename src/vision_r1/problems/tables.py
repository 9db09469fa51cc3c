"""Tables as users have them, read into plain rows: JSON Lines, JSON, CSV, parquet, `datasets`."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_r1.core.errors import InputError, did_you_mean
from vision_r1.core.files import is_file, is_there, read_json, read_jsonl
from vision_r1.problems.json_array import array_values, starts_array

# A CSV cell above this is broken quoting, not text.
MAX_CSV_CELL = 10_000_000
MAX_DEPTH = 64
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class Row:
    """One row and where it came from.

    Attributes:
        where: file and row, for messages.
        values: column -> cell, as plain Python values.
    """

    where: str
    values: dict[str, Any]


def field(row: Row, column: str) -> str:
    """`file, row, field`, for messages."""
    return f"{row.where}, field {column!r}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is read row by row, each time anew.

    Attributes:
        where: the file, folder or hub id, for messages.
        read: its rows.
        names: its columns where they are told without reading it; None where the rows tell them.
    """

    where: str
    read: Callable[[], Iterator[Row]]
    names: Callable[[], list[str]] | None = None

    def rows(self) -> Iterator[Row]:
        """The rows in order. Raises InputError where the table is broken, or has none."""
        empty = True
        with _readable(self.where):
            for row in self.read():
                empty = False
                yield row
        if empty:
            raise InputError("the data set is empty", where=self.where, fix="give at least one row")

    def columns(self) -> list[str]:
        """All columns that occur, in order of first appearance; may read the whole table."""
        with _readable(self.where):
            return column_names(self.rows()) if self.names is None else self.names()


@contextlib.contextmanager
def _readable(where: str) -> Iterator[None]:
    """Our errors for what a file that cannot be read raises."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=where) from None
    except ValueError as error:
        # JSON with a number of thousands of digits, which Python refuses to convert.
        raise InputError(f"cannot be read: {error}", where=where) from None


def read_table(path: Path) -> list[Row]:
    """All rows of a table, by its suffix. Raises InputError as `open_table` and `Table.rows` do."""
    return list(open_table(path).rows())


def open_table(path: Path) -> Table:
    """A table by its suffix.

    Raises:
        InputError: missing, or of an unknown suffix.
    """
    if not is_there(path):
        raise InputError("no such file", where=str(path), fix=_nearest_file(path))
    if not path.is_file():
        raise InputError("is not a file", where=str(path), fix=f"name a file: {', '.join(SUFFIXES)}")
    readers = {".jsonl": _jsonl_rows, ".json": _json_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"unknown kind of file {path.suffix!r}", where=str(path), fix=f"use one of {', '.join(SUFFIXES)}"
        )
    names = (lambda: _parquet_names([path])) if reader is _parquet_rows else None
    return Table(str(path), lambda: reader(path), names)


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist either"
    names = [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in SUFFIXES]
    return did_you_mean(path.name, names) or "paths are relative to the working directory"


def _jsonl_rows(path: Path) -> Iterator[Row]:
    for number, values in read_jsonl(path):
        where = f"{path}, line {number}"
        yield Row(where, _writable(values, where))


def _json_rows(path: Path) -> Iterator[Row]:
    """A list of objects, JSON Lines (PuzzleVQA), or an object of objects or of lists of objects.

    The keys of an object are the ids of its rows (TabMWP), or the subject of a list of rows (SceMQA).
    """
    if starts_array(path):
        yield from _listed(array_values(path), str(path))
        return
    if _is_json_lines(path):
        yield from _jsonl_rows(path)
        return
    try:
        data = read_json(path)
    except RecursionError:
        raise InputError("nested too deep", where=str(path)) from None
    if not isinstance(data, dict):
        raise InputError("expected a list of objects", where=str(path))
    for key, value in data.items():
        where = f"{path}, entry {key!r}"
        if isinstance(value, list):
            for row in _listed(value, where):
                yield Row(row.where, {"subject": key, **row.values})
            continue
        if not isinstance(value, dict):
            raise InputError(f"expected an object, found {type(value).__name__}", where=where)
        yield Row(where, _writable({"id": key, **value}, where))


def _listed(values: Iterable[Any], name: str) -> Iterator[Row]:
    for number, value in enumerate(values, start=1):
        where = f"{name}, row {number}"
        if not isinstance(value, dict):
            raise InputError(f"expected an object, found {type(value).__name__}", where=where)
        yield Row(where, _writable(value, where))


def _is_json_lines(path: Path) -> bool:
    """Whether the first line is an object by itself and more follows: many `.json` files are JSON Lines."""
    with path.open(encoding="utf-8-sig", errors="replace") as handle:
        first = handle.readline(MAX_CSV_CELL).strip()
        if not (first.startswith("{") and first.endswith("}")) or not handle.readline(1):
            return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _writable(value: Any, where: str, depth: int = 0) -> Any:
    """The value with lone surrogates replaced: JSON may escape them, but no file can hold them."""
    if depth > MAX_DEPTH:
        raise InputError("nested too deep", where=where, fix="remove this row")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_writable(item, where, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_writable(key, where): _writable(item, where, depth + 1) for key, item in value.items()}
    return value


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", where=str(path), fix="save it as CSV UTF-8") from None
    header_line = text.partition("\n")[0]
    # Spreadsheets of many languages write semicolons.
    delimiter = max(",;\t", key=header_line.count)
    csv.field_size_limit(MAX_CSV_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) != len(header):
            raise InputError("two columns have the same name", where=f"{path}, line 1", fix="rename one")
        for cells in reader:
            # line_num is where the record ends: a quoted cell may span lines.
            where = f"{path}, line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"{len(cells)} cells, but the header has {len(header)} columns",
                    where=where,
                    fix="put a cell that holds the separator in double quotes",
                )
            yield Row(where, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise InputError(f"not valid CSV: {error}", where=f"{path}, line {reader.line_num}") from None


def _parquet_rows(path: Path) -> Iterator[Row]:
    with _parquet(path) as table:
        number = 0
        for batch in table.iter_batches(batch_size=256):
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{path}, row {number}", values)


def _parquet_names(paths: Sequence[Path]) -> list[str]:
    names: dict[str, None] = {}
    for path in paths:
        with _parquet(path) as table:
            names |= dict.fromkeys(table.schema_arrow.names)
    return list(names)


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        # A plain file object: a path would be taken for a partitioned data set.
        with path.open("rb") as handle:
            yield pyarrow.parquet.ParquetFile(handle)
    except (pyarrow.ArrowException, OSError) as error:
        detail = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise InputError(f"not a readable parquet file: {detail}", where=str(path)) from None


def read_dataset(name: str, split: str, revision: str | None = None, config: str | None = None) -> list[Row]:
    """All rows of a split; see `open_dataset`."""
    return list(open_dataset(name, split, revision, config).rows())


def open_dataset(name: str, split: str, revision: str | None = None, config: str | None = None) -> Table:
    """A split of a local `datasets` directory, of a local folder of parquet or of images, or of the hub.

    Images are not decoded here.

    Args:
        name: folder or hub id.
        split: which split.
        revision: commit or tag of the hub.
        config: configuration of the hub data set, where it has several.

    Raises:
        InputError: no such folder, data set or split; no network.
    """
    folder = Path(name)
    if folder.is_dir():
        if any((folder / mark).exists() for mark in ("dataset_dict.json", "state.json")):
            return _dataset_table(_saved(folder, split), f"{folder}, split {split}")
        listing = _image_listing(folder, split)
        return _shards(folder, split) if listing is None else listing
    if folder.exists() or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or name.startswith("."):
        raise InputError(
            "no such folder, and not a hub id", where=name, fix="give a folder, or OWNER/NAME of the hub"
        )
    return _dataset_table(_hub(name, split, revision, config), f"{name}, split {split}")


def _shards(folder: Path, split: str) -> Table:
    """The table of `SPLIT.parquet`, `SPLIT-00000-of-00002.parquet`, ... anywhere below the folder."""
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise InputError("holds no parquet and no saved data set", where=str(folder))
    named = {file: re.split(r"[-_.]", file.name)[0] for file in files}
    chosen = [file for file in files if named[file] == split or file.parent.name == split]
    if not chosen:
        known = ", ".join(sorted(set(named.values()))[:8])
        raise InputError(f"no split {split!r}", where=str(folder), fix=f"splits found: {known}")
    return Table(
        f"{folder}, split {split}",
        lambda: (row for file in chosen for row in _parquet_rows(file)),
        lambda: _parquet_names(chosen),
    )


def _image_listing(folder: Path, split: str) -> Table | None:
    """The table beside the images of an "imagefolder": SPLIT/metadata.jsonl or .csv; None without one."""
    listings = [folder / split / f"metadata{suffix}" for suffix in (".jsonl", ".csv", ".parquet")]
    listing = next((path for path in listings if is_file(path)), None)
    if listing is None:
        return None
    table = open_table(listing)

    def rows() -> Iterator[Row]:
        for row in table.read():
            name = row.values.get("file_name")
            yield Row(row.where, row.values | ({"file_name": f"{split}/{name}"} if name else {}))

    return Table(str(listing), rows, table.names)


def _saved(folder: Path, split: str) -> Any:
    import datasets

    try:
        data = datasets.load_from_disk(str(folder))
    except Exception as error:  # noqa: BLE001  (a damaged folder makes `datasets` raise nearly anything)
        raise InputError(f"not a readable saved data set: {_brief(error)}", where=str(folder)) from None
    if isinstance(data, datasets.DatasetDict):
        if split not in data:
            known = ", ".join(map(str, data))
            raise InputError(f"no split {split!r}", where=str(folder), fix=f"splits found: {known}")
        data = data[split]
    return data


def _hub(name: str, split: str, revision: str | None, config: str | None) -> Any:
    import datasets

    try:
        return datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # noqa: BLE001  (network, hub, cache and format errors share no base class)
        raise InputError(
            f"cannot load split {split!r} from the hub: {_brief(error)}",
            where=name,
            fix="check name, split and network, or download it and give its folder",
        ) from None


def _dataset_table(data: Any, where: str) -> Table:
    def rows() -> Iterator[Row]:
        # The arrow form leaves images as {bytes, path}: decoding them here would bypass our limits.
        number = 0
        for batch in data.with_format("arrow").iter(batch_size=256):
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{where}, row {number}", values)

    return Table(where, rows, lambda: list(data.column_names))


def _brief(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def column_names(rows: Iterable[Row]) -> list[str]:
    """All columns that occur, in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.values))
