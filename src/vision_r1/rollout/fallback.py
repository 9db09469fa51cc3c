"""Families that the decoder does not know: transformers' `generate` drives, our draw decides.

`generate` decodes greedily over scores in which only the drawn token is left, so noise, log-probs, caps and
stop strings are those of `complete`; every completion reads its prompt and images anew.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from vision_r1.models.packing import can_pack, why_plain
from vision_r1.models.parts import base_model
from vision_r1.rollout.group import Completion, Group
from vision_r1.rollout.memory import Budget
from vision_r1.rollout.row import Drawer, Drawing, Row

logger = logging.getLogger(__name__)


@functools.cache
def _say(why: str) -> None:
    logger.warning("rollouts go through transformers' generate, which is slower: %s", why)


def complete_by_generate(
    model: Any,
    groups: Sequence[Group],
    drawing: Drawing,
    budget: Budget,
    on_done: Callable[[int], None],
) -> list[list[Completion]]:
    """As `complete.complete_groups`, by `generate`; the budget's tokens are not kept to, its rows are."""
    base = base_model(model)
    _say(why_plain(base) if not can_pack(base) else f"{base.config.model_type} with layers not known here")
    drawer = Drawer(drawing, groups)
    results: list[list[Completion]] = []
    part: list[int] = []
    for index in range(len(groups)):
        part.append(index)
        following = len(groups[index + 1].seeds) if index + 1 < len(groups) else budget.rows
        if sum(len(groups[k].seeds) for k in part) + following > budget.rows:
            results += _generate(model, groups, part, drawer)
            for done in part:
                on_done(done)
            part = []
    return results


def _generate(
    model: Any, groups: Sequence[Group], part: Sequence[int], drawer: Drawer
) -> list[list[Completion]]:
    rows = [
        Row(index, member, seed, groups[index].caps[member])
        for index in part
        for member, seed in enumerate(groups[index].seeds)
    ]
    ends = min(drawer.eos)
    config = GenerationConfig(
        max_new_tokens=max(row.cap for row in rows), do_sample=False, eos_token_id=ends, pad_token_id=ends
    )
    chooser = LogitsProcessorList([_Chooser(drawer, rows, ends)])
    inputs = _inputs(model, [groups[row.group] for row in rows])
    model.generate(**inputs, generation_config=config, logits_processor=chooser)
    found: dict[int, list[Completion]] = {index: [] for index in part}
    for row in rows:
        found[row.group].append(row.completion())
    return [found[index] for index in part]


class _Chooser(LogitsProcessor):  # type: ignore[misc]
    """Leaves the drawn token of each row, and the end for rows that have ended."""

    def __init__(self, drawer: Drawer, rows: Sequence[Row], end: int) -> None:
        self._drawer, self._rows, self._end = drawer, rows, end

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        tokens, _ = self._drawer.draw(self._rows, scores)
        over = torch.tensor([row.stop is not None for row in self._rows], device=tokens.device)
        tokens = tokens.masked_fill(over, self._end)
        return torch.full_like(scores, float("-inf")).scatter(1, tokens[:, None], 0.0)


def _inputs(model: Any, groups: Sequence[Group]) -> dict[str, torch.Tensor]:
    """Prompts padded on the left, with their images, as the family's processor gives them."""
    device = next(model.parameters()).device
    longest = max(len(group.ids) for group in groups)
    ids = torch.tensor([[0] * (longest - len(group.ids)) + list(group.ids) for group in groups])
    spare = torch.tensor([longest - len(group.ids) for group in groups])
    inputs = {"input_ids": ids, "attention_mask": (torch.arange(longest) >= spare[:, None]).long()}
    pixels = [group.pixels for group in groups if group.pixels is not None]
    grids = [group.grids for group in groups if group.grids is not None]
    if pixels:
        image = base_model(model).config.image_token_id
        inputs |= {"pixel_values": torch.cat(pixels), "image_grid_thw": torch.cat(grids)}
        inputs["mm_token_type_ids"] = (ids == image).int()
    return {name: value.to(device) for name, value in inputs.items()}
