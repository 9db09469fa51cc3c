"""Small random models of each family, and prompts for them, without a tokenizer."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from vision_r1.rollout.group import Group

IMAGE, START, END, EOS, WORDS = 296, 297, 298, 299, 290
VISION, TEXT = ("qwen2_5_vl", "qwen3_vl"), ("qwen2", "qwen3")
_MARKS = {"image_token_id": IMAGE, "video_token_id": 295, "vision_start_token_id": START,
          "vision_end_token_id": END}  # fmt: skip
_TEXT = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 640,
         "initializer_range": 0.2, "bos_token_id": None, "eos_token_id": EOS, "pad_token_id": 294}  # fmt: skip


def _rope(**more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, **more}}


@functools.cache
def model_of(family: str) -> Any:
    """A random model in float32; its logits are far apart, as a trained one's."""
    torch.manual_seed(1)
    if family == "qwen2_5_vl":
        vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "window_size": 56,
                  "out_hidden_size": 64, "fullatt_block_indexes": [1]}  # fmt: skip
        text = {**_TEXT, **_rope(mrope_section=[2, 3, 3])}
        model = Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_MARKS)
        )
    elif family == "qwen3_vl":
        vision = {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
                  "out_hidden_size": 64, "num_position_embeddings": 64,
                  "deepstack_visual_indexes": [0, 1]}  # fmt: skip
        text = {**_TEXT, "head_dim": 32, **_rope(mrope_section=[6, 5, 5], mrope_interleaved=True)}
        model = Qwen3VLForConditionalGeneration(
            Qwen3VLConfig(text_config=text, vision_config=vision, **_MARKS)
        )
    elif family == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**_TEXT, **_rope()))
    elif family == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**_TEXT, head_dim=32, **_rope()))
    else:
        model = LlamaForCausalLM(LlamaConfig(**_TEXT, **_rope()))
    return model.float().eval()


def group_of(
    family: str, index: int, words: int, grids: list[tuple[int, int]], seeds: list[int], caps: list[int]
) -> Group:
    """A prompt of random words with images of these patch grids (multiples of 2) before them."""
    generator = torch.Generator().manual_seed(index)
    text = torch.randint(0, WORDS, (words,), generator=generator).tolist()
    ids: list[int] = []
    for height, width in grids:
        ids += [START, *[IMAGE] * (height * width // 4), END]
    patches = sum(height * width for height, width in grids)
    size = model_of(family).config.vision_config.patch_size if grids else 0
    return Group(
        where=f"problem {index}",
        ids=[*ids, *text],
        pixels=torch.randn(patches, 6 * size * size, generator=generator) if grids else None,
        grids=torch.tensor([(1, *grid) for grid in grids]) if grids else None,
        seeds=seeds,
        caps=caps,
    )


def prompts(family: str, members: int, cap: int) -> list[Group]:
    """Prompts with and without images, of very different lengths."""
    kinds = [(5, [(4, 6)]), (60, []), (9, [(8, 8), (4, 4)]), (2, []), (30, [(2, 2)])]
    return [
        group_of(
            family,
            index,
            words,
            grids if family in VISION else [],
            [100 * index + member for member in range(members)],
            [cap] * members,
        )
        for index, (words, grids) in enumerate(kinds)
    ]


def plain_inputs(family: str, group: Group, written: list[int]) -> dict[str, torch.Tensor]:
    """A prompt and what was written after it, for the model's own forward pass."""
    ids = torch.tensor([[*group.ids, *written]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if group.pixels is not None and group.grids is not None:
        kinds = (ids == IMAGE).int()
        inputs |= {"pixel_values": group.pixels, "image_grid_thw": group.grids, "mm_token_type_ids": kinds}
    return inputs


def save(family: str, processor: Any, folder: Path) -> Path:
    """A model directory of the family, with the words and template of another processor."""
    tokenizer = processor.tokenizer

    def token(text: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(text))

    model = model_of.__wrapped__(family)
    base, text = model.config, model.config.get_text_config()
    text.vocab_size, text.eos_token_id = len(tokenizer), tokenizer.eos_token_id
    text.pad_token_id = tokenizer.pad_token_id
    if family in VISION:
        base.image_token_id, base.video_token_id = token("<|image_pad|>"), token("<|video_pad|>")
        base.vision_start_token_id = token("<|vision_start|>")
        base.vision_end_token_id = token("<|vision_end|>")
    torch.manual_seed(2)
    type(model)(base).save_pretrained(folder)
    if family in VISION:
        processor.save_pretrained(folder)
        path = folder / "preprocessor_config.json"
        size = base.vision_config.patch_size
        settings = {"patch_size": size, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        names = {"processor_class": "Qwen3VLProcessor"} if family == "qwen3_vl" else {}
        path.write_text(json.dumps({**json.loads(path.read_text()), **settings, **names}))
    else:
        tokenizer.save_pretrained(folder)
    return folder
