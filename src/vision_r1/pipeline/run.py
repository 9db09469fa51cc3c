"""Run a recipe in a run directory: stage after stage, each finished one never again.

Heavy imports happen when a stage runs. Stages hand over through files only: a finished stage's
folder holds its artefact and, written last, `done.json`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_r1.core.config import to_plain, to_yaml
from vision_r1.core.errors import CollapseError, InputError, RunStateError
from vision_r1.core.files import atomic_write_text, read_json, reported_writes, write_json
from vision_r1.core.progress import Progress, Silent
from vision_r1.core.run import RunDirectory, Ticking, exclusive, open_run, versions
from vision_r1.core.seeds import derive_seed
from vision_r1.pipeline.config import (
    ConstructStage,
    EvaluateStage,
    GrpoStage,
    Recipe,
    SftStage,
    TeachersStage,
)
from vision_r1.pipeline.paths import here, input_digests, stored_recipe
from vision_r1.pipeline.plan import check_continuation, check_data, plan, sources
from vision_r1.pipeline.preflight import preflight
from vision_r1.problems.problem import Problem
from vision_r1.train.config import PtstStage


@dataclass
class State:
    """What one stage hands to the next.

    Attributes:
        base: the recipe's base model.
        model: the newest model.
        rows: the newest rows file, if any was made.
        variants: name -> model reference, in order, for the evaluation.
        caps: completion cap of each schedule entry, in tokens.
    """

    base: str
    model: str
    rows: Path | None = None
    variants: dict[str, str] = field(default_factory=dict)
    caps: dict[str, int] = field(default_factory=dict)


def run_recipe(recipe: Recipe, out: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Run `recipe` in the directory `out`, continuing whatever is there.

    Returns:
        The results, as in `results.json`.

    Raises:
        RunStateError: `out` is something else, or a run of another recipe or with other dials.
        InputError: data, images or models that cannot be used.
        CollapseError: training cannot be right any more; the last good model is kept.
    """
    progress, recipe = progress or Silent(), here(recipe)
    check_data(recipe)
    run = open_run(out)
    if run.identity() is None:
        preflight(recipe, progress)
    with exclusive(run), reported_writes(out):
        finished = _prepare(run, recipe)
        _set_threads(recipe)
        if finished and (results := _readable_results(run)):
            progress.say(f"{out}: finished already, nothing to do")
            return results
        _set_sharing(recipe)
        state = State(recipe.model, recipe.model)
        for planned in plan(recipe):
            if planned.skip:
                progress.say(f"{planned.name}: not needed, {planned.skip}")
                continue
            _stage(run, recipe, planned.name, state, progress)
        return _write_results(run, recipe, state)


def _readable_results(run: RunDirectory) -> dict[str, Any] | None:
    """The results of a finished run; None where there are none, or none that can be read."""
    try:
        found = read_json(run.results) if run.results.exists() else None
    except InputError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("variants"), dict) else None


def final_model(recipe: Recipe, out: Path) -> Path | None:
    """The folder of the last model that a run trained; None where it trained none."""
    folders = [RunDirectory(out).stage(unit) / "model" for unit in _training_units(recipe)]
    return next((folder for folder in reversed(folders) if folder.is_dir()), None)


def _prepare(run: RunDirectory, recipe: Recipe) -> bool:
    """Create the run or check that it may be continued; True where every stage is done."""
    if run.identity() is None:
        identity: dict[str, Any] = {"recipe": recipe.recipe, "scale": recipe.scale, "seed": recipe.seed}
        identity["inputs"] = input_digests(recipe)
        run.create(to_yaml(recipe), identity)
        run.event("started", versions=versions())
        return False
    old = to_plain(here(stored_recipe(run)))
    finished = {p.parent.name for p in run.path.glob("stages/*/done.json")}
    changes = check_continuation(old, to_plain(recipe), finished, str(run.path))
    for key, (before, after) in changes.items():
        run.event("dial changed", key=key, before=before, after=after)
    if changes:
        atomic_write_text(run.config, to_yaml(recipe))
    names = {name for p in plan(recipe) if not p.skip for name in _unit_names(recipe, p.name)}
    _check_models(run, recipe, finished)
    if not names <= finished:
        _check_inputs(run, recipe)
        run.event("continued", finished=sorted(finished), versions=versions())
    return names <= finished and not changes


