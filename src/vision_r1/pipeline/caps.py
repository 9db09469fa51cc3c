"""The completion caps of a schedule, chosen before RL from the cold start's own lengths."""

from __future__ import annotations

from typing import Any

from vision_r1.core.errors import ConfigError
from vision_r1.core.progress import Progress
from vision_r1.core.run import RunDirectory, Ticking
from vision_r1.core.seeds import derive_seed
from vision_r1.pipeline.config import GrpoStage, Recipe
from vision_r1.train.config import Quantile


def stage_caps(
    run: RunDirectory, recipe: Recipe, name: str, stage: GrpoStage, cold_start: str, progress: Progress
) -> dict[str, int]:
    """Cap of each schedule entry, in tokens; measured once and kept in the run.

    Lengths are sampled at the rollouts' temperature on validation problems, never on those of
    the results.
    """
    fixed = {
        entry.name: entry.max_completion_length
        for entry in stage.schedule
        if isinstance(entry.max_completion_length, int)
    }
    if len(fixed) == len(stage.schedule):
        return fixed
    unit = f"{name}_caps"
    record = run.done(unit)
    if record is None:
        watch = run.clock(unit)
        seed = derive_seed(recipe.seed, unit)
        summary = _measure(recipe, stage, cold_start, seed, Ticking(progress, watch))
        record = run.finish(unit, summary, watch.seconds())
    return {entry.name: int(record["summary"]["caps"][entry.name]) for entry in stage.schedule}


def _measure(
    recipe: Recipe, stage: GrpoStage, cold_start: str, seed: int, progress: Progress
) -> dict[str, Any]:
    from vision_r1.models.load import load_model
    from vision_r1.problems.load import load_problems
    from vision_r1.train.ptst import choose_cap, measure_lengths

    if recipe.data.validation is None:
        raise ConfigError(
            "missing, but a cap is a quantile of lengths",
            where="data.validation",
            fix="or give caps as numbers",
        )
    problems = load_problems(recipe.data.validation)[: stage.length_problems]
    loaded = load_model(cold_start, stage.precision)
    lengths = measure_lengths(
        loaded, problems, stage.length_cap, seed=seed, progress=progress, temperature=stage.temperature
    )
    caps = {
        entry.name: choose_cap(lengths, entry.max_completion_length)
        if isinstance(entry.max_completion_length, Quantile)
        else entry.max_completion_length
        for entry in stage.schedule
    }
    ordered = sorted(lengths)
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    quantiles = {str(q): ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in shares}
    cut = sum(length >= stage.length_cap for length in lengths) / len(lengths)
    return {"caps": caps, "lengths": {"n": len(lengths), "quantiles": quantiles, "at_cap": round(cut, 4)}}
