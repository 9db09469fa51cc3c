"""Checkpoints that are whole, and logs that end where they do.

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


def take_learning_rate(optimizer: Any, scheduler: Any, rate: float) -> None:
    """Make `rate` the peak rate of a restored optimizer and scheduler, whose own are those of before.

    The place on the schedule stays. Nothing is touched where the rate has not changed.
    """
    before = getattr(scheduler, "base_lrs", None) or [
        g.get("initial_lr", g["lr"]) for g in optimizer.param_groups
    ]
    if all(old == rate for old in before):
        return
    for group, old in zip(optimizer.param_groups, before, strict=True):
        group["lr"] *= rate / old
        group["initial_lr"] = rate
    scheduler.base_lrs = [rate for _ in before]
    scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
