"""What TRL is told: every dial of its configurations that decides the algorithm, stated."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import TypeAdapter, ValidationError
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)
from trl import GRPOConfig, SFTConfig

from vision_r1.core.errors import ConfigError
from vision_r1.core.seeds import derive_seed
from vision_r1.train.config import GrpoSettings, PtstStage, SftSettings

# Trackers whose availability transformers can tell by their package.
_TRACKERS = ("tensorboard", "wandb", "comet_ml", "mlflow", "trackio", "swanlab")
# What TRL itself checks only when the trainer is built.
_CHOICES: dict[str, Any] = {
    "scale_rewards": bool | Literal["group", "batch", "none"],
    "importance_sampling_level": Literal["token", "sequence"],
}


def grpo_config(settings: GrpoSettings, stage: PtstStage, cap: int, work: Path, seed: int) -> GRPOConfig:
    """Every dial of TRL's that decides the algorithm, stated.

    | dial | here | TRL 1.16's default | why |
    |---|---|---|---|
    | loss_type | settings ("grpo") | "dapo" | the paper's mean over each completion, then over completions |
    | beta | settings (0.01) | 0.0 | the paper's KL weight |
    | epsilon | settings (0.2) | 0.2 | the paper's |
    | scale_rewards | "group" | "group" | advantages normalised within the group |
    | num_iterations | 1 | 1 | one update a batch: the ratio is 1, old log-probs are not computed |
    | temperature | settings (1.0) | 1.0 | |
    | top_p, top_k, min_p | 1.0, 0, none | 1.0, 0, none | the policy itself is sampled |
    | learning_rate | stage | 1e-6 | not published |
    | lr_scheduler_type, warmup_steps | constant, 0 | linear, 0 | each stage starts a new optimizer |
    | weight_decay | 0.0 | 0.0 | |
    | max_grad_norm | 1.0 | 1.0 | |
    | bf16 | precision | true | float32 unless asked for |
    | gradient_checkpointing | false | true | on by `trl.gradient_checkpointing` |
    | shuffle_dataset | false | true | the data come in their order; a resumed run cannot replay one |
    | use_bias_correction_kl | false | true | the paper's KL term is not multiplied by the ratio |
    | sync_ref_model, use_vllm | false | false | the reference is fixed for a stage |
    | mask_truncated_completions | false | false | cut completions get reward 0, as in the paper |
    | logging_nan_inf_filter | false | true | a NaN must be seen |
    """
    batch = settings.prompts_per_step * stage.group_size
    common = _common(settings.precision, batch, work, seed)
    options: dict[str, Any] = {
        "loss_type": settings.loss_type,
        "beta": 0.0 if stage.reference == "none" else settings.beta,
        "epsilon": settings.epsilon,
        "scale_rewards": "group",
        "num_iterations": 1,
        "temperature": settings.temperature,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": None,
        "repetition_penalty": 1.0,
        "importance_sampling_level": "token",
        "mask_truncated_completions": False,
        "use_bias_correction_kl": False,
        "num_generations": stage.group_size,
        "max_completion_length": cap,
        "max_steps": stage.steps,
        "steps_per_generation": common["gradient_accumulation_steps"],
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "disable_dropout": True,
        "shuffle_dataset": False,
        "sync_ref_model": False,
        "use_vllm": False,
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": None,  # `ptst` keeps the last two and the last good one
    }
    return _built(GRPOConfig, common | options, settings.trl)


def sft_config(settings: SftSettings, steps: int, work: Path, seed: int) -> SFTConfig:
    """Every dial of TRL's that decides the algorithm, stated.

    | dial | here | TRL 1.16's default | why |
    |---|---|---|---|
    | loss | token mean over the global batch | mean of micro-batch means | see `sft.VisionSftTrainer` |
    | learning_rate | settings | 2e-5 | the paper's 5e-6 |
    | lr_scheduler_type, warmup | cosine, settings | linear, 0 | the paper's |
    | weight_decay | 0 | 0 | commented out in the paper's YAML |
    | max_length | none | 1024 | longer rows are refused, never cut |
    | packing | ours | false | refused for vision models; see `chat_store.Passes` |
    | bf16 | precision | true | float32 unless asked for |
    | gradient_checkpointing | false | true | on by `trl.gradient_checkpointing` |
    | order | explicit | shuffled per epoch | a resumed run cannot replay one |
    """
    common = _common(settings.precision, settings.batch_size, work, seed)
    options: dict[str, Any] = {
        "max_steps": steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": int(settings.warmup_share * steps),
        "max_length": None,
        "packing": False,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "train_sampling_strategy": "sequential",
        "save_strategy": "no",  # `sft` asks for a checkpoint at each validation
        "eval_strategy": "no",
    }
    return _built(SFTConfig, common | options, settings.trl)


def _common(precision: str, batch: int, work: Path, seed: int) -> dict[str, Any]:
    """The dials of both trainers. They hand on the whole batch at once: we cut it into passes by tokens."""
    return {
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": 1,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "optim": "adamw_torch",
        "remove_unused_columns": False,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
        "dataloader_pin_memory": False,
        "bf16": precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "seed": derive_seed(seed, "trainer"),
        "output_dir": str(work),
    }


def _built(config: type[Any], options: dict[str, Any], passed: dict[str, Any]) -> Any:
    """The configuration, refused here where TRL's own checks, its types or a tracker say no."""
    _check_types(config, passed)
    try:
        built = config(**(options | passed))
    except (TypeError, ValueError, ImportError, OSError) as error:
        raise ConfigError(f"TRL does not take these settings: {error}", where="trl") from None
    for name in built.report_to:
        known = sorted(INTEGRATION_TO_CALLBACK)
        if name not in known:
            raise ConfigError(f"unknown {name!r}", where="trl.report_to", fix=f"one of: {', '.join(known)}")
        if name in _TRACKERS and name not in get_available_reporting_integrations():
            raise ConfigError(f"{name} is not installed", where="trl.report_to", fix=f"pip install {name}")
    return built


def _check_types(config: type[Any], passed: dict[str, Any]) -> None:
    """Each dial against the type that TRL's dataclass states, for dataclasses do not look."""
    hints = typing.get_type_hints(config) | _CHOICES
    for key, value in passed.items():
        try:
            TypeAdapter(hints[key]).validate_python(value, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ConfigError(f"{first['msg']}, found {value!r}", where=f"trl.{key}") from None
