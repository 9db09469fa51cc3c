"""Log-probabilities of completions that share prompts: each prompt goes through the model once.

    log pi(o_t | q, o_<t) = z_t[o_t] - logsumexp(z_t),   H_t = -sum_v pi_t[v] log pi_t[v],
    z = logits / temperature

The prompts' keys and values are computed once, repeated for their completions and attended to; the
gradient flows back through them. It works without gradient checkpointing (which drops caches) and
in one process; elsewhere every completion carries its prompt, as in TRL.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache

from vision_r1.models.parts import rope_positions


def shared_prefix_logps(
    model: Any,
    prompts: dict[str, torch.Tensor],
    place: torch.Tensor,
    completion_ids: torch.Tensor,
    completion_mask: torch.Tensor,
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Per-token log-probabilities and entropies.

    Args:
        model: a Qwen2.5-VL model, not wrapped.
        prompts: inputs of the distinct prompts, padded on the left.
        place: int64 of shape (rows,): which prompt each completion belongs to.
        completion_ids: int64 of shape (rows, tokens), padded on the right.
        completion_mask: 0/1 of the same shape.
        temperature: the logits are divided by it, as in sampling.

    Returns:
        Two float32 tensors of shape (rows, tokens); the entropy carries no gradient. Both are 0 where
        the mask is.
    """
    tokens = completion_ids.shape[1]
    positions = rope_positions(model, prompts)
    cache = DynamicCache(config=model.config.get_text_config())
    first = model(
        **prompts, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
    ).logits
    logits = first[place]
    if tokens > 1:
        cache.batch_select_indices(place)
        following = (positions.amax((0, 2)) + 1)[place]
        steps = torch.arange(tokens - 1, device=place.device)
        rest = model(
            input_ids=completion_ids[:, :-1],
            attention_mask=torch.cat([prompts["attention_mask"][place], completion_mask[:, :-1]], dim=1),
            position_ids=(following[:, None] + steps)[None].expand(3, -1, -1),
            past_key_values=cache,
            use_cache=True,
        ).logits
        logits = torch.cat([logits, rest], dim=1)
    scaled = logits.float() / temperature
    every = torch.log_softmax(scaled, dim=-1)
    chosen = every.gather(-1, completion_ids[..., None])[..., 0]
    with torch.no_grad():
        entropy = -(every.exp() * every).sum(-1)
    keep = completion_mask.bool()
    return chosen.masked_fill(~keep, 0.0), entropy.masked_fill(~keep, 0.0)
