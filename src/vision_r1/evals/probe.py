"""Does a served model get the pictures? Asked before an evaluation over an endpoint; no torch."""

from __future__ import annotations

from collections.abc import Sequence

from vision_r1.problems.problem import Problem
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.engine import Engine
from vision_r1.rollout.request import Request
from vision_r1.teachers.prompt_costs import PROBES, check_prompt_costs, without_images


def check_images_reach_endpoint(engine: Engine, problems: Sequence[Problem], probes: int = PROBES) -> None:
    """Stop where prompts cost as many tokens with their pictures as without.

    Endpoints that give no token counts say nothing, and neither do probes that fail.

    Args:
        engine: the served model.
        problems: what it will be asked; the first few with pictures are probed.
        probes: how many.

    Raises:
        ImageUseError: no probed prompt costs more with its pictures.
    """
    seen = [problem for problem in problems if problem.media][:probes]
    real = [Request(problem.id, problem.prompt, problem.media) for problem in seen]
    bare = [Request(f"{problem.id}\x1fbare", without_images(problem)) for problem in seen]
    traces = engine.complete([*real, *bare], Sampling(max_new_tokens=1), 0)
    pairs = zip(traces[: len(seen)], traces[len(seen) :], strict=True)
    check_prompt_costs(((one.prompt_tokens, other.prompt_tokens) for one, other in pairs), engine.name)