def _check_models(run: RunDirectory, recipe: Recipe, finished: set[str]) -> None:
    """Refuse to go on from a finished training stage whose model is gone."""
    for unit in _training_units(recipe):
        folder = run.stage(unit)
        if unit in finished and not (folder / "model" / "config.json").is_file():
            fix = f"remove {folder}: the stage is then made again"
            raise RunStateError("the stage is finished, but its model is gone", where=str(folder), fix=fix)


def _check_inputs(run: RunDirectory, recipe: Recipe) -> None:
    """Refuse changed data files; a changed reward file is a changed dial, and put on record."""
    identity = run.identity() or {}
    old, new = identity.get("inputs", {}), input_digests(recipe)
    for key in sorted(old.keys() & new.keys()):
        if old[key] == new[key]:
            continue
        if not key.endswith(".reward"):
            fix = "put it back as it was, or name another --out"
            raise RunStateError("its file has changed since the run was started", where=key, fix=fix)
        run.event("dial changed", key=f"{key} (the file's text)", before=old[key], after=new[key])
        write_json(run.path / "run.json", {**identity, "inputs": new})


def _training_units(recipe: Recipe) -> list[str]:
    """The folders of the stages that train a model, in order."""
    return [
        unit
        for name, stage in recipe.stages.items()
        if isinstance(stage, SftStage | GrpoStage)
        for unit in _unit_names(recipe, name)
    ]


def _unit_names(recipe: Recipe, name: str) -> list[str]:
    stage = recipe.stages[name]
    return [entry.name for entry in stage.schedule] if isinstance(stage, GrpoStage) else [name]


def _set_threads(recipe: Recipe) -> None:
    if recipe.threads is not None:
        import torch

        torch.set_num_threads(recipe.threads)


def _set_sharing(recipe: Recipe) -> None:
    from vision_r1.models.packing import Sharing

    Sharing.on = recipe.share_prompts


def _stage(run: RunDirectory, recipe: Recipe, name: str, state: State, progress: Progress) -> None:
    stage = recipe.stages[name]
    given = sources(recipe, name)
    if "model" in given:
        state.model = given["model"]
    if "rows" in given:
        state.rows = Path(given["rows"])
    if isinstance(stage, TeachersStage):
        _teachers(run, name, stage, state, progress)
    elif isinstance(stage, ConstructStage):
        _construct(run, recipe, name, stage, state, progress)
    elif isinstance(stage, SftStage):
        _sft(run, recipe, name, stage, state, progress)
    elif isinstance(stage, GrpoStage):
        _grpo(run, recipe, name, stage, state, progress)
    elif isinstance(stage, EvaluateStage):
        if "model" in given:
            state.variants[recipe.final] = given["model"]
        from vision_r1.pipeline.evaluation import evaluate_stage

        evaluate_stage(run, recipe, name, stage, state.base, state.variants, state.caps, progress)


def _construct(
    run: RunDirectory, recipe: Recipe, name: str, stage: ConstructStage, state: State, progress: Progress
) -> None:
    if run.done(name) is None:
        from vision_r1.construct.run import run_construct
        from vision_r1.problems.load import load_problems

        assert recipe.data.cold_start is not None  # noqa: S101 - check_data has refused it already
        watch = run.clock(name)
        problems = load_problems(recipe.data.cold_start)
        seed = derive_seed(recipe.seed, name)
        ticking = Ticking(progress, watch)
        summary = run_construct(stage, problems, run.stage(name), seed=seed, progress=ticking)
        run.finish(name, summary, watch.seconds())
    else:
        progress.say(f"{name}: done already")
    state.rows = run.stage(name) / "vision_r1_cold.json"


def _teachers(run: RunDirectory, name: str, stage: TeachersStage, state: State, progress: Progress) -> None:
    out = run.stage(name)
    if run.done(name) is None:
        from vision_r1.construct.build import Scope, check_kept, construct

        watch = run.clock(name)
        summary = construct(stage, out, Scope(), Ticking(progress, watch))
        check_kept(summary, out)
        run.finish(name, summary, watch.seconds())
    else:
        progress.say(f"{name}: done already")
    state.rows = out / "data"


