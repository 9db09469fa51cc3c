"""Groups of completions for a few prompts: each prompt is read once, finished rows leave the batch.

transformers' `generate` reads every prompt once per completion and keeps finished rows until the
last one ends. Here the noise is keyed by row and position (inverse transform sampling), so a
completion does not depend on its neighbours but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from vision_r1.core.errors import CollapseError

# (token ids so far of shape (rows, position), logits of shape (rows, vocabulary)) -> logits
Warp = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer in memory taken once: growing them by a copy at each token is slow."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self._store: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append in place; the batch may have shrunk or grown since the last call."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        past = self.get_seq_length()
        rows, heads, new, width = key_states.shape
        store = self._store
        if store is None or store[0].shape[0] != rows or store[0].shape[2] < past + new:
            shape = (rows, heads, max(past + new, self.room), width)
            store = (key_states.new_empty(shape), value_states.new_empty(shape))
            if past:
                store[0][:, :, :past], store[1][:, :, :past] = self.keys, self.values
            self._store = store
        store[0][:, :, past : past + new], store[1][:, :, past : past + new] = key_states, value_states
        self.keys, self.values = store[0][:, :, : past + new], store[1][:, :, : past + new]
        return self.keys, self.values


def warp_of(config: Any, forbidden: Sequence[int]) -> Warp:
    """The change of logits that a GenerationConfig asks for: temperature, top-k, top-p, min-p, repetition."""
    from transformers import LogitsProcessorList
    from transformers.generation import (
        MinPLogitsWarper,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    steps: list[Any] = []
    if config.repetition_penalty not in (None, 1.0):
        steps.append(RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    if config.temperature not in (None, 1.0):
        steps.append(TemperatureLogitsWarper(config.temperature))
    if config.top_k:
        steps.append(TopKLogitsWarper(config.top_k))
    if config.top_p not in (None, 1.0):
        steps.append(TopPLogitsWarper(config.top_p))
    if config.min_p:
        steps.append(MinPLogitsWarper(config.min_p))
    processors = LogitsProcessorList(steps)
    banned = torch.tensor(list(forbidden), dtype=torch.long)

    def warp(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.float().index_fill(1, banned.to(logits.device), float("-inf"))
        return processors(ids, logits) if steps else logits

    return warp


def draw_tokens(logits: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Inverse transform sampling: the first token at which the cumulative probability exceeds u.

    Args:
        logits: float of shape (rows, vocabulary); -inf is never drawn.
        uniforms: float64 of shape (rows,), in [0, 1).

    Returns:
        Token ids, int64 of shape (rows,).
    """
    cumulative = torch.softmax(logits.double(), dim=-1).cumsum(-1)
    total = cumulative[:, -1]
    if not bool(torch.isfinite(total).all()):
        raise CollapseError("the model's logits are not finite")
    # Below the total even after rounding, so that a token of probability 0 at the end is not drawn.
    wanted = torch.minimum(uniforms.to(cumulative) * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, wanted[:, None], right=True)[:, 0]


@torch.no_grad()
def sample_groups(
    model: Any,
    inputs: dict[str, torch.Tensor],
    uniforms: torch.Tensor,
    *,
    warp: Warp,
    eos: Sequence[int],
) -> list[list[int]]:
    """Complete each prompt several times.

    Args:
        model: a Qwen2.5-VL model; its mode is left as it is.
        inputs: of `models.load.encode_prompts`, padded on the left; `input_ids` is (prompts, length).
        uniforms: float64 of shape (prompts * group, cap): the noise of each completion; rows of one
            prompt lie together.
        warp: the change of logits before drawing, see `warp_of`.
        eos: tokens that end a completion.

    Returns:
        Token ids of each completion, the ending token included; a completion that was cut has none.

    Raises:
        CollapseError: logits that are not finite.
    """
    prompts, width = inputs["input_ids"].shape
    rows, cap = uniforms.shape
    group = rows // prompts
    positions = rope_positions(model, inputs)
    cache, logits = _read_prompts(model, inputs, positions, group, width + cap)
    following = (positions.amax((0, 2)) + 1).repeat_interleave(group)
    mask = torch.cat(
        [inputs["attention_mask"].repeat_interleave(group, 0), logits.new_ones(rows, cap).long()], 1
    )
    ids = torch.cat([inputs["input_ids"].repeat_interleave(group, 0), mask.new_zeros(rows, cap)], 1)
    ends = torch.tensor(list(eos), device=ids.device)
    lengths = torch.full((rows,), cap, device=ids.device)
    alive = torch.arange(rows, device=ids.device)
    for step in range(cap):
        place = width + step
        tokens = draw_tokens(warp(ids[alive, :place], logits), uniforms[alive, step])
        ids[alive, place] = tokens
        going = lengths[alive] > step
        lengths[alive[going & torch.isin(tokens, ends)]] = step + 1
        chosen = (lengths[alive] > step + 1).nonzero()[:, 0]
        if len(chosen) == 0:
            break
        # Taking rows out copies the cache: worth it for some rows at a time.
        if len(chosen) <= len(alive) - max(1, len(alive) // 8):
            cache.batch_select_indices(chosen)
            alive, tokens = alive[chosen], tokens[chosen]
        output = model(
            input_ids=tokens[:, None],
            attention_mask=mask[alive, : place + 1],
            position_ids=(following[alive] + step)[None, :, None].expand(3, -1, 1),
            past_key_values=cache,
            use_cache=True,
            return_dict=True,
        )
        logits = output.logits[:, -1]
    completions = ids[:, width:].tolist()
    return [row[:length] for row, length in zip(completions, lengths.tolist(), strict=True)]


def _read_prompts(
    model: Any, inputs: dict[str, torch.Tensor], positions: torch.Tensor, group: int, room: int
) -> tuple[Cache, torch.Tensor]:
    """Each prompt goes through the model once; its cache and next logits are repeated for the group."""
    layers = [_RoomyLayer(room) for _ in range(model.config.get_text_config().num_hidden_layers)]
    cache = Cache(layers=layers)
    output = model(
        **inputs,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
        return_dict=True,
    )
    cache.batch_repeat_interleave(group)
    return cache, output.logits[:, -1].repeat_interleave(group, 0)


def rope_positions(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Rotary positions of prompts, int64 of shape (3, prompts, length); they depend on no earlier call."""
    kinds = inputs.get("mm_token_type_ids")
    if kinds is None:
        kinds = (inputs["input_ids"] == model.config.image_token_id).int()
    found: torch.Tensor = model.model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=kinds,
        image_grid_thw=inputs.get("image_grid_thw"),
        attention_mask=inputs["attention_mask"],
    )[0]
    return found
