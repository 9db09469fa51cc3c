"""Settings of a rollout; imports no torch."""

from __future__ import annotations

from pydantic import Field

from vision_r1.core.config import FrozenConfig


class Sampling(FrozenConfig):
    """How completions are sampled.

    Attributes:
        max_new_tokens: cap on the completion, in tokens.
        temperature: 0 is greedy decoding.
        top_p: nucleus mass; 1 keeps the whole distribution.
        n: completions per problem.
        batch_size: completions decoded side by side.
    """

    max_new_tokens: int = Field(256, ge=1)
    temperature: float = Field(0.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    n: int = Field(1, ge=1)
    batch_size: int = Field(128, ge=1)
