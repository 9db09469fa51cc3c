"""TRL's conversational form for vision-language SFT: `images`, `prompt`, `completion`.

The prompt's content is parts, with an image part where the question has its mark: TRL (1.16,
`prepare_multimodal_messages`) puts the images there, and would lead with them and keep the marks as
words if the content were text.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from vision_r1.construct.dataset import kept_rows
from vision_r1.construct.export.turns import content_parts, user_turn
from vision_r1.construct.image_tables import IMAGES, image_cells, image_table_writer
from vision_r1.construct.images import ImageStore
from vision_r1.construct.row_files import count_rows
from vision_r1.core.progress import Progress

_TEXT = pa.string()
_PARTS = pa.list_(pa.struct({"type": _TEXT, "text": _TEXT}))
SCHEMA = pa.schema(
    {
        "id": _TEXT,
        "images": IMAGES,
        "prompt": pa.list_(pa.struct({"role": _TEXT, "content": _PARTS})),
        "completion": pa.list_(pa.struct({"role": _TEXT, "content": _TEXT})),
    }
)


def write_trl(out: Path, dest: Path, progress: Progress) -> int:
    """Write the kept rows of a construction as parquet for `SFTTrainer`. Returns their number."""
    store = ImageStore(out / "images")
    progress.start("export", count_rows(out / "rows"), "row")
    with image_table_writer(dest, SCHEMA) as writer:
        for done, row in kept_rows(out, ["id", "question", "images", "final_text"]):
            cells = image_cells(store, row["images"])
            line = {
                "id": row["id"],
                "images": cells,
                "prompt": [{"role": "user", "content": content_parts(user_turn(row))}],
                "completion": [{"role": "assistant", "content": row["final_text"]}],
            }
            writer.write(line, sum(len(cell["bytes"]) for cell in cells))
            progress.advance(done)
    progress.finish()
    return writer.rows
