"""Shards of a construction, made by several processes or hosts, as one construction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_r1.construct.images import ImageStore
from vision_r1.construct.row_files import ROWS_PER_FILE, count_rows, merge_rows, read_tables
from vision_r1.core.errors import InputError
from vision_r1.core.progress import Progress, Silent


def merge_constructions(
    shards: Sequence[Path], out: Path, rows_per_file: int = ROWS_PER_FILE, progress: Progress | None = None
) -> int:
    """Write OUT/rows and OUT/images from those of the shards; rows as one process would have written them.

    Images are hard links where the disk allows it. Rows are written last, so a folder that has them is whole.

    Returns:
        How many rows there are.

    Raises:
        InputError: no shards, a shard without rows, `out` among them, two different rows of one id, a
            missing image, or a full disk.
    """
    progress = progress or Silent()
    if out.resolve() in [shard.resolve() for shard in shards]:
        raise InputError("is one of the shards", where=str(out), fix="merge into a new folder")
    store, done = ImageStore(out / "images"), 0
    progress.start("merge", sum(count_rows(shard / "rows") for shard in shards), "row")
    for shard in shards:
        own = ImageStore(shard / "images")
        for table in read_tables(shard / "rows", ["images"]):
            for name in {name for names in table["images"].to_pylist() for name in names}:
                store.take(own, name)
            done += table.num_rows
            progress.advance(done)
    progress.finish()
    return merge_rows([shard / "rows" for shard in shards], out / "rows", rows_per_file)
