"""Bad input is found before anything trains: data, models and rewards of the stages that will run."""

from __future__ import annotations

from pathlib import Path

from vision_r1.core.errors import InputError
from vision_r1.core.seeds import derive_seed
from vision_r1.pipeline.config import ConstructStage, EvaluateStage, GrpoStage, Recipe, SftStage
from vision_r1.pipeline.plan import plan, sources
from vision_r1.problems.config import ProblemsConfig
from vision_r1.train.config import Quantile


def preflight(recipe: Recipe) -> None:
    """Open everything that the running stages will read, and keep none of it.

    Models on the hub are not asked for; weights are not loaded.

    Raises:
        InputError: what the stage itself would raise, hours later.
    """
    from vision_r1.grading.user import load_reward
    from vision_r1.problems.load import load_problems

    data = recipe.data
    models, needed = [recipe.model], list[ProblemsConfig | None]()
    running = [p.name for p in plan(recipe) if not p.skip]
    constructs = any(isinstance(recipe.stages[name], ConstructStage) for name in running)
    for name in running:
        stage, given = recipe.stages[name], sources(recipe, name)
        models += [given["model"]] if "model" in given else []
        if isinstance(stage, ConstructStage):
            models.append(stage.mllm)
            needed.append(data.cold_start)
        elif isinstance(stage, SftStage):
            if "rows" in given or not constructs:
                _check_rows(recipe, name, stage, given.get("rows"))
        elif isinstance(stage, GrpoStage):
            load_reward(stage.reward)
            measured = any(isinstance(entry.max_completion_length, Quantile) for entry in stage.schedule)
            needed += [data.rl, data.validation if measured else None]
        elif isinstance(stage, EvaluateStage):
            needed += [data.test, *data.generalisation.values(), data.rl if stage.image_use else None]
    for model in dict.fromkeys(models):
        _check_model(model)
    for section in {config.model_dump_json(): config for config in needed if config is not None}.values():
        load_problems(section)


def _check_rows(recipe: Recipe, name: str, stage: SftStage, given: str | None) -> None:
    from vision_r1.pipeline.rows import rows_file, section_rows, split_rows
    from vision_r1.problems.chat import load_chat_rows

    rows = load_chat_rows(rows_file(Path(given))) if given else section_rows(recipe.data)
    split_rows(rows, stage.validation_share, derive_seed(recipe.seed, name))


def _check_model(reference: str) -> None:
    from vision_r1.models.load import load_processor, resolve

    place = Path(resolve(reference))
    if (
        not place.exists()
        and not reference.startswith(("tiny:", "/", ".", "~"))
        and reference.count("/") == 1
    ):
        return  # a hub id
    if place.is_dir() and not (place / "config.json").exists():
        raise InputError("model directory without config.json", where=str(place))
    load_processor(reference)
