"""OUT/data: the kept rows as a `datasets` directory, images inside, with where each row is from.

`datasets.load_dataset(str(OUT / "data"))` gives it with decoded images; any parquet reader opens it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from vision_r1.construct.card import Counts, card
from vision_r1.construct.image_tables import IMAGES, image_cells, image_table_writer
from vision_r1.construct.images import ImageStore
from vision_r1.construct.record import SCHEMA
from vision_r1.construct.row_files import count_rows, read_tables
from vision_r1.core.files import atomic_directory, atomic_write_text, reported_writes
from vision_r1.core.progress import Progress, Silent

# Columns of the rows that say nothing of a kept row, or are for scripted teachers only.
_LEFT_OUT = ("kept", "reason", "detail", "reply")
# What the columns are called here: what users and loaders look for.
_RENAMED = {"final_text": "response", "problem": "problem_key"}

COLUMNS = [name for name in SCHEMA.names if name not in _LEFT_OUT]
DATA_SCHEMA = pa.schema([
    pa.field(_RENAMED.get(name, name), IMAGES if name == "images" else SCHEMA.field(name).type)
    for name in COLUMNS
])  # fmt: skip


def write_dataset(out: Path, progress: Progress | None = None) -> int:
    """Write OUT/data from OUT/rows and OUT/images, in place of an earlier one.

    `question` has an `<image>` mark for each image, `response` is the assistant's turn, and `fired`,
    `rewritten`, `extracted`, `verdict` and `requests` say how the row came to be kept.

    Returns:
        How many rows were written.

    Raises:
        InputError: no or damaged rows, an image that is missing, or a full disk.
    """
    progress = progress or Silent()
    store, counts = ImageStore(out / "images"), Counts()
    progress.start("dataset", count_rows(out / "rows"), "row")
    with reported_writes(out), atomic_directory(out / "data") as scratch:
        with image_table_writer(scratch, DATA_SCHEMA) as writer:
            for done, row in kept_rows(out, [*COLUMNS, "kept"], counts):
                names = row.pop("images")
                cells = image_cells(store, names)
                renamed = {_RENAMED.get(name, name): value for name, value in row.items()}
                writer.write(renamed | {"images": cells}, sum(len(cell["bytes"]) for cell in cells))
                progress.advance(done)
        atomic_write_text(scratch / "README.md", card(counts))
    progress.finish()
    return writer.rows


def kept_rows(
    out: Path, columns: list[str], counts: Counts | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(rows read so far, kept row) of OUT/rows, in the order of ids; dropped ones are only counted."""
    read = 0
    for table in read_tables(out / "rows", columns if "kept" in columns else [*columns, "kept"]):
        for row in table.to_pylist():
            read += 1
            if counts is not None:
                counts.add(row)
            if row.pop("kept"):
                yield read, row
