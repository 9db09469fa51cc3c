"""Settings of a rollout; imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

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
        token_budget: tokens of cache held at a time, in this process; None: as many as fit into a quarter of
            the free memory, on CUDA six tenths.
        stop: texts that end a completion; it ends with them.
    """

    max_new_tokens: int = Field(256, ge=1)
    temperature: float = Field(0.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    n: int = Field(1, ge=1)
    batch_size: int = Field(128, ge=1)
    token_budget: int | None = Field(None, ge=1)
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()


class VLLMSettings(FrozenConfig):
    """How a vLLM server is started.

    Attributes:
        dtype: `auto` takes the checkpoint's, but half precision for one in float32.
        max_model_len: prompt and completion together, in tokens; None takes what the model says.
        images: the most images in a prompt.
        max_in_flight: the most requests under way at a time.
        start_seconds: how long starting may take.
        arguments: further arguments of the server, such as `--tensor-parallel-size`, `4`.
    """

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_model_len: int | None = Field(None, ge=1)
    images: int = Field(8, ge=0)
    max_in_flight: int = Field(128, ge=1, le=1024)
    start_seconds: float = Field(1800.0, gt=0)
    arguments: tuple[str, ...] = ()
