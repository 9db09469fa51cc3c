"""The peer: TRL 1.16's own trainers as their documentation has them, with nothing of ours in them.

Its processor is the stock one without its video part, which cannot be built without torchvision.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from datasets import Dataset, Features, Image, Value
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
    Qwen2_5_VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer
from workloads import (
    BETA,
    LEARNING_RATE,
    PROMPTS,
    SEED,
    Forced,
    Row,
    SftLoad,
    Workload,
    answered,
    perturb,
    reward_of,
    rows,
)


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
        "disable_dropout": True,
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


def sft_trainer(load_: SftLoad, folder: Path, steps: int, out: Path) -> SFTTrainer:
    """TRL's SFTTrainer, which pads: packing is refused for vision models.

    Prompts and answers are text in the chat template's words, so that the answer's loss ends with the end of
    the turn, as ours does; from messages TRL would also learn the line break behind it.
    """
    model, processor = load(folder)
    rows = answered(load_, steps, processor.tokenizer)
    columns = {
        "prompt": [prompt_text(processor.tokenizer, row.question) for row in rows],
        "completion": [row.answer + "<|im_end|>" for row in rows],
        "image": [{"bytes": row.png, "path": None} for row in rows],
    }
    features = {"prompt": Value("string"), "completion": Value("string"), "image": Image()}
    return SFTTrainer(
        model=model,
        args=SFTConfig(
            **common(load_.batch, load_.batch, steps, out),
            max_length=None,
            train_sampling_strategy="sequential",
        ),
        train_dataset=Dataset.from_dict(columns, features=Features(features)),
        processing_class=processor,
    )


class _Processor(LogitsProcessor):  # type: ignore[misc]
    """`Forced` as a logits processor."""

    def __init__(self, rule: Forced) -> None:
        self.rule = rule

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of the next token."""
        return self.rule(input_ids, scores)


def force(trainer: GRPOTrainer, rule: Forced) -> None:
    """Hand the rule to the model's `generate`, which TRL calls with its own settings."""
    plain = trainer.model.generate
    processors = LogitsProcessorList([_Processor(rule)])
    trainer.model.generate = lambda *args, **kwargs: plain(*args, logits_processor=processors, **kwargs)


def completer(workload: Workload, steps: int, folder: Path) -> Any:
    """A function that completes the prompts of a step by `generate`, see `rollout_speed`."""
    model, processor = load(folder)
    asked = rows(workload, steps, processor.tokenizer)
    processors = LogitsProcessorList([_Processor(Forced(workload, steps, processor.tokenizer))])
    inputs = [
        _encode(processor, asked[n : n + PROMPTS], workload.group) for n in range(0, len(asked), PROMPTS)
    ]
    end = processor.tokenizer.eos_token_id

    def complete(step: int) -> list[list[int]]:
        prompts = inputs[step].to(model.device)
        ids = model.generate(
            **prompts,
            logits_processor=processors,
            max_new_tokens=workload.tokens,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            pad_token_id=processor.tokenizer.pad_token_id,
        )
        completions = ids[:, prompts["input_ids"].shape[1] :].tolist()
        return [row[: row.index(end) + 1] for row in completions]

    return complete


def _encode(processor: Any, asked: list[Row], group: int) -> Any:
    """Each prompt `group` times, as TRL hands it to `generate`."""
    images = [PIL.Image.open(io.BytesIO(row.png)).convert("RGB") for row in asked for _ in range(group)]
    texts = [prompt_text(processor.tokenizer, row.question) for row in asked for _ in range(group)]
    return processor(images=images, text=texts, padding=True, return_tensors="pt")


def prompt_text(tokenizer: Any, question: str) -> str:
    """The chat template's text for a question about one image."""
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    return text
