"""Before the first chain: do the images reach the models that are to describe them?

A few problems are asked with and without their images, through the log and the budget like everything
else, so that a call that goes on asks none of it again. A probe is no row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from vision_r1.construct.chain import Step
from vision_r1.core.progress import Progress
from vision_r1.problems.problem import Media, Problem
from vision_r1.teachers.chat import ChatReply, ChatRequest
from vision_r1.teachers.config import RoleConfig
from vision_r1.teachers.prompt_costs import PROBES, check_prompt_costs, without_images
from vision_r1.teachers.served import Teachers

TEMPLATE = "probe@1"


async def check_images_reach(
    problems: Sequence[Problem],
    steps: Sequence[Step],
    teachers: Teachers,
    roles: Mapping[str, RoleConfig],
    progress: Progress,
) -> None:
    """Probe every role that is sent images with the first few problems; awaited inside `Teachers.run`.

    Args:
        problems: of the whole construction, so that every part of it probes the same ones.
        steps: which of them send images is what is probed.
        teachers: who answers.
        roles: how each role is asked.
        progress: told of a role for which nothing can be said.

    Raises:
        ImageUseError: no probed prompt costs a role more tokens with its images.
        BudgetReached, Interrupted, InputError: as for any request.
    """
    seen = [problem for problem in problems if problem.media][:PROBES]
    for name in sorted({step.role for step in steps if step.sees_image}) if seen else ():
        role = roles[name]
        asked = [_request(role, problem.prompt, problem.media) for problem in seen]
        asked += [_request(role, without_images(problem)) for problem in seen]
        replies = await asyncio.gather(*(teachers.answer(name, request) for request in asked))
        tokens = [reply.prompt_tokens if isinstance(reply, ChatReply) else None for reply in replies]
        pairs = zip(tokens[: len(seen)], tokens[len(seen) :], strict=True)
        if not check_prompt_costs(pairs, f"{name}: {role.model}"):
            progress.say(
                f"{name}: not known whether images reach {role.model}: no reply to a probe counts its prompt"
            )


def _request(role: RoleConfig, prompt: str, media: tuple[Media, ...] = ()) -> ChatRequest:
    return ChatRequest(
        model=role.model,
        user=prompt,
        media=media,
        max_tokens=1,
        temperature=role.temperature,
        top_p=role.top_p,
        template=TEMPLATE,
        max_image_pixels=role.max_image_pixels,
    )
