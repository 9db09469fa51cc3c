"""From logits to tokens: warping, noise keyed by completion and position, and the draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

# (token ids so far of shape (rows, position), logits of shape (rows, vocabulary)) -> float32 logits
Warp = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
BLOCK = 64  # positions whose noise is drawn at a time


class ConfigWarp:
    """The change of logits that a GenerationConfig asks for; see `warp_of`.

    Attributes:
        reads_ids: whether the tokens so far matter; if not, the engine hands in none.
    """

    def __init__(self, processors: Any, reads_ids: bool, forbidden: Sequence[int]) -> None:
        self.reads_ids = reads_ids
        self._processors = processors
        self._forbidden = torch.tensor(list(forbidden), dtype=torch.long)

    def __call__(self, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """See `Warp`; makes a copy."""
        if self._forbidden.device != logits.device:
            self._forbidden = self._forbidden.to(logits.device)
        logits = logits.float().index_fill(1, self._forbidden, float("-inf"))
        return self._processors(ids, logits) if self._processors else logits


def warp_of(config: Any, forbidden: Sequence[int]) -> ConfigWarp:
    """The change of logits that a GenerationConfig asks for: temperature, top-k, top-p, min-p, repetition.

    Args:
        config: of transformers, or anything with these attributes.
        forbidden: tokens that are never drawn.
    """
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
    reads = config.repetition_penalty not in (None, 1.0)
    return ConfigWarp(LogitsProcessorList(steps), reads, forbidden)


class Noise:
    """Uniforms of one completion: `np.random.default_rng(seed).random(n)[position]`, a block at a time."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def block(self) -> npt.NDArray[np.float64]:
        """Those of the next `BLOCK` positions, in [0, 1)."""
        return self._generator.random(BLOCK)


def draw_tokens(
    logits: torch.Tensor, uniforms: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inverse transform sampling: the first token at which the cumulative probability exceeds u.

    Args:
        logits: float32 of shape (rows, vocabulary); -inf is never drawn.
        uniforms: float64 of shape (rows,), in [0, 1); None takes the likeliest token.

    Returns:
        Token ids, int64; their log-probabilities, float32; whether the row's logits are usable (if not, its
        token means nothing). All of shape (rows,).
    """
    probabilities = torch.softmax(logits, dim=-1)
    if uniforms is None:
        tokens = logits.argmax(-1)
        logprobs = probabilities.gather(1, tokens[:, None])[:, 0].log()
        return tokens, logprobs, torch.isfinite(logprobs)
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1]
    # Below the total even after rounding, so that a token of probability 0 at the end is not drawn.
    wanted = torch.minimum(uniforms.to(cumulative) * total, torch.nextafter(total, torch.zeros_like(total)))
    tokens = torch.searchsorted(cumulative, wanted[:, None], right=True).clamp_(max=logits.shape[1] - 1)
    logprobs = probabilities.gather(1, tokens)[:, 0].log()
    return tokens[:, 0], logprobs, torch.isfinite(total)
