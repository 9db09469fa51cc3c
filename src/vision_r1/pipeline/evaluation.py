"""The evaluation stage: every model of a run on the same held-out problems, under one cap."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_r1.core.config import to_plain
from vision_r1.core.errors import ConfigError
from vision_r1.core.files import atomic_write_bytes, write_json
from vision_r1.core.progress import Progress
from vision_r1.core.run import RunDirectory, Ticking
from vision_r1.core.seeds import derive_seed
from vision_r1.evals.config import DEFAULT_CAP, EvaluateSettings
from vision_r1.pipeline.config import EvaluateStage, Recipe
from vision_r1.problems.problem import Problem

_SHOWN = 120  # pictures kept for the report's sample traces


def common_cap(settings: EvaluateSettings, caps: Mapping[str, int]) -> int:
    """One cap for all variants: at least twice the last training stage's.

    Raises:
        ConfigError: a smaller one is asked for, which would measure the cap and not the model.
    """
    last = list(caps.values())[-1] if caps else None
    if settings.max_new_tokens is None:
        return DEFAULT_CAP if last is None else 2 * last
    if last is not None and settings.max_new_tokens < 2 * last:
        raise ConfigError(
            f"{settings.max_new_tokens} is below twice the last stage's cap of {last} tokens",
            where="stages.evaluate.max_new_tokens",
            fix="leave it out, or raise it",
        )
    return settings.max_new_tokens


def check_image_use(model: str, problems: Sequence[Problem]) -> None:
    """Stop before training whose images would not reach the model; random states stay as they are.

    Args:
        model: what training starts from.
        problems: what it will be asked; a few of them are probed.

    Raises:
        InputError: the model or a probed problem cannot be used.
        ImageUseError: see `evals.image_use.check_images_reach_model`.
    """
    import torch

    from vision_r1.evals.image_use import check_images_reach_model
    from vision_r1.models.load import load_model

    with torch.random.fork_rng():
        check_images_reach_model(load_model(model), problems)


def evaluate_stage(
    run: RunDirectory,
    recipe: Recipe,
    name: str,
    stage: EvaluateStage,
    base: str,
    variants: Mapping[str, str],
    caps: Mapping[str, int],
    progress: Progress,
) -> None:
    """Measure base, base asked to think, and each model of the run; then generalisation and image use."""
    if run.done(name) is not None:
        progress.say(f"{name}: done already")
        return
    from vision_r1.evals.image_use import check_images_reach_model, evaluate_image_use
    from vision_r1.evals.runner import evaluate_variant
    from vision_r1.models.load import load_model
    from vision_r1.problems.load import load_problems
    from vision_r1.rollout.engine import InProcessEngine

    watch = run.clock(name)
    progress = Ticking(progress, watch)
    folder, cap, seed = run.stage(name), common_cap(stage, caps), derive_seed(recipe.seed, name)
    if recipe.data.test is None:
        raise ConfigError("missing, but the stage needs problems", where="data.test")
    problems = load_problems(recipe.data.test)
    keep_pictures(problems[:_SHOWN], folder / "images")
    further = {key: load_problems(config) for key, config in recipe.data.generalisation.items()}
    asked = {"base": (base, "direct"), "base_think": (base, "think")}
    asked |= {variant: (model, "direct") for variant, model in variants.items()}
    greedy = stage.model_copy(update={"sampled_problems": 0})
    summary: dict[str, Any] = {"cap": cap, "variants": {}, "generalisation": {key: {} for key in further}}
    final = list(variants)[-1] if variants else "base"
    for variant, (model, prompt) in asked.items():
        loaded = load_model(model)
        check_images_reach_model(loaded, problems)
        engine = InProcessEngine(loaded)
        options: dict[str, Any] = {"prompt": prompt, "seed": seed, "progress": progress}
        block = evaluate_variant(engine, problems, stage, cap, folder / variant, name=variant, **options)
        summary["variants"][variant] = block
        if variant in ("base", "cold_start", final):
            for key, more in further.items():
                place = folder / f"{variant}-{key}"
                found = evaluate_variant(
                    engine, more, greedy, cap, place, name=f"{variant}, {key}", **options
                )
                summary["generalisation"][key][variant] = {k: found[k] for k in ("accuracy", "ci95", "n")}
        if variant == final and stage.image_use:
            training = load_problems(recipe.data.rl) if recipe.data.rl is not None else []
            summary["image_use"] = evaluate_image_use(
                engine, problems, stage, cap, folder / "image_use",
                train_problems=training, seed=seed, progress=progress,
            )  # fmt: skip
    summary["settings"] = to_plain(stage)
    write_json(folder / "summary.json", summary)
    run.finish(name, summary, watch.seconds())


def keep_pictures(problems: Sequence[Problem], folder: Path) -> None:
    """Write the pictures of the problems that the report may show, by content key."""
    for problem in problems:
        for media in problem.media:
            path = folder / f"{media.key}.png"
            if not path.exists():
                buffer = io.BytesIO()
                media.load().save(buffer, format="PNG")
                atomic_write_bytes(path, buffer.getvalue())
