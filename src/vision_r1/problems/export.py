"""Conversations -> the layout of Vision-R1-cold, for this package and for LLaMA-Factory."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_r1.core.errors import InputError
from vision_r1.core.files import atomic_write_bytes, write_json
from vision_r1.problems.chat import ChatRow, explicit_marks
from vision_r1.problems.problem import Media

FILE_NAME = "vision_r1_cold.json"


def write_vision_r1_cold(rows: Sequence[ChatRow], out_dir: Path) -> Path:
    """Write rows as Vision-R1-cold's `vision_r1_llava_cot_full.json` is laid out.

    Images go to `out_dir/images` as PNG, one file for each distinct image; the JSON is written last
    and whole, so a folder that has it is complete. `load_chat_rows` with the layout
    `vision_r1_cold_llava` reads the same ids, texts and pixels back.

    Args:
        rows: what to write; images without marks get leading `<image>` marks.
        out_dir: a folder; made if need be. Files of an earlier export are replaced.

    Returns:
        The JSON file.

    Raises:
        InputError: no rows, or marks and images that do not fit together.
    """
    if not rows:
        raise InputError("there are no rows to export", where=str(out_dir))
    written: dict[str, str] = {}
    records = [_record(row, out_dir, written) for row in rows]
    path = out_dir / FILE_NAME
    write_json(path, records)
    return path


def _record(row: ChatRow, out_dir: Path, written: dict[str, str]) -> dict[str, Any]:
    user = explicit_marks(row.user, len(row.media))
    if user.count("<image>") != len(row.media):
        raise InputError(
            f"{user.count('<image>')} <image> marks, but {len(row.media)} images", where=f"row {row.id!r}"
        )
    record: dict[str, Any] = {
        "id": row.id,
        "conversations": [{"from": "human", "value": user}, {"from": "gpt", "value": row.assistant}],
    }
    paths = [_write_image(image, out_dir, written) for image in row.media]
    if paths:
        record["image"] = paths[0] if len(paths) == 1 else paths
    return record


def _write_image(image: Media, out_dir: Path, written: dict[str, str]) -> str:
    """The path of the image below `out_dir`; written on first use."""
    if image.key not in written:
        name = f"images/{len(written):06d}.png"
        buffer = io.BytesIO()
        image.load().save(buffer, format="PNG")
        atomic_write_bytes(out_dir / name, buffer.getvalue())
        written[image.key] = name
    return written[image.key]
