"""A folder belongs to one evaluation: it is continued by the same one and refused to any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_r1.core.errors import RunStateError
from vision_r1.core.files import left_by_kill, read_json, write_json

# Folders of the request logs of served models and judges, which are opened before anything is claimed.
LOGS = ("requests", "judge-requests")


def claim(out: Path, result: Path, plan: dict[str, Any]) -> None:
    """Write the plan into a new folder; refuse a folder whose plan is another one.

    Args:
        out: the folder.
        result: the file in it that must not be there without a plan.
        plan: everything that decides the result, as plain data.

    Raises:
        RunStateError: the folder holds something else.
    """
    path = out / "plan.json"
    if not path.exists():
        if result.exists():
            kind = result.stem
            raise RunStateError(
                f"{kind} of unknown origin are in the way", where=str(result), fix="move them"
            )
        # Only what a kill while the plan was written leaves may lie there: anything else is not ours.
        if out.is_dir() and any(not _ours(entry, path.name) for entry in out.iterdir()):
            raise RunStateError(
                "the folder holds other files and is not an evaluation",
                where=str(out),
                fix="name another folder",
            )
        write_json(path, plan)
        return
    found = read_json(path)
    other = [key for key in plan if not isinstance(found, dict) or found.get(key) != plan[key]]
    if other:
        raise RunStateError(
            f"the folder holds an evaluation with {_difference(found, plan, other[0])}",
            where=str(out),
            fix="give another folder, or remove this one",
        )


def _ours(entry: Path, plan: str) -> bool:
    return entry.name in LOGS or left_by_kill(entry, plan)


def _difference(found: Any, plan: dict[str, Any], key: str) -> str:
    """The part of the plan that differs; of a group of settings the first that does, with both values."""
    old, new = (found.get(key) if isinstance(found, dict) else None), plan[key]
    if isinstance(old, dict) and isinstance(new, dict):
        name = next(name for name in {**new, **old} if old.get(name) != new.get(name))
        return f"another {key[:-1]}: {name}={old.get(name)}, not {new.get(name)}"
    return f"another {key.replace('_', ' ')}"
