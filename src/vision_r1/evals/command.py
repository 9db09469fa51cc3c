"""Measure any model on any problems: what `vision-r1 eval MODEL --data FILE|CONFIG` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_r1.core.config import to_plain
from vision_r1.core.files import write_json
from vision_r1.core.progress import Progress
from vision_r1.evals.config import DEFAULT_CAP, EvaluateSettings
from vision_r1.evals.image_use import check_images_reach_model, evaluate_image_use
from vision_r1.evals.runner import Prompt, evaluate_variant
from vision_r1.problems.problem import Problem
from vision_r1.rollout.engine import Engine, InProcessEngine


def evaluate_model(
    engine: Engine,
    problems: Sequence[Problem],
    settings: EvaluateSettings,
    out: Path,
    *,
    origin: dict[str, Any] | None = None,
    train_problems: Sequence[Problem] = (),
    prompt: Prompt = "direct",
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a model; write `out/traces.jsonl` and `out/summary.json`. Prints nothing.

    Args:
        engine: the model.
        problems: held-out problems.
        settings: decoding and statistics.
        out: folder of this evaluation; an unfinished one is continued.
        origin: where the problems come from and what else is known, as plain data; kept in the summary.
        train_problems: for the question-only control of `settings.image_use`.
        prompt: "direct" or "think" (see `evaluate_variant`).
        seed: of sampling and bootstrap.
        progress: where to tell how far it is.

    Returns:
        What summary.json holds: the block of `evaluate_variant`, `image_use` if asked for, and the
        model, data, settings and seed it came from.

    Raises:
        InputError: the model or the problems cannot be used.
        RunStateError: `out` holds another evaluation.
        ImageUseError: the problems have pictures and the model does not react to them.
    """
    cap = settings.max_new_tokens or DEFAULT_CAP
    if isinstance(engine, InProcessEngine):
        check_images_reach_model(engine.loaded, problems)
    block = evaluate_variant(
        engine, problems, settings, cap, out,
        name=engine.name, prompt=prompt, seed=seed, progress=progress,
    )  # fmt: skip
    if settings.image_use:
        block["image_use"] = evaluate_image_use(
            engine, problems, settings, cap, out / "image_use",
            train_problems=train_problems, seed=seed, progress=progress,
        )  # fmt: skip
    own = {"model": engine.name, "settings": to_plain(settings), "seed": seed}
    summary = {**(origin or {}), **own, **block}
    write_json(out / "summary.json", summary)
    return summary
