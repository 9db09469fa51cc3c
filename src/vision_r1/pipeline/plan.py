"""Which stages run and which are not needed, from a recipe alone; and what changed between two recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vision_r1.core.errors import ConfigError, InputError, RunStateError
from vision_r1.core.files import is_file, is_folder, user_path
from vision_r1.pipeline.config import ConstructStage, EvaluateStage, GrpoStage, Recipe, RowsStage, SftStage
from vision_r1.train.config import CHANGEABLE

ArtefactKind = Literal["model", "rows"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage of a recipe and whether it runs.

    Attributes:
        name: its key in the recipe.
        skip: why it does not run, or "" where it does.
    """

    name: str
    skip: str = ""


ROW_FILES = (".json", ".jsonl", ".parquet")


def artefact(reference: str, where: str) -> tuple[ArtefactKind, str]:
    """What a `from` names, and the place itself: a model directory or hub id, or a rows file.

    A stage folder of another run stands for what that stage made.

    Raises:
        InputError: the path does not exist or holds neither.
    """
    if reference.startswith("tiny:"):
        return "model", reference
    path = user_path(reference)
    if is_file(path):
        if path.suffix not in ROW_FILES:
            fix = f"rows are {', '.join(ROW_FILES)}; questions and answers belong in a data section"
            raise InputError(
                f"a {path.suffix or 'nameless'} file holds no rows", where=f"{where}: {path}", fix=fix
            )
        return "rows", str(path)
    if is_folder(path):
        for candidate in (path, path / "model"):
            if (candidate / "config.json").exists():
                return "model", str(candidate)
        if (path / "rows").is_dir() and (path / "data").is_dir():
            return "rows", str(path / "data")
        for name in ("vision_r1_cold.json", "rows.jsonl"):
            if (path / name).exists():
                return "rows", str(path / name)
        raise InputError("holds neither a model nor rows", where=f"{where}: {path}")
    if reference.count("/") == 1 and not reference.startswith((".", "/", "~")):
        return "model", reference
    raise InputError(
        "no such artefact", where=f"{where}: {reference}", fix="name a folder, a file or a hub id"
    )


def sources(recipe: Recipe, name: str) -> dict[ArtefactKind, str]:
    """The artefacts of a stage's `from`, by kind.

    Raises:
        ConfigError: two of one kind, or an artefact given to a stage that takes none of its kind.
    """
    found: dict[ArtefactKind, str] = {}
    key = f"stages.{name}.from"
    for reference in recipe.stages[name].sources:
        kind, place = artefact(reference, key)
        if kind in found:
            raise ConfigError(f"two artefacts that are both a {kind}", where=key)
        if isinstance(recipe.stages[name], RowsStage):
            raise ConfigError(
                "a construct stage starts from problems, not from an artefact",
                where=key,
                fix=f"its model is stages.{name}.mllm",
            )
        if kind == "rows" and not isinstance(recipe.stages[name], SftStage):
            raise ConfigError("only an sft stage starts from rows", where=key)
        found[kind] = place
    return found


def plan(recipe: Recipe) -> list[Planned]:
    """Walk the stages backwards from what is wanted; what nobody needs is skipped with a reason.

    A model given to `evaluate` is the one to measure, so nothing need be trained before it.
    """
    planned: list[Planned] = []
    model_wanted, rows_wanted = True, True
    reason = {"model": "", "rows": ""}
    for name in reversed(recipe.stages):
        stage = recipe.stages[name]
        if isinstance(stage, EvaluateStage):
            given = sources(recipe, name)
            if "model" in given and all(isinstance(recipe.stages[p.name], EvaluateStage) for p in planned):
                model_wanted, reason["model"] = False, f"{name} measures {given['model']}"
                rows_wanted, reason["rows"] = False, reason["model"]
            planned.append(Planned(name))
            continue
        makes: ArtefactKind = "rows" if isinstance(stage, RowsStage) else "model"
        if not (rows_wanted if makes == "rows" else model_wanted):
            planned.append(Planned(name, reason[makes]))
            continue
        planned.append(Planned(name))
        given = sources(recipe, name)
        if "model" in given:
            model_wanted, reason["model"] = False, f"{name} starts from {given['model']}"
            if isinstance(stage, GrpoStage):
                rows_wanted, reason["rows"] = False, reason["model"]
        if "rows" in given:
            rows_wanted, reason["rows"] = False, f"{name} starts from {given['rows']}"
    return planned[::-1]


