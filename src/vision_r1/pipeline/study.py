"""Control arms of a finished run: what a sceptic would say explains the gain, run and compared in pairs.

    vision-r1 study controls RUN

`more_sft` spends the RL seconds on more SFT: from the cold start, on the run's rows and on rows built
in the same way for the RL problems (so that it sees the same problems). `short_sft` does the same on
the shorter half of the rows of each question, since RL also shortens. `answers_only` spends cold start
and RL together on SFT from the base, on gold answers without thoughts, over both problem sets. The steps
of the first two are the RL seconds by the seconds a step of the cold start took; those of the third are
as many tokens. Steps are rounded up to whole epochs, in the arm's favour; each arm keeps its checkpoint of
lowest validation loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vision_r1.core.errors import RunStateError
from vision_r1.core.files import read_json, write_json
from vision_r1.core.progress import Progress, Silent
from vision_r1.core.run import RunDirectory, Ticking, exclusive
from vision_r1.core.seeds import derive_seed
from vision_r1.pipeline.config import ConstructStage, GoldRows, GrpoStage, Recipe, SftStage
from vision_r1.pipeline.paths import stored_recipe
from vision_r1.problems.chat import ChatRow
from vision_r1.problems.problem import Problem

NEVER = 10_000  # patience of an arm that must spend all its steps


def run_study(name: str, folder: Path, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Run a study's arms in `RUN/studies/NAME` and compare each with the run's final model.

    Returns:
        One row an arm: accuracy with its interval, greedy and sampled, and the paired differences of the
        final model, `final_minus_arm` and (where the run samples) `final_minus_arm_sampled`.

    Raises:
        RunStateError: the run is not finished, or lacks a stage the study compares with.
    """
    run = RunDirectory(folder)
    if not run.results.exists() or run.identity() is None:
        raise RunStateError("is not a finished run", where=str(folder), fix="run the recipe first")
    recipe = stored_recipe(run)
    with exclusive(run):
        return STUDIES[name](run, recipe, progress or Silent())


def _controls(run: RunDirectory, recipe: Recipe, progress: Progress) -> list[dict[str, Any]]:
    study = RunDirectory(run.path / "studies" / "controls")
    sft, rl, construct = _stages(recipe)
    record = run.done("sft")
    if record is None:
        raise RunStateError("has no sft stage of its own", where=str(run.path))
    seconds = read_json(run.results)["seconds"]
    rl_seconds = sum(seconds[entry.name] for entry in rl.schedule)
    step_seconds = record["seconds"] / record["summary"]["steps"]
    steps = round(rl_seconds / step_seconds)
    rows = _rows(run, study, recipe, construct, progress)
    cold_start = str(run.stage("sft") / "model")
    gold = _gold_rows(recipe)
    # A row of answers is shorter, so more of them are as much work.
    share = _mean_tokens(recipe.model, rows) / _mean_tokens(recipe.model, gold)
    arms: dict[str, tuple[str, Sequence[ChatRow], int]] = {
        "more_sft": (cold_start, rows, steps),
        "short_sft": (cold_start, shorter_half(rows), steps),
        "answers_only": (recipe.model, gold, round((record["summary"]["steps"] + steps) * share)),
    }
    results = []
    for arm, (model, chosen, count) in arms.items():
        _train_arm(study, recipe, sft, arm, model, chosen, count, progress)
        results.append(_compare_arm(run, study, recipe, arm, progress))
    write_json(study.path / "results.json", results)
    return results


def _stages(recipe: Recipe) -> tuple[SftStage, GrpoStage, ConstructStage]:
    """The three stages that the controls need."""
    found: dict[type, Any] = {type(stage): stage for stage in recipe.stages.values()}
    kinds = {"sft": SftStage, "grpo": GrpoStage, "construct": ConstructStage}
    missing = [name for name, kind in kinds.items() if kind not in found]
    if missing:
        raise RunStateError(
            f"the run has no stage of kind {missing[0]}",
            where="study controls",
            fix="the controls stand beside a run with construct, sft and grpo stages",
        )
    return found[SftStage], found[GrpoStage], found[ConstructStage]


def _rl_problems(recipe: Recipe) -> list[Problem]:
    from vision_r1.problems.load import load_problems

    return load_problems(recipe.data.rl) if recipe.data.rl is not None else []


def _rows(
    run: RunDirectory, study: RunDirectory, recipe: Recipe, stage: ConstructStage, progress: Progress
) -> list[ChatRow]:
    """The run's cold-start rows, and rows built likewise for the RL problems."""
    from vision_r1.construct.run import run_construct
    from vision_r1.pipeline.rows import rows_file
    from vision_r1.problems.chat import load_chat_rows

    if study.done("construct") is None:
        watch = study.clock("construct")
        seed = derive_seed(recipe.seed, "study", "construct")
        summary = run_construct(
            stage,
            _rl_problems(recipe),
            study.stage("construct"),
            seed=seed,
            progress=Ticking(progress, watch),
        )
        study.finish("construct", summary, watch.seconds())
    files = [place.stage("construct") / "vision_r1_cold.json" for place in (run, study)]
    return [row for path in files for row in load_chat_rows(rows_file(path))]


