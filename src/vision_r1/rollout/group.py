"""What the engine completes: one prompt and its completions, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vision_r1.core.errors import InputError
from vision_r1.models.parts import base_model, sees_images
from vision_r1.rollout.trace import StopReason


class ContextError(InputError):
    """A prompt and its cap exceed the model's context, or the memory that the cache may take."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A prompt and the completions to make of it.

    Attributes:
        where: names the prompt in messages.
        ids: token ids, image tokens expanded.
        pixels: patches of its images, float of shape (patches, patch values); None without images.
        grids: int64 of shape (images, 3): (1, patch rows, patch columns) of each image; None without images.
        seeds: of the noise of each completion; as many completions are made.
        caps: the most tokens of each completion, as many as seeds.
        stops: texts that end a completion.
        images: a name of each image's content; equal names go through the vision tower once a call.
            Empty: each image is taken for another.
    """

    where: str
    ids: Sequence[int]
    pixels: torch.Tensor | None
    grids: torch.Tensor | None
    seeds: Sequence[int]
    caps: Sequence[int]
    stops: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """What was written.

    Attributes:
        ids: its tokens; the ending one included, none where it was cut at its cap.
        logprobs: float32 of each token under the distribution it was drawn from (after temperature, top-k
            and the like, forbidden tokens left out); of greedy decoding, that at temperature 1.
        stop: why it ended.
    """

    ids: list[int]
    logprobs: list[float]
    stop: StopReason


def check_groups(model: Any, groups: Sequence[Group]) -> None:
    """Refuse what could not be completed, before anything is computed.

    Raises:
        InputError: naming the prompt: images for a model without a vision tower, patches of another size
            than the tower takes, image tokens that are not as many as the tower will make of the images,
            a prompt that holds no token, or no room.
        ContextError: a prompt and its longest cap exceed the context.
    """
    config = base_model(model).config
    context = int(config.get_text_config().max_position_embeddings)
    for group in groups:
        if not group.ids:
            raise InputError("the prompt is empty", where=group.where)
        if not group.caps or len(group.caps) != len(group.seeds) or min(group.caps) < 1:
            raise ValueError(f"{group.where}: one cap of at least 1 for each seed")
        _check_images(model, config, group, context)
        check_context(model, len(group.ids), max(group.caps), group.where)


def check_context(model: Any, prompt: int, completion: int, where: str) -> None:
    """Refuse a prompt and cap that do not fit the model's positions together. ContextError naming it."""
    context = int(base_model(model).config.get_text_config().max_position_embeddings)
    if prompt + completion > context:
        raise ContextError(
            f"prompt of {prompt} tokens and a cap of {completion} exceed the context of {context}",
            where=where,
            fix="lower the cap, shorten the question or shrink its images",
        )


def _check_images(model: Any, config: Any, group: Group, context: int) -> None:
    if not sees_images(model):
        if group.grids is not None:
            raise InputError("the model takes no images", where=group.where, fix="name a vision model")
        return
    vision, found = config.vision_config, list(group.ids).count(config.image_token_id)
    cells = [] if group.grids is None else group.grids.prod(1).tolist()
    needed = sum(cell // vision.spatial_merge_size**2 for cell in cells)
    if needed >= context:
        raise ContextError(
            f"its images make {needed} tokens, the context holds {context}",
            where=group.where,
            fix="lower the processor's max_pixels or shrink the images",
        )
    if found != needed:
        raise InputError(
            f"the prompt holds {found} image tokens, the model makes {needed} of its images",
            where=group.where,
            fix="use the processor of the model",
        )
    if group.pixels is not None:
        channels = getattr(vision, "in_channels", 3)
        width = channels * vision.temporal_patch_size * vision.patch_size**2
        if list(group.pixels.shape) != [sum(cells), width]:
            raise InputError(
                f"its patches are of shape {list(group.pixels.shape)}, the model takes {[sum(cells), width]}",
                where=group.where,
                fix="use the processor of the model",
            )
