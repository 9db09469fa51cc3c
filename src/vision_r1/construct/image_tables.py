"""Parquet files with images inside, as `datasets` writes them: for OUT/data and the exports.

A column of images is a list of {bytes, path}; the schema carries the `datasets` features, so that
`load_dataset` decodes them without being told. Features are in the notation that every version of
`datasets` since 2.0 reads. Settings are fixed: equal rows give equal bytes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vision_r1.construct.images import ImageStore

ROWS_PER_FILE = 5_000
BYTES_PER_FILE = 500 * 10**6
ROWS_PER_GROUP = 100  # what a reader has to decode for one row
_BYTES_PER_GROUP = 32 * 10**6
_SETTINGS = {"version": "2.6", "compression": "zstd", "compression_level": 1, "use_dictionary": False}

IMAGES = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))


def with_features(schema: pa.Schema) -> pa.Schema:
    """A schema with the `datasets` features of its columns in its metadata."""
    features = {field.name: _feature(field.type) for field in schema}
    info = {"info": {"features": features}}
    return schema.with_metadata({"huggingface": json.dumps(info)})


def _feature(kind: pa.DataType) -> Any:
    if kind == IMAGES.value_type:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {part.name: _feature(part.type) for part in kind}
    return {"dtype": str(kind), "_type": "Value"}


def image_cells(store: ImageStore, names: Sequence[str]) -> list[dict[str, Any]]:
    """The images of a row as a cell of a column of type `IMAGES`."""
    return [{"bytes": store.read(name), "path": name.rpartition("/")[2]} for name in names]


@contextlib.contextmanager
def image_table_writer(folder: Path, schema: pa.Schema) -> Iterator[ImageTableWriter]:
    """Give a writer of `train-00000.parquet`, ... into an existing folder."""
    writer = ImageTableWriter(folder, with_features(schema))
    try:
        yield writer
        writer.finish()
    finally:
        writer.close()


class ImageTableWriter:
    """Writes rows with images as parquet files of a bounded number of rows and bytes.

    Attributes:
        rows: how many were written.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema
        self.rows = 0
        self._waiting: list[dict[str, Any]] = []
        self._waiting_bytes = self._file_rows = self._file_bytes = self._files = 0
        self._file: pq.ParquetWriter | None = None

    def write(self, row: dict[str, Any], size: int) -> None:
        """Add a row whose images have `size` bytes."""
        self._waiting.append(row)
        self._waiting_bytes += size
        if len(self._waiting) >= ROWS_PER_GROUP or self._waiting_bytes >= _BYTES_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._file is None:
            path = self.folder / f"train-{self._files:05d}.parquet"
            self._file = pq.ParquetWriter(path, self.schema, **_SETTINGS)
            self._files += 1
        self._file.write_table(pa.Table.from_pylist(self._waiting, schema=self.schema))
        self.rows += len(self._waiting)
        self._file_rows += len(self._waiting)
        self._file_bytes += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        if self._file_rows >= ROWS_PER_FILE or self._file_bytes >= BYTES_PER_FILE:
            self.close()
            self._file_rows = self._file_bytes = 0

    def finish(self) -> None:
        """Write what is left; no rows at all make one empty file."""
        if self._waiting or self._files == 0:
            self._flush()

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            self._file.close()
            self._file = None
