"""Load a model with its processor, refuse what cannot be right, and encode prompts with their images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from vision_r1.core.errors import InputError
from vision_r1.models.chat import IMAGE_TOKENS, prompt_messages, render_prompt
from vision_r1.models.processor import ImageProcessor, image_processor
from vision_r1.models.tiny import Role, shipped

Precision = Literal["float32", "bfloat16"]
TINY = "tiny:"


@dataclass(frozen=True)
class LoadedModel:
    """A vision-language model with its processor.

    Attributes:
        model: a transformers image-text-to-text model, in eval mode.
        processor: its processor; `.tokenizer` pads on the left.
        name: the reference it was loaded from.
    """

    model: Any
    processor: Any
    name: str


def resolve(reference: str) -> str:
    """Turn `tiny:base` into the shipped folder; leave folders and hub ids as they are."""
    if not reference.startswith(TINY):
        return reference
    role: Role
    for role in ("base", "teacher"):
        if reference == f"{TINY}{role}":
            return str(shipped(role))
    raise InputError(f"no shipped model {reference!r}", fix="tiny:base or tiny:teacher")


def load_processor(reference: str) -> Any:
    """The processor of a model directory or hub id; Qwen's works without torchvision.

    Raises:
        InputError: the directory has no tokenizer, image processor or chat template.
    """
    place = resolve(reference)
    folder = Path(place)
    if folder.is_dir():
        for name, what in (
            ("tokenizer_config.json", "tokenizer"),
            ("preprocessor_config.json", "image processor"),
        ):
            if not (folder / name).exists():
                fix = "copy the processor files of the base model beside the weights"
                raise InputError(f"model directory without {what} ({name})", where=place, fix=fix)
    elif not _is_hub_id(place):
        raise InputError("no such model directory", where=place)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left")
        template = tokenizer.chat_template or _template_file(folder)
        pixels = _pixel_budget(place)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load the processor: {_first_line(error)}", where=place) from None
    if template is None:
        raise InputError("the tokenizer has no chat template", where=place, fix="add chat_template.jinja")
    tokenizer.chat_template = template
    return ImageProcessor(image_processor(*pixels), tokenizer, template)


def _template_file(folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    return path.read_text(encoding="utf-8") if path.exists() else None


def _is_hub_id(text: str) -> bool:
    parts = text.split("/")
    return len(parts) == 2 and all(parts) and not text.startswith((".", "/", "~"))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__


def _pixel_budget(place: str) -> tuple[int, int]:
    """(min_pixels, max_pixels) of a Qwen preprocessor_config.json, in either of its two spellings."""
    folder = Path(place)
    if folder.is_dir():
        path = folder / "preprocessor_config.json"
    else:
        from huggingface_hub import hf_hub_download

        path = Path(hf_hub_download(place, "preprocessor_config.json"))
    data = json.loads(path.read_text(encoding="utf-8"))
    size = data.get("size") or {}
    low = data.get("min_pixels") or size.get("shortest_edge") or size.get("min_pixels")
    high = data.get("max_pixels") or size.get("longest_edge") or size.get("max_pixels")
    if not isinstance(low, int) or not isinstance(high, int):
        raise ValueError("preprocessor_config.json states no pixel budget (min_pixels, max_pixels)")
    return low, high


def load_model(reference: str, precision: Precision = "float32") -> LoadedModel:
    """Load weights and processor from `tiny:base`, a model directory or a hub id.

    Raises:
        InputError: no such place, no processor, an unknown architecture, or a tokenizer whose
            ids do not fit the embedding table (another model's vocabulary).
    """
    place = resolve(reference)
    processor = load_processor(reference)
    if Path(place).is_dir() and not (Path(place) / "config.json").exists():
        raise InputError("model directory without config.json", where=place)
    try:
        config = AutoConfig.from_pretrained(place)
        model = AutoModelForImageTextToText.from_pretrained(
            place, config=config, dtype=getattr(torch, precision), attn_implementation="sdpa"
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot load the model: {_first_line(error)}", where=place) from None
    check_vocabulary(model.config, processor, place)
    model.eval()
    return LoadedModel(model, processor, reference)


def check_vocabulary(config: Any, processor: Any, where: str) -> None:
    """Refuse a tokenizer that is not this model's: ids past the table, or another image token."""
    text = getattr(config, "text_config", config)
    if len(processor.tokenizer) > text.vocab_size:
        raise InputError(
            f"the tokenizer has {len(processor.tokenizer)} tokens, the model {text.vocab_size}",
            where=where,
            fix="use the tokenizer the model was trained with",
        )
    if getattr(config, "image_token_id", processor.image_token_id) != processor.image_token_id:
        raise InputError(
            f"the tokenizer's image token is {processor.image_token_id}, the model's {config.image_token_id}",
            where=where,
            fix="use the tokenizer the model was trained with",
        )


def forbidden_tokens(processor: Any) -> list[int]:
    """Image and vision tokens: sampled, they would make the next forward pass fail (trl#3847)."""
    vocabulary = processor.tokenizer.get_vocab()
    return sorted(vocabulary[token] for token in IMAGE_TOKENS if token in vocabulary)


def encode_prompts(
    processor: Any, questions: Sequence[str], images: Sequence[Sequence[Image.Image]], where: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Tokenise prompts with their images, padded on the left.

    Returns:
        The model's inputs; `input_ids` is int64 of shape (batch, longest prompt).

    Raises:
        InputError: marks and images differ, or a prompt's image tokens are not those of its images.
    """
    texts = [
        render_prompt(processor, prompt_messages(question, len(pictures), place))
        for question, pictures, place in zip(questions, images, where, strict=True)
    ]
    flat = [picture for pictures in images for picture in pictures]
    batch = processor(text=texts, images=flat or None, padding=True, return_tensors="pt")
    check_image_tokens(processor, batch, [len(pictures) for pictures in images], where)
    return dict(batch)


def check_image_tokens(processor: Any, batch: Any, counts: Sequence[int], where: Sequence[str]) -> None:
    """Refuse a batch whose image tokens per row are not what its images need."""
    found = (batch["input_ids"] == processor.image_token_id).sum(1).tolist()
    merge = processor.image_processor.merge_size**2
    grids = batch["image_grid_thw"].prod(1).tolist() if "image_grid_thw" in batch else []
    start = 0
    for row, (count, place) in enumerate(zip(counts, where, strict=True)):
        needed = sum(int(patches) // merge for patches in grids[start : start + count])
        start += count
        if found[row] != needed:
            raise InputError(
                f"the prompt holds {found[row]} image tokens, its images make {needed}", where=place
            )
