"""Per-token log-probabilities of completions: each prompt and its images go through the model once.

    log pi(o_t | q, o_<t) = z_t[o_t] - logsumexp(z_t),   H_t = -sum_v pi_t[v] log pi_t[v],
    z = logits / temperature

TRL's fused head (`add_fused_lm_head`) makes them in tiles, so that the logits of a whole row never exist.
The packed row goes through the model's root forward: adapters, gradient checkpointing and the wrappers of
several processes see nothing unusual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vision_r1.models.packing import packed_inputs
from vision_r1.train.data import pad_rows
from vision_r1.train.groups import PackedGroups, pack_groups


def packed_logps(
    model: Any,
    core: Any,
    prompts: Sequence[Sequence[int]],
    positions: Sequence[torch.Tensor],
    media: dict[str, Any],
    place: Sequence[int],
    completion_ids: torch.Tensor,
    completion_mask: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """One packed pass over the completions of some prompts.

    Args:
        model: what is called, wrapped or not; has TRL's fused head.
        core: the same model, not wrapped, for its configuration.
        prompts: token ids of the distinct prompts.
        positions: of `models.parts.prompt_positions`, for each.
        media: keywords of the prompts' images, in their order.
        place: which prompt each completion belongs to, ascending.
        completion_ids: int64 of shape (rows, tokens), padded on the right.
        completion_mask: 0/1 of the same shape; a row of zeros alone gives zeros.

    Returns:
        Log-probabilities and entropies (None where the head makes none), float32 of shape (rows, tokens);
        0 where the mask is.
    """
    lengths = completion_mask.sum(1).clamp(min=1).tolist()
    completions = [ids[:length] for ids, length in zip(completion_ids, lengths, strict=True)]
    packed = pack_groups(prompts, positions, place, completions)
    output = model(**fused_inputs(core, packed, completion_ids.device), **media)
    logps = packed.unpacked(output.log_probs, completion_mask)
    return logps, None if output.entropy is None else packed.unpacked(output.entropy, completion_mask)


def fused_inputs(core: Any, packed: PackedGroups, device: torch.device) -> dict[str, Any]:
    """Keywords of a pass over a packed row through TRL's fused head, beside the images'."""
    return {
        "input_ids": packed.input_ids.to(device),
        "position_ids": packed.position_ids.to(device),
        "shift_labels": packed.shift_labels.to(device),
        "fused_lm_head": True,
        **packed_inputs(packed.layout),
    }


def plain_logps(
    model: Any,
    prompts: Sequence[Sequence[int]],
    positions: Sequence[torch.Tensor] | None,
    media: dict[str, Any],
    image_token: int | None,
    pad: int,
    completion_ids: torch.Tensor,
    completion_mask: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The reference of `packed_logps`, and what other families get: each completion carries its prompt.

    Args:
        model: has TRL's fused head.
        prompts: token ids of each completion's prompt.
        positions: rotary positions of each of these, None for a family that makes its own.
        media: keywords of the images of every row, those of a group repeated.
        image_token: marks image tokens for families that are told of them; None for text models.
        pad: the padding token.
        completion_ids: int64 of shape (rows, tokens), padded on the right.
        completion_mask: 0/1 of the same shape.
    """
    tokens = completion_ids.shape[1]
    ids, mask = pad_rows(prompts, pad, "left")
    device = completion_ids.device
    input_ids = torch.cat([ids.to(device), completion_ids], 1)
    attention_mask = torch.cat([mask.to(device), completion_mask], 1)
    labels = input_ids.masked_fill(attention_mask == 0, -100)
    labels[:, :-tokens] = -100
    extra: dict[str, Any] = {}
    if positions is not None:
        extra["position_ids"] = _padded_positions(positions, ids.shape[1], tokens).to(device)
    elif image_token is not None:
        kinds = (input_ids == image_token).int()
        kinds[:, -tokens:] = 0
        extra["mm_token_type_ids"] = kinds
    output = model(
        input_ids=input_ids,
        attention_mask=attention_mask,
        labels=labels,
        fused_lm_head=True,
        **media,
        **extra,
    )
    entropy = None if output.entropy is None else output.entropy[:, -tokens:]
    return output.log_probs[:, -tokens:], entropy


def _padded_positions(positions: Sequence[torch.Tensor], width: int, tokens: int) -> torch.Tensor:
    """Positions of prompts padded on the left, and of so many tokens after them."""
    rows = []
    for where in positions:
        steps = torch.arange(tokens).expand(len(where), -1) + int(where.max()) + 1
        lead = torch.ones(len(where), width - where.shape[1], dtype=torch.long)
        rows.append(torch.cat([lead, where, steps], dim=1))
    stacked = torch.stack(rows, dim=1)
    return stacked if len(stacked) > 1 else stacked[0]
