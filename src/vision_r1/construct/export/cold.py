"""Vision-R1-cold's two sharegpt files, with the `dataset_info.json` that LLaMA-Factory asks for.

| file | messages | images | roles |
|---|---|---|---|
| vision_r1_llava_cot_full.json | conversations | image | human, gpt |
| vision_r1_mulberry_sft_full.json | conversations | images | user, assistant |

Rows of a source with "mulberry" in its name go to the second file, all others to the first, so the two
together hold each kept row once, as the published ones do. A file without rows is not written.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vision_r1.construct.dataset import kept_rows
from vision_r1.construct.export.turns import user_turn
from vision_r1.construct.images import ImageStore
from vision_r1.construct.row_files import count_rows, read_tables
from vision_r1.core.files import write_json
from vision_r1.core.progress import Progress

_COLUMNS = ["id", "source", "question", "images", "final_text"]


@dataclass(frozen=True, slots=True)
class Layout:
    """One of the two files.

    Attributes:
        name: of the file without its suffix, and in dataset_info.json.
        images: the column of images.
        user: what the user's role is called.
        assistant: what the assistant's role is called.
    """

    name: str
    images: str
    user: str
    assistant: str

    def info(self) -> dict[str, Any]:
        """The entry of dataset_info.json."""
        tags = {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": self.user,
            "assistant_tag": self.assistant,
        }
        columns = {"messages": "conversations", "images": self.images}
        return {"file_name": f"{self.name}.json", "formatting": "sharegpt", "columns": columns, "tags": tags}


LLAVA = Layout("vision_r1_llava_cot_full", "image", "human", "gpt")
MULBERRY = Layout("vision_r1_mulberry_sft_full", "images", "user", "assistant")


def layout_of(source: str) -> Layout:
    """Which of the two files the rows of a source go to."""
    return MULBERRY if "mulberry" in source.casefold() else LLAVA


def write_cold(out: Path, dest: Path, progress: Progress) -> int:
    """Write the kept rows of a construction as the two files, with their images. Returns their number."""
    store, own = ImageStore(out / "images"), ImageStore(dest / "images")
    one_each = _one_image_each(out)
    written: dict[Layout, int] = {}
    progress.start("export", count_rows(out / "rows"), "row")
    with ExitStack() as stack:
        files: dict[Layout, IO[str]] = {}
        for done, row in kept_rows(out, _COLUMNS):
            layout = layout_of(row["source"])
            if layout not in files:
                path = dest / f"{layout.name}.json"
                files[layout] = stack.enter_context(path.open("w", encoding="utf-8"))
            for name in row["images"]:
                own.take(store, name)
            text = json.dumps(_record(row, layout, one_each), ensure_ascii=False)
            files[layout].write(f"{',' if layout in written else '['}\n{text}")
            written[layout] = written.get(layout, 0) + 1
            progress.advance(done)
        for file in files.values():
            file.write("\n]\n")
    progress.finish()
    write_json(dest / "dataset_info.json", {layout.name: layout.info() for layout in written})
    return sum(written.values())


def _record(row: dict[str, Any], layout: Layout, one_each: bool) -> dict[str, Any]:
    paths = [f"images/{name}" for name in row["images"]]
    alone = layout is LLAVA and one_each
    return {
        "id": row["id"],
        "conversations": [
            {"from": layout.user, "value": user_turn(row)},
            {"from": layout.assistant, "value": row["final_text"]},
        ],
        layout.images: paths[0] if alone else paths,
    }


def _one_image_each(out: Path) -> bool:
    """Whether every row of the first file has one image, written as text then, as in the published file.

    A column that holds texts in some rows and lists in others can be read by nobody.
    """
    for table in read_tables(out / "rows", ["source", "images"], kept=True):
        for row in table.to_pylist():
            if layout_of(row["source"]) is LLAVA and len(row["images"]) != 1:
                return False
    return True
