"""Checkpoints that are whole, logs that end where they do, and which dials may change in between.

A checkpoint counts only with every file it needs, `trainer_state.json` (written last) readable:
transformers takes half-written folders, and passes over a missing optimizer or RNG file in silence.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_r1.core.errors import RunStateError
from vision_r1.core.files import atomic_write_text

_NEEDED = ("config.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")


def checkpoints(work: Path) -> dict[int, Path]:
    """The complete checkpoints of a stage: step -> folder, in order of steps."""
    found = {}
    for folder in work.glob("checkpoint-*"):
        step = folder.name.removeprefix("checkpoint-")
        if step.isdigit() and _complete(folder, int(step)):
            found[int(step)] = folder
    return dict(sorted(found.items()))


def _complete(folder: Path, step: int) -> bool:
    if not all((folder / name).is_file() for name in _NEEDED) or not list(folder.glob("*.safetensors")):
        return False
    try:
        state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return False
    return isinstance(state, dict) and state.get("global_step") == step


def prune(work: Path, keep: Collection[int]) -> None:
    """Remove every checkpoint folder, whole or not, whose step is not in `keep`."""
    for folder in work.glob("checkpoint-*"):
        if folder.name.removeprefix("checkpoint-") not in {str(step) for step in keep}:
            # The mark of completeness goes first: a kill in the middle leaves nothing that looks whole.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(folder / "trainer_state.json")
            shutil.rmtree(folder)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a last line that a kill cut off is left out."""
    rows: list[dict[str, Any]] = []
    if not path.exists():
        return rows
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            break
        rows.append(row)
    return rows


def cut_rows(path: Path, step: int) -> list[dict[str, Any]]:
    """Remove the rows past `step` from a log and return those that stay."""
    rows = [row for row in read_rows(path) if row["step"] <= step]
    if path.exists():
        atomic_write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return rows


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to a log; numbers that JSON has no word for become null."""
    with path.open("a", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def check_changed(
    old: Mapping[str, Any], new: Mapping[str, Any], allowed: Collection[str]
) -> list[dict[str, Any]]:
    """Compare the settings a run was started with to those it is continued with.

    Args:
        old: plain settings of the run directory.
        new: plain settings of this call.
        allowed: names of dials that may change, at any depth.

    Returns:
        One row a change: `{"dial": dotted key, "from": value, "to": value}`.

    Raises:
        RunStateError: a dial changed that is not allowed; its dotted key is named.
    """
    changes = _changes(old, new, "")
    for change in changes:
        if not set(change["dial"].split(".")) & set(allowed):
            was, now = (json.dumps(change[side])[:60] for side in ("from", "to"))
            raise RunStateError(
                f"was {was} when the run began and is {now} now",
                where=change["dial"],
                fix=f"use a new run directory; may change: {', '.join(sorted(allowed))}",
            )
    return changes


def _changes(old: Any, new: Any, path: str) -> list[dict[str, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = [(key, old.get(key), new.get(key)) for key in [*old, *(key for key in new if key not in old)]]
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        pairs = [(str(index), a, b) for index, (a, b) in enumerate(zip(old, new, strict=True))]
    else:
        return [] if old == new else [{"dial": path, "from": old, "to": new}]
    prefix = f"{path}." if path else ""
    return [change for key, a, b in pairs for change in _changes(a, b, f"{prefix}{key}")]
