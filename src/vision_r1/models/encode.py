"""Prompts with their images as the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.models.chat import IMAGE_TOKENS, prompt_messages, render_prompt
from vision_r1.models.place import one_line
from vision_r1.models.processor import TextProcessor


def forbidden_tokens(processor: Any) -> list[int]:
    """Image and vision tokens: sampled, they would make the next forward pass fail (trl#3847)."""
    vocabulary = processor.tokenizer.get_vocab()
    return sorted(vocabulary[token] for token in IMAGE_TOKENS if token in vocabulary)


def encode_prompts(
    processor: Any,
    questions: Sequence[str],
    images: Sequence[Sequence[Image.Image]],
    where: Sequence[str],
    histories: Sequence[Sequence[tuple[str, str]]] | None = None,
) -> dict[str, torch.Tensor]:
    """Tokenise prompts with their images, padded on the left.

    Args:
        processor: of `load_processor`.
        questions: the latest turn of each.
        images: of all turns of each, in order.
        where: how messages name each.
        histories: earlier turns of each, see `chat.prompt_messages`; None without any.

    Returns:
        The model's inputs; `input_ids` is int64 of shape (batch, longest prompt).

    Raises:
        InputError: marks and images differ, the processor refuses an image, the model takes none, or a
            prompt's image tokens are not those of its images.
    """
    if isinstance(processor, TextProcessor) and any(images):
        place = next(name for name, pictures in zip(where, images, strict=True) if pictures)
        raise InputError("the model takes no images", where=place, fix="name a vision-language model")
    texts = [
        render_prompt(processor, prompt_messages(question, len(pictures), place, history))
        for question, pictures, place, history in zip(
            questions, images, where, histories or [()] * len(questions), strict=True
        )
    ]
    flat = [picture for pictures in images for picture in pictures]
    try:
        batch = processor(text=texts, images=flat or None, padding=True, return_tensors="pt")
    except (ValueError, TypeError) as error:
        if not flat:
            raise
        raise _image_error(processor, images, where, error) from None
    check_image_tokens(processor, batch, [len(pictures) for pictures in images], where)
    return dict(batch)


def _image_error(
    processor: Any, images: Sequence[Sequence[Image.Image]], where: Sequence[str], error: Exception
) -> InputError:
    """The processor's complaint, with the first prompt whose images it refuses alone."""
    place = where[0] if len(where) == 1 else f"{where[0]} to {where[-1]}"
    for name, pictures in zip(where, images, strict=True):
        try:
            if pictures:
                processor.image_processor(images=list(pictures))
        except (ValueError, TypeError) as own:
            place, error = name, own
            break
    fix = "check its size (neither side may be 200 times the other) and its format"
    return InputError(f"the processor cannot take its image: {one_line(error)}", where=place, fix=fix)


def check_image_tokens(processor: Any, batch: Any, counts: Sequence[int], where: Sequence[str]) -> None:
    """Refuse a batch whose image tokens per row are not what its images need."""
    found = (batch["input_ids"] == processor.image_token_id).sum(1).tolist()
    grids = batch["image_grid_thw"].prod(1).tolist() if "image_grid_thw" in batch else []
    merge = processor.image_processor.merge_size**2 if grids else 1
    start = 0
    for row, (count, place) in enumerate(zip(counts, where, strict=True)):
        needed = sum(int(patches) // merge for patches in grids[start : start + count])
        start += count
        if found[row] != needed:
            raise InputError(
                f"the prompt holds {found[row]} image tokens, its images make {needed}", where=place
            )
