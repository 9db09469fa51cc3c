"""`rows/rows-00000.parquet`, ...: every row of a construction in the order of ids, written as a stream.

Rows are cut into files and row groups by their number alone, and the parquet settings are fixed, so the
same rows give the same bytes, whether one process wrote them or shards were merged.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vision_r1.construct.record import SCHEMA, Record
from vision_r1.core.errors import InputError
from vision_r1.core.files import atomic_directory, reported_writes

ROWS_PER_FILE = 5_000
ROWS_PER_GROUP = 500  # what a reader or writer holds in memory
_SETTINGS = {"version": "2.6", "compression": "zstd", "compression_level": 3}
_NAMES = [field.name for field in fields(Record)]


@contextlib.contextmanager
def row_writer(folder: Path, rows_per_file: int = ROWS_PER_FILE) -> Iterator[RowWriter]:
    """Give a writer of rows; `folder` appears, in place of an earlier one, when the block ends well.

    Args:
        folder: such as OUT/rows.
        rows_per_file: a multiple of `ROWS_PER_GROUP`, or less than that.

    Raises:
        InputError: rows out of order (see `RowWriter.write`), or the disk is full.
    """
    with reported_writes(folder), atomic_directory(folder) as scratch:
        writer = RowWriter(scratch, rows_per_file)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


class RowWriter:
    """Writes rows, given in the order of their ids, as numbered files into a folder.

    Attributes:
        rows: how many were given.
    """

    def __init__(self, folder: Path, rows_per_file: int) -> None:
        self.folder, self.rows_per_file = folder, rows_per_file
        self.rows = 0
        self._group = min(ROWS_PER_GROUP, rows_per_file)
        self._records: list[Record] = []
        self._waiting: list[pa.Table] = []
        self._waiting_rows = self._in_file = self._files = 0
        self._file: pq.ParquetWriter | None = None
        self._last_id = ""

    def write(self, record: Record) -> None:
        """Add one row. Raises InputError where its id does not come after that of the row before."""
        self._records.append(record)
        if len(self._records) >= self._group:
            self._gather()

    def write_table(self, table: pa.Table) -> None:
        """Add rows that are a table of `SCHEMA`. Raises InputError as `write` does."""
        self._gather()
        self._check_order(table["id"].to_pylist())
        self.rows += table.num_rows
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= self._group:
            self._flush()

    def _gather(self) -> None:
        if self._records:
            records, self._records = self._records, []
            self.write_table(records_table(records))

    def _check_order(self, ids: Sequence[str]) -> None:
        for name in ids:
            if name <= self._last_id:
                raise InputError(
                    f"row {name[:80]!r} comes after row {self._last_id[:80]!r}",
                    where=str(self.folder),
                    fix="give rows once each, in the order of their ids",
                )
            self._last_id = name

    def _flush(self) -> None:
        """Write all whole groups that are waiting."""
        table = pa.concat_tables(self._waiting)
        whole = table.num_rows // self._group * self._group
        for start in range(0, whole, self._group):
            self._write_group(table.slice(start, self._group))
        rest = table.slice(whole)
        self._waiting, self._waiting_rows = [rest] if rest.num_rows else [], rest.num_rows

    def _write_group(self, table: pa.Table) -> None:
        if self._file is None:
            path = self.folder / f"rows-{self._files:05d}.parquet"
            self._file = pq.ParquetWriter(path, SCHEMA, **_SETTINGS)
            self._files += 1
        self._file.write_table(table.combine_chunks(), row_group_size=self._group)
        self._in_file += table.num_rows
        if self._in_file >= self.rows_per_file:
            self.close()
            self._in_file = 0

    def finish(self) -> None:
        """Write what is left; no rows at all make one empty file."""
        self._gather()
        if self._waiting_rows:
            self._write_group(pa.concat_tables(self._waiting))
        if self._files == 0:
            self._write_group(SCHEMA.empty_table())

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def records_table(records: Sequence[Record]) -> pa.Table:
    """Rows as a table of `SCHEMA`; half characters, which no file can hold, become "?"."""
    try:
        return _as_table(records, lambda value: value)
    except UnicodeEncodeError:
        return _as_table(records, _writable)


def _as_table(records: Sequence[Record], change: Callable[[Any], Any]) -> pa.Table:
    def column(name: str) -> list[Any]:
        values = [getattr(record, name) for record in records]
        if name == "requests":
            parts = ("step", "key", "model", "template", "attempt")
            values = [[{part: getattr(note, part) for part in parts} for note in notes] for notes in values]
        if name == "image_sizes":
            values = [[each and asdict(each) for each in sizes] for sizes in values]
        return [change(value) for value in values]

    arrays = [pa.array(column(field.name), field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    if isinstance(value, dict):
        return {key: _writable(item) for key, item in value.items()}
    return value


def row_files(folder: Path) -> list[Path]:
    """The files of a folder of rows, in order. Raises InputError where there is none."""
    files = sorted(folder.glob("rows-*.parquet"))
    if not files:
        raise InputError("no rows of a construction", where=str(folder), fix="run construct to its end first")
    return files


def count_rows(folder: Path) -> int:
    """How many rows a folder holds; reads the ends of files only."""
    return sum(_opened(path).metadata.num_rows for path in row_files(folder))


def read_tables(
    folder: Path, columns: Sequence[str] | None = None, *, kept: bool | None = None
) -> Iterator[pa.Table]:
    """The rows of a folder as small tables, in the order of ids; some may be empty.

    Args:
        folder: what `row_writer` wrote.
        columns: which to read; None for all.
        kept: only kept rows, only dropped rows, or None for both.

    Raises:
        InputError: no rows there, or a file that is damaged or not of this layout.
    """
    names = list(columns) if columns is not None else SCHEMA.names
    schema = pa.schema([SCHEMA.field(name) for name in names])
    wanted = names if kept is None or "kept" in names else [*names, "kept"]
    for path in row_files(folder):
        file = _opened(path)
        try:
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, columns=wanted):
                table = pa.Table.from_batches([batch])
                if kept is not None:
                    table = table.filter(pc.equal(table["kept"], kept))
                yield table.select(names).cast(schema)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(path, error) from None


def read_rows(folder: Path, *, kept: bool | None = None) -> Iterator[Record]:
    """The rows of a folder one by one, in the order of ids; arguments and errors as for `read_tables`."""
    for table in read_tables(folder, kept=kept):
        for row in table.to_pylist():
            yield Record.from_plain(row)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        # A path as text could be taken for a partitioned data set.
        file = pq.ParquetFile(path, memory_map=False)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None
    missing = [name for name in _NAMES if name not in file.schema_arrow.names]
    if missing:
        raise InputError(
            f"not the rows of a construction: no column {missing[0]!r}",
            where=str(path),
            fix="name a folder that construct wrote with this version",
        )
    return file


def _damaged(path: Path, error: Exception) -> InputError:
    detail = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return InputError(f"not readable as rows: {detail}", where=str(path), fix="run construct again")


def merge_rows(folders: Sequence[Path], out: Path, rows_per_file: int = ROWS_PER_FILE) -> int:
    """Merge the rows of shards; what comes out is what one process would have written.

    A row that several shards have alike is written once.

    Args:
        folders: folders of rows.
        out: the folder to write.
        rows_per_file: see `row_writer`.

    Returns:
        How many rows were written.

    Raises:
        InputError: nothing to merge, two different rows of one id, rows that are not in order, or a
            damaged file.
    """
    if not folders:
        raise InputError("there is nothing to merge", where=str(out), fix="name the folders of the shards")
    shards = [_Shard(folder) for folder in folders]
    with row_writer(out, rows_per_file) as writer:
        while live := [shard for shard in shards if shard.fill()]:
            # Whatever any shard has left comes after the last row that it holds now.
            limit = min(shard.last_id for shard in live)
            part = pa.concat_tables([shard.take_to(limit) for shard in live]).sort_by("id")
            writer.write_table(_once_each(part, out))
    return writer.rows


class _Shard:
    """The rows of one folder, a small table at a time."""

    def __init__(self, folder: Path) -> None:
        self._tables = read_tables(folder)
        self._held: pa.Table = SCHEMA.empty_table()

    def fill(self) -> bool:
        """Hold at least one row; False at the end."""
        while self._held.num_rows == 0:
            table = next(self._tables, None)
            if table is None:
                return False
            self._held = table
        return True

    @property
    def last_id(self) -> str:
        return str(self._held["id"][-1].as_py())

    def take_to(self, limit: str) -> pa.Table:
        """Give away the rows up to an id, itself included."""
        count = pc.sum(pc.less_equal(self._held["id"], limit)).as_py()
        taken, self._held = self._held.slice(0, count), self._held.slice(count)
        return taken


def _once_each(table: pa.Table, out: Path) -> pa.Table:
    """A sorted table without the repeats of a row."""
    ids = table["id"].to_pylist()
    repeated = [index for index in range(1, len(ids)) if ids[index] == ids[index - 1]]
    for index in repeated:
        if table.slice(index, 1).to_pylist() != table.slice(index - 1, 1).to_pylist():
            raise InputError(
                f"row {ids[index][:80]!r} is in two inputs with different content",
                where=str(out),
                fix="merge shards of one construction, made with the same settings and answers",
            )
    if not repeated:
        return table
    gone = set(repeated)
    return table.take([index for index in range(len(ids)) if index not in gone])
