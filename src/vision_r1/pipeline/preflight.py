"""Bad input is found before anything trains: data, models and rewards of the stages that will run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vision_r1.core.errors import ConfigError
from vision_r1.core.progress import Progress, Silent
from vision_r1.core.seeds import derive_seed
from vision_r1.pipeline.config import ConstructStage, EvaluateStage, GrpoStage, Recipe, RowsStage, SftStage
from vision_r1.pipeline.evaluation import common_cap
from vision_r1.pipeline.plan import plan, sources
from vision_r1.problems.config import ProblemsConfig
from vision_r1.train.config import Quantile


def preflight(recipe: Recipe, progress: Progress | None = None) -> None:
    """Open everything that the running stages will read, and keep none of it.

    Weights are not read, and images are not put through the processor.

    Args:
        recipe: what will run.
        progress: told how many problems each section holds, and how many of them have a picture.

    Raises:
        InputError: what the stage itself would raise, hours later.
    """
    data = recipe.data
    models, needed = [recipe.model], dict[str, ProblemsConfig | None]()
    running = [p.name for p in plan(recipe) if not p.skip]
    constructs = any(isinstance(recipe.stages[name], RowsStage) for name in running)
    for name in running:
        stage, given = recipe.stages[name], sources(recipe, name)
        models += [given["model"]] if "model" in given else []
        if isinstance(stage, ConstructStage):
            models.append(stage.mllm)
            needed["cold_start"] = data.cold_start
        elif isinstance(stage, SftStage):
            _check_sft(stage, name)
            if "rows" in given or not constructs:
                _check_rows(recipe, name, stage, given.get("rows"))
        elif isinstance(stage, GrpoStage):
            _check_grpo(stage, name)
            needed |= {"rl": data.rl, "validation": data.validation if stage.measures_caps else None}
        elif isinstance(stage, EvaluateStage):
            common_cap(stage, _least_caps(recipe, running))
            needed |= {"test": data.test} | ({"rl": data.rl} if stage.image_use else {})
            needed |= {f"generalisation.{key}": section for key, section in data.generalisation.items()}
    _check_models(models)
    sections = {key: section for key, section in needed.items() if section is not None}
    _check_problems(sections, progress or Silent())


def _least_caps(recipe: Recipe, running: Sequence[str]) -> dict[str, int]:
    """The cap of each schedule entry that will run; of one that is measured first, the least it can be."""
    stages = [recipe.stages[name] for name in running]
    return {
        entry.name: cap.at_least if isinstance(cap := entry.max_completion_length, Quantile) else cap
        for stage in stages
        if isinstance(stage, GrpoStage)
        for entry in stage.schedule
    }


def _check_sft(stage: SftStage, name: str) -> None:
    from vision_r1.train.trl_config import sft_config

    with _inside(f"stages.{name}"):
        sft_config(stage, 1, Path(), 0)


def _check_grpo(stage: GrpoStage, name: str) -> None:
    from vision_r1.grading.user import load_reward
    from vision_r1.train.trl_config import grpo_config

    load_reward(stage.reward)
    for entry in stage.schedule:
        with _inside(f"stages.{name}"):
            grpo_config(stage, entry, 1, Path(), 0)


@contextmanager
def _inside(key: str) -> Iterator[None]:
    """Name the place of a setting from the root of the recipe; say nothing else."""
    from vision_r1.models.quiet import quiet_transformers

    try:
        with quiet_transformers():
            yield
    except ConfigError as error:
        raise ConfigError(error.what, where=f"{key}.{error.where}", fix=error.fix) from None


def _check_rows(recipe: Recipe, name: str, stage: SftStage, given: str | None) -> None:
    from vision_r1.pipeline.rows import section_rows, split_rows, stored_rows

    rows = stored_rows(Path(given)) if given else section_rows(recipe.data)
    split_rows(rows, stage.validation_share, derive_seed(recipe.seed, name))


def _check_models(references: Sequence[str]) -> None:
    from vision_r1.models.load import check_model
    from vision_r1.models.place import resolve
    from vision_r1.problems.contamination import read_record

    for reference in dict.fromkeys(references):
        check_model(reference)
        read_record(Path(resolve(reference)))


def _check_problems(sections: Mapping[str, ProblemsConfig], progress: Progress) -> None:
    """Load each section once; every question can be asked, and some gold of the test be reached."""
    from vision_r1.evals.golds import ungradeable
    from vision_r1.models.chat import prompt_messages
    from vision_r1.problems.load import load_problems

    for key, section in sections.items():
        with _inside(f"data.{key}"):
            problems = load_problems(section)
        pictured = sum(bool(problem.media) for problem in problems)
        counts = f"{len(problems):,} problems, {f'{pictured:,}' if pictured else 'NONE'} with a picture"
        progress.say(f"data.{key}: {counts}")
        for problem in problems:
            prompt_messages(problem.question, len(problem.media), f"data.{key}, problem {problem.id}")
        if key == "test" or key.startswith("generalisation."):
            ungradeable(problems)
