"""The peer: TRL 1.16's own trainers as their documentation has them, with nothing of ours in them.

Its processor is the stock one without its video part, which cannot be built without torchvision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features, Image, Sequence, Value
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
    Qwen2_5_VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer
from workloads import BETA, LEARNING_RATE, SEED, Forced, Row, Workload, perturb, reward_of, rows


class Processor(Qwen2_5_VLProcessor):  # type: ignore[misc]
    """Qwen2.5-VL's processor without its video part."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **_: Any
    ) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template=chat_template)

    @classmethod
    def get_attributes(cls) -> list[str]:
        """No video processor."""
        return ["image_processor", "tokenizer"]


def load(folder: Path) -> tuple[Any, Any]:
    """Model and processor."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    tokenizer.chat_template = template
    processor = Processor(Qwen2VLImageProcessorPil.from_pretrained(folder), tokenizer, template)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto", attn_implementation="sdpa")
    return model, processor


def common(workload_rows: int, micro: int, steps: int, out: Path) -> dict[str, Any]:
    """The settings that both of TRL's trainers share."""
    return {
        "output_dir": str(out),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": workload_rows // micro,
        "max_steps": steps,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "optim": "adamw_torch",
        "bf16": torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
        "save_strategy": "no",
        "dataloader_pin_memory": False,
        "use_cpu": not torch.cuda.is_available(),
        "seed": SEED,
    }


def grpo_trainer(workload: Workload, folder: Path, steps: int, out: Path) -> tuple[GRPOTrainer, Any]:
    """The trainer and its tokenizer."""
    model, processor = load(folder)
    perturb(model)
    options = {
        "num_generations": workload.group,
        "max_completion_length": workload.tokens,
        "steps_per_generation": workload.rows // workload.micro,
        "beta": BETA,
        "loss_type": "grpo",
        "use_bias_correction_kl": False,
        "shuffle_dataset": False,
    }
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=GRPOConfig(**common(workload.rows, workload.micro, steps, out), **options),
        train_dataset=dataset(rows(workload, steps, processor.tokenizer)),
        processing_class=processor,
    )
    return trainer, processor.tokenizer


def dataset(asked: list[Row]) -> Dataset:
    """Conversational prompts with an `image` column of files' bytes, as TRL's documentation has them."""
    message = [{"role": Value("string"), "content": Value("string")}]
    return Dataset.from_dict(
        {
            "prompt": [[{"role": "user", "content": row.question}] for row in asked],
            "image": [{"bytes": row.png, "path": None} for row in asked],
        },
        features=Features({"prompt": message, "image": Image()}),
    )


def reward(completions: list[list[dict[str, str]]], **_: Any) -> list[float]:
    """As TRL calls it: conversations of one message."""
    return [reward_of(completion[0]["content"]) for completion in completions]


class _Processor(LogitsProcessor):  # type: ignore[misc]
    """`Forced` as a logits processor."""

    def __init__(self, rule: Forced) -> None:
        self.rule = rule

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of the next token."""
        return self.rule(input_ids, scores)


def force(model: Any, rule: Forced) -> None:
    """Hand the rule to the model's `generate`, which TRL calls with its own settings."""
    plain = model.generate

    def generate(*args: Any, **kwargs: Any) -> Any:
        return plain(*args, logits_processor=LogitsProcessorList([_Processor(rule)]), **kwargs)

    model.generate = generate
