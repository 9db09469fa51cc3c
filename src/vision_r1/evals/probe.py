"""Does a served model get the pictures? Judged by what the endpoint says a prompt cost; no torch."""

from __future__ import annotations

from collections.abc import Sequence

from vision_r1.core.errors import ImageUseError
from vision_r1.models.chat import IMAGE_MARK
from vision_r1.problems.problem import Problem
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.engine import Engine
from vision_r1.rollout.request import Request


def check_images_reach_endpoint(engine: Engine, problems: Sequence[Problem], probes: int = 3) -> None:
    """Stop where prompts cost as many tokens with their pictures as without.

    A server whose chat template or gateway drops pictures answers all the same. Endpoints that give no
    token counts say nothing, and neither do probes that fail.

    Args:
        engine: the served model.
        problems: what it will be asked; the first few with pictures are probed.
        probes: how many.

    Raises:
        ImageUseError: no probed prompt costs more with its pictures.
    """
    seen = [problem for problem in problems if problem.media][:probes]
    real = [Request(problem.id, problem.prompt, problem.media) for problem in seen]
    bare = [Request(f"{problem.id}\x1fbare", problem.prompt.replace(IMAGE_MARK, "")) for problem in seen]
    traces = engine.complete([*real, *bare], Sampling(max_new_tokens=1), 0)
    pairs = [
        (with_picture.prompt_tokens, without.prompt_tokens)
        for with_picture, without in zip(traces[: len(seen)], traces[len(seen) :], strict=True)
        if with_picture.prompt_tokens and without.prompt_tokens
    ]
    if pairs and all(with_picture <= without for with_picture, without in pairs):
        raise ImageUseError(
            f"the images do not reach the served model: a prompt has {pairs[0][0]} tokens with its picture"
            f" and {pairs[0][1]} without",
            where=engine.name,
            fix="check that the server serves a vision-language model and takes images",
        )
