"""Settings of the training stages; imports no torch."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from vision_r1.core.config import FrozenConfig
from vision_r1.core.errors import ConfigError, nearest

FlatGroups = Literal["train", "skip", "resample"]

# TRL's own dials that may pass through the `trl:` block: those that no setting of ours decides.
GRPO_PASS_THROUGH = (
    "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "weight_decay", "warmup_steps",
    "lr_scheduler_type", "optim", "gradient_checkpointing", "dataloader_num_workers",
    "ddp_timeout", "deepspeed", "fsdp", "fsdp_config", "report_to", "run_name", "top_p", "top_k", "min_p",
    "repetition_penalty", "epsilon_high", "delta", "importance_sampling_level", "scale_rewards",
    "mask_truncated_completions", "use_liger_kernel",
)  # fmt: skip
SFT_PASS_THROUGH = (
    "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "optim", "gradient_checkpointing",
    "dataloader_num_workers", "ddp_timeout", "deepspeed", "fsdp", "fsdp_config", "report_to", "run_name",
    "use_liger_kernel",
)  # fmt: skip

# What may be changed when a run is continued; anything else needs a new run directory.
CHANGEABLE = (
    "steps", "learning_rate", "save_steps", "tokens_per_pass", "max_epochs", "guard", "max_new_tokens",
)  # fmt: skip


def _checked(block: dict[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    for key, value in block.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{value} is not a finite number", where=key)
        if key not in allowed:
            fix = nearest(key, allowed, "what passes")
            raise ConfigError(f"{key!r} does not pass through to TRL", where=key, fix=fix)
    return block


class SftSettings(FrozenConfig):
    """Cold-start SFT on TRL's SFTTrainer, loss on the assistant's turn only.

    The paper's values (LLaMA-Factory YAML): learning rate 5e-6 cosine, warm-up 0.05, batch 32,
    2 epochs, cutoff 16,384, vision tower and projector frozen.

    Attributes:
        learning_rate: peak; cosine to zero over `max_epochs` unless training stops earlier.
        warmup_share: share of the steps with linear warm-up.
        batch_size: rows per optimizer step, over all processes.
        tokens_per_pass: tokens of a forward and backward pass of one process, rows side by side; the same
            step comes out, in less memory and more passes.
        max_epochs: the most passes over the data.
        patience: stop after this many evaluations without a lower validation loss.
        eval_steps: steps between validations (and checkpoints).
        min_gain: a validation loss counts as lower if it falls by this share.
        max_length: tokens of a whole row, image tokens included; longer rows are refused.
        freeze_vision: leave vision tower and projector as they are.
        precision: "float32", or "bfloat16" on devices that have it.
        trl: dials of TRL's SFTConfig, from a checked list.
    """

    learning_rate: float = Field(5e-6, gt=0)
    warmup_share: float = Field(0.05, ge=0, le=1)
    batch_size: int = Field(32, ge=1)
    tokens_per_pass: int = Field(16_384, ge=1)
    max_epochs: int = Field(2, ge=1)
    patience: int = Field(2, ge=1)
    eval_steps: int = Field(20, ge=1)
    min_gain: float = Field(0.005, ge=0)
    max_length: int = Field(16_384, ge=1)
    freeze_vision: bool = True
    precision: Literal["float32", "bfloat16"] = "float32"
    trl: dict[str, Any] = Field(default_factory=dict)

    @field_validator("trl")
    @classmethod
    def _known(cls, block: dict[str, Any]) -> dict[str, Any]:
        return _checked(block, SFT_PASS_THROUGH)


class Quantile(FrozenConfig):
    """A cap chosen before RL: a quantile of the cold start's own completion lengths.

    The paper's 4K is about the 75th percentile of its cold start's lengths (Figure 1A).

    Attributes:
        quantile: in (0, 1).
        times: factor on the quantile.
        round_to: the cap is rounded up to a multiple of this many tokens.
        at_least, at_most: bounds in tokens.
    """

    quantile: float = Field(gt=0, lt=1)
    times: float = Field(1.0, gt=0)
    round_to: int = Field(8, ge=1)
    at_least: int = Field(16, ge=1)
    at_most: int = Field(32_768, ge=1)


class PtstStage(FrozenConfig):
    """One stage of Progressive Thinking Suppression Training (section 3.2 of the paper).

    Attributes:
        name: of the stage and of its variant in the results.
        max_completion_length: cap in tokens, or a quantile of the cold start's lengths.
        group_size: completions per problem (G).
        steps: optimizer steps.
        learning_rate: constant.
        reference: the reference policy of the KL term: the model at the start of this stage, the
            cold start, or none (then beta must be 0).
    """

    name: str
    max_completion_length: Annotated[int, Field(ge=1)] | Quantile
    group_size: int = Field(ge=2)
    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    reference: Literal["stage_start", "cold_start", "none"] = "stage_start"


class Guard(FrozenConfig):
    """When training stops because it cannot be right any more.

    Each bound must be broken `patience` steps running.

    Attributes:
        patience: consecutive steps.
        min_reward: mean reward at or below this.
        max_kl: mean KL to the reference above this.
        min_entropy: mean token entropy below this, in nats.
        min_tokens: mean completion length below this.
        max_truncated: share of truncated completions above this.
    """

    patience: int = Field(15, ge=1)
    min_reward: float = 0.0
    max_kl: float = 10.0
    min_entropy: float = 1e-4
    min_tokens: float = 4.0
    max_truncated: float = 0.999


class GrpoSettings(FrozenConfig):
    """GRPO with the hard format-and-result reward (section 4 of the reference, equation 1 of the paper).

    Attributes:
        schedule: the PTST stages, in order.
        prompts_per_step: problems per optimizer step.
        beta: weight of the k3 KL term.
        epsilon: clip range of the ratio.
        temperature: of the rollouts.
        loss_type: TRL's name; "grpo" is the paper's mean over each completion, then over completions.
        reward: "hfrrf", "soft", or "file.py:function".
        tokens_per_pass: tokens of a forward and backward pass, each prompt of it counted once; the same step
            comes out, in less memory and more passes.
        flat_groups: what is done with groups whose rewards are all equal, and whose advantages are so 0.
            "train" as in the paper: with beta > 0 they pull towards the reference policy; with beta = 0
            they have no gradient, and their work is left out. "skip" leaves it out with beta > 0 too, which
            drops their KL term. "resample" asks other problems in their place (DAPO's dynamic sampling),
            up to `resamples` times a step, and skips what is left of them.
        resamples: see `flat_groups`.
        save_steps: steps between checkpoints.
        precision: "float32", or "bfloat16" on devices that have it.
        freeze_vision: leave vision tower and projector as they are.
        guard: when to stop.
        trl: dials of TRL's GRPOConfig, from a checked list.
    """

    schedule: tuple[PtstStage, ...] = Field(min_length=1)
    prompts_per_step: int = Field(8, ge=1)
    beta: float = Field(0.01, ge=0)
    epsilon: float = Field(0.2, gt=0)
    temperature: float = Field(1.0, gt=0)
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "grpo"
    reward: str = "hfrrf"
    tokens_per_pass: int = Field(16_384, ge=1)
    flat_groups: FlatGroups = "train"
    resamples: int = Field(2, ge=1)
    save_steps: int = Field(10, ge=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    freeze_vision: bool = False
    guard: Guard = Guard()
    trl: dict[str, Any] = Field(default_factory=dict)

    @field_validator("trl")
    @classmethod
    def _known(cls, block: dict[str, Any]) -> dict[str, Any]:
        return _checked(block, GRPO_PASS_THROUGH)

    @property
    def measures_caps(self) -> bool:
        """Whether a cap of the schedule is a quantile of the cold start's lengths."""
        return any(isinstance(entry.max_completion_length, Quantile) for entry in self.schedule)

    @field_validator("schedule")
    @classmethod
    def _names(cls, schedule: tuple[PtstStage, ...]) -> tuple[PtstStage, ...]:
        names = [stage.name for stage in schedule]
        if len(set(names)) < len(names):
            raise ValueError("two stages of the schedule share a name")
        return schedule
