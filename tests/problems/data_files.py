"""Small tables and images for the loader tests."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image


def png(color: tuple[int, int, int] = (200, 10, 10), size: tuple[int, int] = (8, 6)) -> bytes:
    """An encoded picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, format="PNG")
    return buffer.getvalue()


def write_rows(folder: Path, rows: list[dict], name: str = "rows.jsonl") -> Path:
    """A JSON Lines file beside pictures `0.png` to `3.png`, each of its own colour."""
    for index in range(4):
        (folder / f"{index}.png").write_bytes(png((index * 40, 0, 0)))
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
