"""Settings of an evaluation; imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vision_r1.core.config import FrozenConfig
from vision_r1.problems.config import DEFAULT_MAX_PIXELS, PIXEL_CEILING

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


class BenchmarkSettings(FrozenConfig):
    """How a model is asked a benchmark's questions and how the answers are summed up.

    Attributes:
        samples: completions a question; pass@1 is their mean, and more than one gives maj@k and pass@k.
        temperature: 0 is greedy decoding, which allows one sample.
        top_p: nucleus mass.
        max_new_tokens: cap on a completion, in tokens.
        batch_size: completions decoded side by side in this process; it decides which questions share
            a batch, so results repeat exactly only at the same value.
        prompt: `benchmark` asks in the benchmark's own words; `plain` gives the question and its choices
            alone, as training does.
        instruction: what follows every prompt, on a line of its own.
        rerolls: how often an answer without `</answer>` is sampled again. Anything but 0 makes the
            accuracy something else than pass@1; only the protocol `paper` sets it.
        limit: the first so many questions of each benchmark, and the rest of their groups.
        max_pixels: larger images make a row unusable.
        bootstrap: resamples behind each interval.
    """

    samples: int = Field(default=1, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_new_tokens: int = Field(default=DEFAULT_CAP, ge=1)
    batch_size: int = Field(default=128, ge=1)
    prompt: Literal["benchmark", "plain"] = "benchmark"
    instruction: str = ""
    rerolls: int = Field(default=0, ge=0, le=16)
    limit: int | None = Field(default=None, ge=1)
    max_pixels: int = Field(default=DEFAULT_MAX_PIXELS, ge=1, le=PIXEL_CEILING)
    bootstrap: int = Field(default=2000, ge=100)

    @model_validator(mode="after")
    def _greedy_once(self) -> BenchmarkSettings:
        if self.temperature == 0 and self.samples > 1:
            raise ValueError(
                "greedy decoding gives the same completion every time: set temperature, or samples=1"
            )
        if self.temperature == 0 and self.rerolls:
            raise ValueError("greedy decoding cannot roll again: set temperature, or rerolls=0")
        return self


# `paper` is the evaluation of Vision-R1's repository (evaluation/evalscope, April 2025): not pass@1.
PROTOCOLS: dict[str, BenchmarkSettings] = {
    "plain": BenchmarkSettings(),
    "paper": BenchmarkSettings(temperature=0.6, top_p=0.95, max_new_tokens=16000, rerolls=4),
}
