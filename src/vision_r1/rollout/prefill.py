"""Prompts through the model once: images through the vision tower, then several prompts as one packed row.

The model's own forward pass does it (deepstack features, three-fold rotary positions and all), with
attention over packed rows (`models.packing`), so nothing is padded; a recorder in the cache's place puts
each prompt's keys and values into its block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import torch

from vision_r1.models.packing import Layout, enable_packing, packed_inputs, row_of
from vision_r1.models.parts import base_model
from vision_r1.rollout.block import Block
from vision_r1.rollout.group import Group

ROW_TOKENS = 8192  # of a packed row; a longer prompt is a row of its own
TOWER_PATCHES = 16384  # in the vision tower at a time


class Images:
    """Features of images, each distinct one computed once and kept until its last prompt has been read.

    Args:
        model: with a vision tower, if any group has images.
        groups: all that will be asked for.
    """

    def __init__(self, model: Any, groups: Sequence[Group]) -> None:
        self._model = base_model(model)
        self._uses = Counter(key for group in groups for key, _, _ in _images(group))
        self._features: dict[object, list[torch.Tensor]] = {}
        self.computed = 0

    def of(self, groups: Sequence[Group]) -> dict[str, Any] | None:
        """What the model takes as `mm_encoder_outputs` for these prompts in a row; None without images."""
        found = [image for group in groups for image in _images(group)]
        if not found:
            return None
        missing = {key: (pixels, grid) for key, pixels, grid in found if key not in self._features}
        for keys in _within([(key, len(pixels)) for key, (pixels, _) in missing.items()], TOWER_PATCHES):
            self._compute({key: missing[key] for key in keys})
        levels = list(zip(*(self._features[key] for key, _, _ in found), strict=True))
        for key, _, _ in found:
            self._uses[key] -= 1
            if not self._uses[key]:
                self._features.pop(key, None)
        return {"image": SimpleNamespace(pooler_output=levels[0], deepstack_features=levels[1:])}

    def _compute(self, images: dict[object, tuple[torch.Tensor, torch.Tensor]]) -> None:
        device = self._model.get_input_embeddings().weight.device
        output = self._model.get_image_features(
            torch.cat([pixels for pixels, _ in images.values()]).to(device),
            torch.stack([grid for _, grid in images.values()]).to(device),
            return_dict=True,
        )
        deeper = getattr(output, "deepstack_features", None) or []
        for index, key in enumerate(images):
            self._features[key] = [output.pooler_output[index], *(level[index] for level in deeper)]
        self.computed += len(images)


def _images(group: Group) -> Iterator[tuple[object, torch.Tensor, torch.Tensor]]:
    """(key, patches, grid) of each image of a prompt."""
    if group.pixels is None or group.grids is None:
        return
    keys: Sequence[object] = group.images or [(id(group), index) for index in range(len(group.grids))]
    parts = torch.split(group.pixels, group.grids.prod(1).tolist())
    yield from zip(keys, parts, group.grids, strict=True)


class _Recorder:
    """Stands where a cache would; hands the new keys and values back as they are."""

    def __init__(self, block: Block, first: int, layout: Layout) -> None:
        self.block, self.first, self.layout = block, first, layout

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a packed row: (1, key heads, tokens, width)."""
        for prompt, segment in enumerate(self.layout.segments, self.first):
            own = slice(segment.start, segment.stop)
            self.block.take_prompt(layer, prompt, keys[0, :, own], values[0, :, own])
        return keys, values


def read_prompts(
    model: Any, groups: Sequence[Group], positions: Sequence[torch.Tensor], block: Block, images: Images
) -> torch.Tensor:
    """Fill the prompts of a new block.

    Args:
        model: of a family that `decoder.supports`; its attention is set to that of packed rows.
        groups: whose prompts they are, in the block's order.
        positions: of `models.parts.prompt_positions`, for each.
        block: takes keys and values in.
        images: features.

    Returns:
        The logits after each prompt, of shape (prompts, vocabulary).
    """
    base = base_model(model)
    enable_packing(base)
    device = base.get_input_embeddings().weight.device
    found = []
    for row in _within([(index, len(group.ids)) for index, group in enumerate(groups)], ROW_TOKENS):
        chosen = [groups[index] for index in row]
        layout = row_of([len(group.ids) for group in chosen])
        features = images.of(chosen)
        output = base(
            input_ids=torch.tensor([[token for group in chosen for token in group.ids]], device=device),
            position_ids=_row_positions([positions[index] for index in row]).to(device),
            past_key_values=_Recorder(block, row[0], layout),
            logits_to_keep=torch.tensor([segment.stop - 1 for segment in layout.segments], device=device),
            return_dict=True,
            **packed_inputs(layout),
            **({"mm_encoder_outputs": features} if features else {}),
        )
        found.append(output.logits[0])
    return torch.cat(found)


def _row_positions(positions: Sequence[torch.Tensor]) -> torch.Tensor:
    """Positions as the model takes them: (3, 1, tokens), or (1, tokens) without a vision tower."""
    row = torch.cat(list(positions), dim=1)
    return row if len(row) == 1 else row[:, None]


def _within(sizes: Sequence[tuple[Any, int]], limit: int) -> Iterator[list[Any]]:
    """Neighbours together while their sizes stay within the limit, one at least."""
    part: list[Any] = []
    total = 0
    for key, size in sizes:
        if part and total + size > limit:
            yield part
            part, total = [], 0
        part.append(key)
        total += size
    if part:
        yield part