def check_data(recipe: Recipe) -> None:
    """Refuse a recipe whose running stages lack their data section.

    Raises:
        ConfigError: naming the section.
    """
    data = recipe.data
    stages = [recipe.stages[p.name] for p in plan(recipe) if not p.skip]
    constructs = any(isinstance(stage, RowsStage) for stage in stages)
    for p in plan(recipe):
        stage = recipe.stages[p.name]
        if p.skip:
            continue
        if isinstance(stage, ConstructStage) and data.cold_start is None:
            raise ConfigError(
                "missing, but the stage needs problems", where=f"data.cold_start (for {p.name})"
            )
        if (
            isinstance(stage, SftStage)
            and not constructs
            and data.sft is None
            and "rows" not in sources(recipe, p.name)
        ):
            raise ConfigError(
                "no rows to train on", where=f"stages.{p.name}", fix="set data.sft, or stages.sft.from=ROWS"
            )
        if isinstance(stage, GrpoStage) and data.rl is None:
            raise ConfigError("missing, but the stage needs problems", where=f"data.rl (for {p.name})")
        if isinstance(stage, GrpoStage) and stage.measures_caps and data.validation is None:
            raise ConfigError(
                "missing, but a cap is a quantile of lengths",
                where=f"data.validation (for {p.name})",
                fix="or give caps as numbers",
            )
        if isinstance(stage, EvaluateStage) and data.test is None:
            raise ConfigError("missing, but the stage needs problems", where=f"data.test (for {p.name})")


def changed_dials(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
    """Leaves that differ between two plain configs: dotted key -> (old, new)."""
    changes: dict[str, tuple[Any, Any]] = {}
    for key in [*old, *(k for k in new if k not in old)]:
        a, b, path = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            a, b = dict(enumerate(a)), dict(enumerate(b))
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            changes |= changed_dials(
                {str(k): v for k, v in a.items()}, {str(k): v for k, v in b.items()}, f"{path}."
            )
        elif a != b:
            changes[path] = (a, b)
    return changes


def check_continuation(
    old: Mapping[str, Any], new: Mapping[str, Any], finished: set[str], where: str
) -> dict[str, tuple[Any, Any]]:
    """The dials that a continued run changes, all from the explicit list.

    Args:
        old: the run's recipe as plain data.
        new: what is asked for now.
        finished: names of stages (and of schedule entries) that are done.
        where: the run directory, for the message.

    Raises:
        RunStateError: another recipe, a dial that may not change, or one of a finished stage.
    """
    if old.get("recipe") != new.get("recipe") or old.get("scale") != new.get("scale"):
        theirs = f"{old.get('recipe')} at {old.get('scale')}"
        raise RunStateError(f"is a run of {theirs}", where=where, fix="name another --out")
    changes = changed_dials(old, new)
    for key, (before, after) in changes.items():
        parts = key.split(".")
        if parts[0] != "stages" or not any(part in CHANGEABLE for part in parts[2:]):
            raise RunStateError(
                f"{key} was {before!r} and is now {after!r}; a run cannot be continued with that changed",
                where=where,
                fix=f"name another --out; changeable: {', '.join(CHANGEABLE)}",
            )
        owners = _owners(new, parts)
        if owners <= finished:
            raise RunStateError(
                f"{key} belongs to {', '.join(sorted(owners))}, finished already",
                where=where,
                fix="name another --out",
            )
    return changes


def _owners(config: Mapping[str, Any], parts: list[str]) -> set[str]:
    """What a dotted key belongs to, by the names that finished work has: a stage, or schedule entries."""
    schedule = config["stages"][parts[1]].get("schedule")
    if schedule is None:
        return {parts[1]}
    entries = [schedule[int(parts[3])]] if parts[2] == "schedule" and len(parts) > 3 else schedule
    return {str(entry["name"]) for entry in entries}
