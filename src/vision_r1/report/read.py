"""Reading run directories as data: whatever is there is taken, whatever is damaged or absent is noted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_r1.core.config import parse_yaml
from vision_r1.core.errors import InputError
from vision_r1.core.files import read_json, read_jsonl

DEFAULT_STAGES = ("construct", "sft", "ptst_1", "ptst_2", "evaluate")
# A page shows far less than this of any text; the rest of a long completion need not be held in memory.
KEPT_CHARACTERS = 20_000
MAX_LOG_ROWS = 200_000
MAX_CONFIG_BYTES = 2**20

Row = dict[str, Any]


@dataclass(frozen=True)
class StageRecord:
    """One stage of a run, as far as it came.

    Attributes:
        name: of its folder.
        status: "done", "begun" (no `done.json` yet) or "absent".
        seconds: what it took; None unless done.
        summary: `summary.json`, or the summary in `done.json`.
        log: training log, one row a step, the last row of each step (a resumed stage logs some twice).
        samples: rollouts written while training.
    """

    name: str
    status: str
    seconds: float | None = None
    summary: Row = field(default_factory=dict)
    log: tuple[Row, ...] = ()
    samples: tuple[Row, ...] = ()

    @property
    def is_rl(self) -> bool:
        """Whether this is a reinforcement stage: its log has rewards."""
        return any("reward" in row for row in self.log) or "group_size" in self.summary


@dataclass(frozen=True)
class ConstructRecord:
    """The rows of data construction.

    Attributes:
        total: rows seen.
        reasons: dropped rows by reason.
        examples: the first kept row, then the first row of each drop reason.
    """

    total: int = 0
    kept: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: tuple[Row, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """A run directory.

    Attributes:
        root: the directory.
        info: `run.json`.
        config_text: `config.yaml` as it stands.
        config: the same as plain data; empty where it cannot be read.
        results: `results.json`; empty until the run has finished.
        stages: in order, absent ones included.
        traces: greedy evaluation rows by variant, then by problem id, in the order of the file.
        construct: what data construction did.
        events: rows of `events.jsonl`.
        notes: what could not be read.
    """

    root: Path
    info: Row
    config_text: str
    config: Row
    results: Row
    stages: tuple[StageRecord, ...]
    traces: dict[str, dict[str, Row]]
    construct: ConstructRecord
    events: tuple[Row, ...]
    notes: tuple[str, ...]

    def stage(self, name: str) -> StageRecord:
        """The stage called `name`; an absent one if there is none."""
        return next((stage for stage in self.stages if stage.name == name), StageRecord(name, "absent"))

    @property
    def rl_stages(self) -> tuple[StageRecord, ...]:
        """Reinforcement stages in order."""
        return tuple(stage for stage in self.stages if stage.is_rl)


def number(value: Any, *path: str) -> float | None:
    """The finite number at `path` of nested dicts, or None where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def table(value: Any, *path: str) -> Row:
    """The dict at `path` of nested dicts, or an empty one."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def interval(value: Any, key: str = "ci95") -> tuple[float, float] | None:
    """A (low, high) pair of finite numbers under `key`, or None."""
    pair = value.get(key) if isinstance(value, dict) else None
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return None
    low, high = number(pair[0]), number(pair[1])
    return (low, high) if low is not None and high is not None else None


def read_run(root: Path) -> RunRecord:
    """Read a run directory, complete or not.

    Raises:
        InputError: `root` is not a run directory at all.
    """
    if not root.is_dir():
        raise InputError("no such run directory", where=str(root))
    if not any((root / name).exists() for name in ("run.json", "config.yaml", "stages", "results.json")):
        raise InputError(
            "not a run directory", where=str(root), fix="name a folder that `vision-r1 run` has written"
        )
    notes: list[str] = []
    results = _object(root / "results.json", notes)
    config_text, config = _config(root / "config.yaml", notes)
    return RunRecord(
        root=root,
        info=_object(root / "run.json", notes),
        config_text=config_text,
        config=config,
        results=results,
        stages=tuple(_stage(root, name, notes) for name in _stage_names(root, config)),
        traces=_traces(root / "stages" / "evaluate", table(results, "variants"), notes),
        construct=_construct(root / "stages" / "construct" / "traces.jsonl", notes),
        events=tuple(_rows(root / "events.jsonl", notes)),
        notes=tuple(notes),
    )


def _object(path: Path, notes: list[str]) -> Row:
    if not path.exists():
        return {}
    try:
        value = read_json(path)
    except InputError as error:
        notes.append(error.line().replace(str(path), path.name))
        return {}
    return value if isinstance(value, dict) else {}


def _rows(path: Path, notes: list[str]) -> Iterator[Row]:
    """The rows up to the first that cannot be read: a kill may leave half a line at the end."""
    if not path.is_file():
        return
    try:
        for _, row in read_jsonl(path):
            yield row
    except InputError as error:
        notes.append(error.line().replace(str(path), f"{path.parent.name}/{path.name}"))


def _config(path: Path, notes: list[str]) -> tuple[str, Row]:
    try:
        text = path.read_bytes()[:MAX_CONFIG_BYTES].decode("utf-8", errors="replace")
        return text, parse_yaml(text, path.name)
    except FileNotFoundError:
        return "", {}
    except InputError as error:
        notes.append(error.line())
        return text, {}


def _stage_names(root: Path, config: Row) -> list[str]:
    """Stage names in order: the usual ones that the config does not lack, then any other folder."""
    folder = root / "stages"
    found = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found = [name for name in found if not name.startswith(".")]
    schedule = _schedule(config)
    expected = ["construct", "sft", *schedule, "evaluate"] if schedule else list(DEFAULT_STAGES)
    # What else a run makes (the caps of RL, measured on the cold start) lies between SFT and RL.
    others = [name for name in found if name not in expected]
    return [*expected[:2], *others, *expected[2:]]


def _schedule(node: Any) -> list[str]:
    """Names of the PTST stages in a config: the first `schedule` list of named stages in it."""
    if isinstance(node, dict):
        schedule = node.get("schedule")
        if isinstance(schedule, list) and all(isinstance(s, dict) and "name" in s for s in schedule):
            names = [str(stage["name"]) for stage in schedule]
            return [name if "/" not in name else name.rsplit("/", 1)[1] for name in names]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return next((names for child in children if (names := _schedule(child))), [])


def _stage(root: Path, name: str, notes: list[str]) -> StageRecord:
    folder = root / "stages" / name
    if not folder.is_dir():
        return StageRecord(name, "absent")
    done = _object(folder / "done.json", notes)
    log: dict[float, Row] = {}
    for row in _rows(folder / "log.jsonl", notes):
        step = number(row, "step")
        if step is not None and len(log) < MAX_LOG_ROWS:
            log[step] = {**log.get(step, {}), **row}
    return StageRecord(
        name=name,
        status="done" if done else "begun",
        seconds=number(done, "seconds"),
        summary=_object(folder / "summary.json", notes) or table(done, "summary"),
        log=tuple(log[step] for step in sorted(log)),
        samples=tuple(_short(row) for row in _rows(folder / "samples.jsonl", notes)),
    )


def _short(row: Row) -> Row:
    return {k: v[:KEPT_CHARACTERS] if isinstance(v, str) else v for k, v in row.items()}


def _traces(folder: Path, variants: Row, notes: list[str]) -> dict[str, dict[str, Row]]:
    """Greedy rows by variant; sampled ones only count in `results.json`.

    Folders of other problem sets ("base-larger") are passed over.
    """
    found: dict[str, dict[str, Row]] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.glob("*/traces.jsonl")):
        name = path.parent.name
        if name not in variants if variants else "-" in name:
            continue
        rows = found.setdefault(name, {})
        for row in _rows(path, notes):
            if row.get("decoding") == "greedy":
                rows.setdefault(str(row.get("problem_id")), _short(row))
    return found


def _construct(path: Path, notes: list[str]) -> ConstructRecord:
    total = kept = 0
    reasons: Counter[str] = Counter()
    first_kept: list[Row] = []
    first_dropped: dict[str, Row] = {}
    for row in _rows(path, notes):
        total += 1
        if row.get("kept") is True:
            kept += 1
            if len(first_kept) < 1:
                first_kept.append(_short(row))
            continue
        reason = str(row.get("reason") or row.get("rule") or "unknown")
        reasons[reason] += 1
        first_dropped.setdefault(reason, _short(row))
    return ConstructRecord(total, kept, dict(reasons.most_common()), (*first_kept, *first_dropped.values()))
