"""Packed rows: the fast attention is the reference, the model's outputs are those of each sequence alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from vision_r1.core.errors import ConfigError
from vision_r1.models.packing import (
    NAME,
    Layout,
    Segment,
    attend,
    attend_reference,
    can_pack,
    enable_packing,
    packed_inputs,
    row_of,
)
from vision_r1.models.parts import prompt_positions
from vision_r1.train.groups import pack_groups


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Groups of a prompt and its completions, some prompts alone, some completions of one token."""
    segments, end = [], 0
    for _ in range(draw(st.integers(1, 3))):
        prompt = (end, end + draw(st.integers(1, 9)))
        segments.append(Segment(*prompt))
        end = prompt[1]
        for _ in range(draw(st.integers(0, 3))):
            stop = end + draw(st.integers(1, 7))
            segments.append(Segment(end, stop, prompt))
            end = stop
    return Layout(tuple(segments))


@settings(max_examples=60, deadline=None)
@given(layouts(), st.sampled_from([(4, 4), (4, 2), (6, 1)]), st.integers(0, 99))
def test_the_fast_attention_is_the_reference_gradients_too(
    layout: Layout, heads: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, heads[0], layout.length, 8), *[(1, heads[1], layout.length, 8)] * 2]
    found = []
    tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    upstream = torch.randn(shapes[0], generator=generator)
    for function in (attend, attend_reference):
        query, key, value = (tensor.clone().requires_grad_() for tensor in tensors)
        out = function(query, key, value, layout, 8**-0.5)
        out.backward(upstream)
        found.append([out.detach(), query.grad, key.grad, value.grad])
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, atol=2e-5, rtol=1e-5)


def test_a_layout_must_be_the_row() -> None:
    assert row_of([3, 2]).segments == (Segment(0, 3), Segment(3, 5))
    with pytest.raises(ValueError, match="follow"):
        Layout((Segment(0, 3), Segment(4, 5)))
    with pytest.raises(ValueError, match="before"):
        Layout((Segment(0, 3), Segment(3, 5, (2, 4))))


TEXT = {
    "vocab_size": 99, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "tie_word_embeddings": True,
}  # fmt: skip
VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32}
MARKS = {
    "image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92, "vision_end_token_id": 93,
}  # fmt: skip


def family(name: str) -> Any:
    """A random model of a family."""
    torch.manual_seed(0)
    if name == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**TEXT)).eval()
    if name == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**TEXT, head_dim=8)).eval()
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
    if name == "qwen2_5_vl":
        text = {**TEXT, "rope_parameters": rope}
        vision = {**VISION, "fullatt_block_indexes": [0], "window_size": 56}
        return Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **MARKS)
        ).eval()
    text = {**TEXT, "head_dim": 8, "rope_parameters": rope}
    vision = {**VISION, "deepstack_visual_indexes": [0], "num_position_embeddings": 64}
    return Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **MARKS)
    ).eval()


def row(model: Any, prompt: list[int], completion: list[int], pixels: torch.Tensor | None) -> torch.Tensor:
    """Logits at each completion token of one sequence alone, without anything of ours."""
    ids = torch.tensor([prompt + completion])
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if pixels is not None:
        inputs |= {"pixel_values": pixels, "image_grid_thw": GRID, "mm_token_type_ids": (ids == 90).int()}
    logits: torch.Tensor = model(**inputs).logits[0, len(prompt) - 1 : -1]
    return logits


GRID = torch.tensor([[1, 4, 8]])


@pytest.mark.parametrize("name", ["qwen2", "qwen3", "qwen2_5_vl", "qwen3_vl"])
def test_a_packed_row_gives_each_sequences_own_logits(name: str) -> None:
    model = family(name)
    vision = hasattr(model.config, "vision_config")
    generator = torch.Generator().manual_seed(1)
    picture = [92, *[90] * 8, 93] if vision else [7]
    prompts = [[1, *picture, 2, 3], [4, *picture, 5]]
    completions = [[10, 11, 12], [13], [14, 15], [16, 17, 18, 19]]
    places = [0, 0, 0, 1]
    patch = {"qwen2_5_vl": 14, "qwen3_vl": 16}.get(name, 0)
    pixels = [torch.randn(32, 3 * 2 * patch**2, generator=generator) if vision else None for _ in prompts]
    with torch.no_grad():
        expected = [row(model, prompts[p], c, pixels[p]) for p, c in zip(places, completions, strict=True)]
    enable_packing(model)
    with torch.no_grad():
        again = row(model, prompts[0], completions[0], pixels[0])
    torch.testing.assert_close(again, expected[0])
    positions = [prompt_positions(model, prompt, GRID if vision else None) for prompt in prompts]
    packed = pack_groups(prompts, positions, places, [torch.tensor(c) for c in completions])
    inputs = {"input_ids": packed.input_ids, "position_ids": packed.position_ids}
    if vision:
        inputs |= {"pixel_values": torch.cat(pixels), "image_grid_thw": GRID.repeat(2, 1)}
    with torch.no_grad():
        logits = model(**inputs, **packed_inputs(packed.layout)).logits[0]
    for start, theirs in zip(packed.starts.tolist(), expected, strict=True):
        torch.testing.assert_close(logits[start : start + len(theirs)], theirs, atol=2e-5, rtol=1e-4)


def test_no_mask_is_built_for_a_packed_row() -> None:
    """A dense one would be quadratic in the row."""
    masks = []

    def mask(*args: Any, **kwargs: Any) -> Any:
        masks.append(sdpa_mask(*args, **kwargs))
        return masks[-1]

    AttentionMaskInterface.register(NAME, mask)
    try:
        for name in ("qwen2", "qwen3", "qwen2_5_vl", "qwen3_vl"):
            model = family(name)
            enable_packing(model)
            prompts = [[1, 2, 3], [4, 5]]
            positions = [prompt_positions(model, prompt, None) for prompt in prompts]
            packed = pack_groups(prompts, positions, [0, 0, 1], [torch.tensor([6, 7])] * 3)
            with torch.no_grad():
                model(
                    input_ids=packed.input_ids,
                    position_ids=packed.position_ids,
                    **packed_inputs(packed.layout),
                )
    finally:
        AttentionMaskInterface.register(NAME, sdpa_mask)
    assert all(found is None for found in masks)


def test_another_family_is_refused() -> None:
    model = LlamaForCausalLM(LlamaConfig(**{**TEXT, "num_hidden_layers": 1}))
    assert not can_pack(model)
    with pytest.raises(ConfigError, match="llama"):
        enable_packing(model)
    sliding = Qwen2Config(**TEXT, use_sliding_window=True, sliding_window=8, max_window_layers=0)
    assert not can_pack(Qwen2ForCausalLM(sliding))
