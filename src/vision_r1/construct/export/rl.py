"""Problems for reinforcement learning, one row each: parquet for EasyR1 and for verl.

EasyR1 reads the columns of hiyouga/geometry3k (`images`, `problem`, `answer`); verl those that its own
Geometry3K script writes. Both split the question at its `<image>` marks. verl picks its reward by
`data_source`, which here is the row's source: name a reward function of your own there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from vision_r1.construct.dataset import kept_rows
from vision_r1.construct.export.turns import user_turn
from vision_r1.construct.image_tables import IMAGES, image_cells, image_table_writer
from vision_r1.construct.images import ImageStore
from vision_r1.construct.row_files import count_rows
from vision_r1.core.progress import Progress

_COLUMNS = ["id", "problem", "source", "question", "images", "answer", "answer_type"]
_TEXT = pa.string()
EASYR1 = pa.schema({"images": IMAGES, "problem": _TEXT, "answer": _TEXT})
_EXTRA = {
    "split": _TEXT, "index": pa.int64(), "id": _TEXT, "answer": _TEXT, "question": _TEXT,
    "answer_type": _TEXT,
}  # fmt: skip
VERL = pa.schema(
    {
        "data_source": _TEXT,
        "prompt": pa.list_(pa.struct({"role": _TEXT, "content": _TEXT})),
        "images": IMAGES,
        "ability": _TEXT,
        "reward_model": pa.struct({"style": _TEXT, "ground_truth": _TEXT}),
        "extra_info": pa.struct(_EXTRA),
    }
)


def write_easyr1(out: Path, dest: Path, progress: Progress) -> int:
    """Write the problems of the kept rows for EasyR1. Returns their number."""
    with image_table_writer(dest, EASYR1) as writer:
        for row, cells in _problems(out, progress):
            line = {"images": cells, "problem": user_turn(row), "answer": row["answer"]}
            writer.write(line, sum(len(cell["bytes"]) for cell in cells))
    return writer.rows


def write_verl(out: Path, dest: Path, progress: Progress) -> int:
    """Write the problems of the kept rows for verl. Returns their number."""
    with image_table_writer(dest, VERL) as writer:
        for index, (row, cells) in enumerate(_problems(out, progress)):
            writer.write(_verl_row(row, index, cells), sum(len(cell["bytes"]) for cell in cells))
    return writer.rows


def _verl_row(row: dict[str, Any], index: int, cells: list[dict[str, Any]]) -> dict[str, Any]:
    question = user_turn(row)
    return {
        "data_source": row["source"],
        "prompt": [{"role": "user", "content": question}],
        "images": cells,
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": row["answer"]},
        "extra_info": {
            "split": "train",
            "index": index,
            "id": row["problem"],
            "answer": row["answer"],
            "question": question,
            "answer_type": row["answer_type"],
        },
    }


def _problems(out: Path, progress: Progress) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The first kept row of each problem, and its images; the rows of a problem are neighbours."""
    store, last = ImageStore(out / "images"), None
    progress.start("export", count_rows(out / "rows"), "row")
    for done, row in kept_rows(out, _COLUMNS):
        if row["problem"] != last:
            last = row["problem"]
            yield row, image_cells(store, row["images"])
        progress.advance(done)
    progress.finish()
