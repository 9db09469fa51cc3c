"""A construction in the layouts that training frameworks read; every export is made as a stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vision_r1.construct.export.cold import write_cold
from vision_r1.construct.export.rl import write_easyr1, write_verl
from vision_r1.construct.export.trl import write_trl
from vision_r1.core.errors import InputError, nearest
from vision_r1.core.files import atomic_directory, is_folder, reported_writes, write_json
from vision_r1.core.progress import Progress, Silent

MARK = "vision_r1_export.json"

# Each writes the kept rows of a construction into an empty folder and says how many there are.
FORMS: dict[str, Callable[[Path, Path, Progress], int]] = {
    "vision-r1-cold": write_cold,
    "trl": write_trl,
    "easyr1": write_easyr1,
    "verl": write_verl,
}


def export_construction(out: Path, to: str, dest: Path, progress: Progress | None = None) -> int:
    """Write the kept rows of a construction for another framework.

    Args:
        out: the construction, with `rows` and `images`.
        to: `vision-r1-cold` (sharegpt, for LLaMA-Factory and this package), `trl` (conversational prompt
            and completion), `easyr1` (the columns of Geometry3K) or `verl`.
        dest: the folder to write: a new or empty one, or an earlier export, which is replaced whole.
        progress: told of every row that was read.

    Returns:
        How many rows were written: for `easyr1` and `verl` one a problem, else every kept row.

    Raises:
        InputError: an unknown form, a folder that holds something else, no kept rows, an image that is
            missing, or a full disk.
    """
    if to not in FORMS:
        raise InputError(f"unknown form {to!r}", where="--to", fix=nearest(to, FORMS, "one of"))
    if is_folder(dest) and any(dest.iterdir()) and not (dest / MARK).exists():
        raise InputError("is not empty and holds no earlier export", where=str(dest), fix="name a new folder")
    with reported_writes(dest), atomic_directory(dest) as scratch:
        rows = FORMS[to](out, scratch, progress or Silent())
        if rows == 0:
            raise InputError("no row was kept, so there is nothing to export", where=str(out))
        write_json(scratch / MARK, {"to": to, "rows": rows})
    return rows
