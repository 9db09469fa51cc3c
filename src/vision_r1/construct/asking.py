"""A chain's requests as requests to a served model, and what comes back as what was said."""

from __future__ import annotations

from vision_r1.construct.chain import Ask
from vision_r1.construct.replies import Said
from vision_r1.core.seeds import derive_seed
from vision_r1.rollout.trace import StopReason
from vision_r1.teachers.chat import ChatReply, ChatRequest, Failure, estimated_tokens
from vision_r1.teachers.config import RoleConfig
from vision_r1.teachers.thoughts import split_thought

_WARMER = 0.7


def chat_request(ask: Ask, role: RoleConfig, seed: int) -> ChatRequest:
    """The request of one step; a further attempt of greedy decoding is sampled, to say something else."""
    temperature = _WARMER if role.temperature == 0 and ask.attempt > 0 else role.temperature
    names = (ask.problem, ask.step, ask.sample, ask.attempt)
    return ChatRequest(
        model=role.model,
        user=ask.prompt,
        media=ask.media,
        max_tokens=role.max_tokens,
        temperature=temperature,
        top_p=role.top_p,
        seed=derive_seed(seed, *names) % 2**31 if temperature != 0 and role.send_seed else None,
        template=ask.template,
        sample_index=ask.sample,
        attempt=ask.attempt,
        max_image_pixels=role.max_image_pixels,
    )


def said_of(outcome: ChatReply | Failure, key: str, role: RoleConfig) -> Said:
    """What was said, thought and rest apart; its length is estimated where the endpoint does not count."""
    if isinstance(outcome, Failure):
        return Said("", stop_reason="error", error=outcome.reason, key=key, model=role.model)
    if outcome.held_back:
        error = f"held back: {outcome.finish_reason}"
        return Said("", stop_reason="error", error=error, key=key, model=role.model)
    parts = split_thought(outcome, role.opens_thought)
    stop: StopReason = "length" if outcome.cut or not parts.finished else "eos"
    counted = outcome.completion_tokens
    return Said(
        parts.rest, parts.thought, counted or estimated_tokens(outcome), stop, "", outcome.hidden, key,
        role.model, estimated=not counted,
    )  # fmt: skip
