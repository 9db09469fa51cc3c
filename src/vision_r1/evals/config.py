"""Settings of an evaluation; imports no torch."""

from __future__ import annotations

from pydantic import Field

from vision_r1.core.config import FrozenConfig

DEFAULT_CAP = 1024


class EvaluateSettings(FrozenConfig):
    """How a model is measured on held-out problems; every variant of a run is measured alike.

    Every problem is answered once by greedy decoding. The first `sampled_problems`, families in turn,
    are answered `samples` times more. The paper's own evaluation samples once at temperature 0.6,
    top-p 0.95 and 16,000 tokens.

    Attributes:
        max_new_tokens: cap on a completion, in tokens; None for twice the last training stage's cap in
            a run, and `DEFAULT_CAP` where a model is measured by itself.
        sampled_problems: how many problems are sampled; 0 turns sampling off.
        samples: completions a sampled problem; pass@8 needs at least 8, else it is left empty.
        temperature: of the samples.
        top_p: nucleus mass of the samples.
        batch_size: completions decoded side by side. It decides which problems share a batch, so
            results repeat exactly only at the same value.
        bootstrap: resamples behind each bootstrap interval.
        image_use: whether the final model is also asked with blank, swapped and missing pictures.
        think_instruction: what follows the question when a base model is asked to think.
    """

    max_new_tokens: int | None = Field(default=None, ge=1)
    sampled_problems: int = Field(default=120, ge=0)
    samples: int = Field(default=8, ge=1)
    temperature: float = Field(default=0.6, gt=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    batch_size: int = Field(default=128, ge=1)
    bootstrap: int = Field(default=2000, ge=100)
    image_use: bool = True
    think_instruction: str = (
        "Think step by step inside <think> </think>, then give the answer inside <answer> </answer>."
    )