def _gold_rows(recipe: Recipe) -> list[ChatRow]:
    from vision_r1.pipeline.rows import gold_rows

    sections = [section for section in (recipe.data.cold_start, recipe.data.rl) if section is not None]
    return [row for section in sections for row in gold_rows(GoldRows(problems=section))]


def shorter_half(rows: Sequence[ChatRow]) -> list[ChatRow]:
    """The shorter half of the rows of each question text, so that no kind of question gets rarer."""
    groups: dict[str, list[ChatRow]] = {}
    for row in rows:
        groups.setdefault(row.user, []).append(row)
    halves = [sorted(group, key=lambda row: (len(row.assistant), row.id)) for group in groups.values()]
    return [row for group in halves for row in group[: (len(group) + 1) // 2]]


def _mean_tokens(model: str, rows: Sequence[ChatRow], sample: int = 200) -> float:
    """Mean length of a row in tokens, pictures and prompt included."""
    from vision_r1.models.encode import encode_prompts
    from vision_r1.models.processor_load import load_processor

    processor = load_processor(model)
    chosen = rows[:: max(1, len(rows) // sample)]
    total = 0
    for row in chosen:
        batch = encode_prompts(processor, [row.user], [[media.load() for media in row.media]], [row.id])
        total += batch["input_ids"].shape[1] + len(processor.tokenizer(row.assistant)["input_ids"])
    return total / len(chosen)


def _train_arm(
    study: RunDirectory,
    recipe: Recipe,
    stage: SftStage,
    arm: str,
    model: str,
    rows: Sequence[ChatRow],
    steps: int,
    progress: Progress,
) -> None:
    if study.done(arm) is not None:
        return
    from vision_r1.pipeline.rows import split_rows
    from vision_r1.train.sft import run_sft

    watch = study.clock(arm)
    training, validation = split_rows(rows, stage.validation_share, derive_seed(recipe.seed, "study"))
    epochs = max(1, -(-steps * stage.batch_size // len(training)))
    settings = stage.model_copy(update={"max_epochs": epochs, "patience": NEVER})
    progress.say(f"{arm}: {steps} steps on {len(training)} rows")
    summary = run_sft(
        settings, model, training, validation[:300], study.stage(arm),
        seed=derive_seed(recipe.seed, "study", arm), name=arm, progress=Ticking(progress, watch),
    )  # fmt: skip
    study.finish(arm, summary, watch.seconds())


def _compare_arm(
    run: RunDirectory, study: RunDirectory, recipe: Recipe, arm: str, progress: Progress
) -> dict[str, Any]:
    """Accuracy of the arm, and the final model's paired difference to it, greedy and sampled."""
    from vision_r1.evals.compare import Decoding, compare_traces
    from vision_r1.evals.runner import evaluate_variant
    from vision_r1.models.load import load_model
    from vision_r1.pipeline.config import EvaluateStage
    from vision_r1.problems.load import load_problems
    from vision_r1.rollout.engine import InProcessEngine

    name, stage = next((n, s) for n, s in recipe.stages.items() if isinstance(s, EvaluateStage))
    if recipe.data.test is None:
        raise RunStateError("has no test problems", where=str(run.path))
    cap = (run.done(name) or {"summary": {}})["summary"]["cap"]
    folder = study.path / "evaluate" / arm
    block = evaluate_variant(
        InProcessEngine(load_model(str(study.stage(arm) / "model"))),
        load_problems(recipe.data.test), stage, cap, folder,
        name=arm, seed=derive_seed(recipe.seed, name), progress=progress,
    )  # fmt: skip
    final = run.stage(name) / recipe.final / "traces.jsonl"
    decodings: dict[str, Decoding] = {"final_minus_arm": "greedy"}
    if stage.sampled_problems:
        decodings["final_minus_arm_sampled"] = "sampled"
    done = study.done(arm) or {}
    return {
        "arm": arm,
        "steps": done["summary"]["steps"],
        "seconds": done["seconds"],
        **{
            key: block[key]
            for key in (
                *("accuracy", "ci95", "n", "format_rate", "truncation_rate", "mean_tokens"),
                *("pass_at_1_sampled", "pass_at_1_sampled_ci95", "pass_at_8"),
            )
        },
        **{
            key: compare_traces(folder / "traces.jsonl", final, decoding=how)
            for key, how in decodings.items()
        },
    }


STUDIES: dict[str, Callable[[RunDirectory, Recipe, Progress], list[dict[str, Any]]]] = {"controls": _controls}