def _sft(
    run: RunDirectory, recipe: Recipe, name: str, stage: SftStage, state: State, progress: Progress
) -> None:
    if run.done(name) is None:
        from vision_r1.pipeline.evaluation import check_image_use
        from vision_r1.pipeline.rows import section_rows, split_rows, stored_rows
        from vision_r1.train.sft import run_sft

        watch = run.clock(name)
        rows = stored_rows(state.rows) if state.rows else section_rows(recipe.data)
        training, validation = split_rows(rows, stage.validation_share, derive_seed(recipe.seed, name))
        check_image_use(state.model, [row.as_problem() for row in training])
        seed = derive_seed(recipe.seed, name, "train")
        summary = run_sft(
            stage, state.model, training, validation, run.stage(name),
            seed=seed, name=name, progress=Ticking(progress, watch),
        )  # fmt: skip
        _finish_training(run, name, summary, watch.seconds())
    else:
        progress.say(f"{name}: done already")
    state.model = str(run.stage(name) / "model")
    state.variants["cold_start"] = state.model


def _finish_training(run: RunDirectory, name: str, summary: dict[str, Any], seconds: float) -> None:
    run.finish(name, summary, seconds)
    # Checkpoints are only for a killed stage; the finished one is its model.
    shutil.rmtree(run.stage(name) / "work", ignore_errors=True)


def _grpo(
    run: RunDirectory, recipe: Recipe, name: str, stage: GrpoStage, state: State, progress: Progress
) -> None:
    from vision_r1.pipeline.caps import stage_caps

    state.variants.setdefault("cold_start", state.model)
    cold_start = state.model
    state.caps = stage_caps(run, recipe, name, stage, cold_start, progress)
    problems: list[Problem] = []
    for entry in stage.schedule:
        if run.done(entry.name) is not None:
            progress.say(f"{entry.name}: done already")
        else:
            problems = problems or _rl_problems(recipe)
            reference = {"stage_start": state.model, "cold_start": cold_start, "none": None}[entry.reference]
            _train_entry(run, recipe, stage, entry, state, reference, problems, progress)
        state.model = str(run.stage(entry.name) / "model")
        state.variants[entry.name] = state.model
    state.variants[recipe.final] = state.variants.pop(stage.schedule[-1].name)


def _rl_problems(recipe: Recipe) -> list[Problem]:
    from vision_r1.problems.load import load_problems

    assert recipe.data.rl is not None  # noqa: S101 - check_data has refused it already
    return load_problems(recipe.data.rl)


def _train_entry(
    run: RunDirectory,
    recipe: Recipe,
    stage: GrpoStage,
    entry: PtstStage,
    state: State,
    reference: str | None,
    problems: Sequence[Problem],
    progress: Progress,
) -> None:
    from vision_r1.pipeline.evaluation import check_image_use
    from vision_r1.train.ptst import run_ptst_stage

    watch = run.clock(entry.name)
    check_image_use(state.model, problems)
    try:
        summary = run_ptst_stage(
            stage,
            entry,
            state.caps[entry.name],
            state.model,
            reference,
            problems,
            run.stage(entry.name),
            seed=derive_seed(recipe.seed, entry.name),
            progress=Ticking(progress, watch),
        )
    except CollapseError as error:
        run.event("collapsed", stage=entry.name, reason=error.what)
        raise
    _finish_training(run, entry.name, summary, watch.seconds())


def _write_results(run: RunDirectory, recipe: Recipe, state: State) -> dict[str, Any]:
    """Collect the stages' records into results.json; an equal file is left as it is."""
    records = {path.parent.name: read_json(path) for path in sorted(run.path.glob("stages/*/done.json"))}
    evaluated = next((n for n, s in recipe.stages.items() if isinstance(s, EvaluateStage)), None)
    measured = records[evaluated]["summary"] if evaluated in records else {}
    results: dict[str, Any] = {
        "variants": measured.get("variants", {}),
        "generalisation": measured.get("generalisation", {}),
        "image_use": measured.get("image_use", {}),
        "construct": records.get("construct", {}).get("summary", {}),
        "caps": state.caps,
        "seconds": {name: record["seconds"] for name, record in records.items()},
        "peak_rss_mb": max((record["peak_rss_mb"] for record in records.values()), default=0.0),
        "seed": recipe.seed,
        "versions": (run.identity() or {}).get("versions", {}),
    }
    if _readable_results(run) != results:
        write_json(run.results, results)
        run.event("finished")
    return results
