"""The parts of a Qwen-style model, found through adapters, and the rotary positions of its prompts.

Qwen2-VL, Qwen2.5-VL and Qwen3-VL rotate by three positions a token (time, height, width; arXiv
2409.12191); of text all three are equal. Qwen2 and Qwen3 have one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def base_model(model: Any) -> Any:
    """The transformers model inside adapters (peft); their layers stay where they were put."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def language_model(model: Any) -> Any:
    """The decoder: `layers`, `norm`, `rotary_emb`."""
    inner = base_model(model).model
    return getattr(inner, "language_model", inner)


def sees_images(model: Any) -> bool:
    """Whether the model has a vision tower."""
    return hasattr(base_model(model).model, "visual")


def rope_positions(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Rotary positions of prompts, int64 of shape (3, prompts, length); they depend on no earlier call."""
    base = base_model(model)
    kinds = inputs.get("mm_token_type_ids")
    if kinds is None:
        kinds = (inputs["input_ids"] == base.config.image_token_id).int()
    found: torch.Tensor = base.model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=kinds,
        image_grid_thw=inputs.get("image_grid_thw"),
        attention_mask=inputs["attention_mask"],
    )[0]
    return found


def prompt_positions(model: Any, ids: Sequence[int], grids: torch.Tensor | None) -> torch.Tensor:
    """Rotary positions of one prompt, int64 on the CPU.

    Args:
        model: of a family with or without a vision tower.
        ids: the prompt, image tokens expanded.
        grids: int64 of shape (images, 3), of its images in order; None without images.

    Returns:
        Shape (3, length), or (1, length) without a vision tower.
    """
    if not sees_images(model):
        return torch.arange(len(ids))[None]
    if grids is None:
        return torch.arange(len(ids)).expand(3, -1)
    row = torch.tensor([ids])
    inputs = {"input_ids": row, "attention_mask": torch.ones_like(row), "image_grid_thw": grids.cpu()}
    return rope_positions(model, inputs)[:, 0]
