"""Measure any model on any problems: what `vision-r1 eval MODEL --data FILE|CONFIG` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_r1.core.config import to_plain
from vision_r1.core.files import write_json
from vision_r1.core.progress import Progress
from vision_r1.evals.config import DEFAULT_CAP, EvaluateSettings
from vision_r1.evals.image_use import check_images_reach_model, evaluate_image_use
from vision_r1.evals.runner import Generate, Prompt, evaluate_variant
from vision_r1.models.load import load_model
from vision_r1.problems.config import ProblemsConfig
from vision_r1.problems.load import load_problems
from vision_r1.rollout import in_process


def evaluate_model(
    model: str,
    data: ProblemsConfig,
    settings: EvaluateSettings,
    out: Path,
    *,
    train: ProblemsConfig | None = None,
    prompt: Prompt = "direct",
    seed: int = 0,
    progress: Progress | None = None,
    generate: Generate = in_process.generate,
) -> dict[str, Any]:
    """Measure a model; write `out/traces.jsonl` and `out/summary.json`. Prints nothing.

    Args:
        model: `tiny:base`, a model directory or a hub id.
        data: where the problems come from.
        settings: decoding and statistics.
        out: folder of this evaluation; an unfinished one is continued.
        train: training problems, for the question-only control of `settings.image_use`.
        prompt: "direct" or "think" (see `evaluate_variant`).
        seed: of sampling and bootstrap.
        progress: where to tell how far it is.
        generate: the engine.

    Returns:
        What summary.json holds: the block of `evaluate_variant`, `image_use` if asked for, and the
        model, data, settings and seed it came from.

    Raises:
        InputError: the model or the problems cannot be used.
        RunStateError: `out` holds another evaluation.
        ImageUseError: the problems have pictures and the model does not react to them.
    """
    cap = settings.max_new_tokens or DEFAULT_CAP
    problems = load_problems(data)
    training = load_problems(train) if train is not None and settings.image_use else []
    loaded = load_model(model)
    check_images_reach_model(loaded, problems)
    block = evaluate_variant(
        loaded, problems, settings, cap, out,
        name=model, prompt=prompt, seed=seed, progress=progress, generate=generate,
    )  # fmt: skip
    if settings.image_use:
        block["image_use"] = evaluate_image_use(
            loaded, problems, settings, cap, out / "image_use",
            train_problems=training, seed=seed, progress=progress, generate=generate,
        )  # fmt: skip
    origin = {"model": model, "data": to_plain(data), "settings": to_plain(settings), "seed": seed}
    summary = {**origin, **block}
    write_json(out / "summary.json", summary)
    return summary
