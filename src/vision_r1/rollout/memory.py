"""How much cache rollouts may take: rows and tokens in flight, and the bytes that they mean."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

# Shares of the memory that is free when rollouts start.
_CPU_SHARE, _CUDA_SHARE = 0.25, 0.6


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be in flight at a time.

    Attributes:
        rows: completions; a group that is larger alone goes alone.
        tokens: of cache, padding and unwritten parts of the caps included; None: what fits into a
            quarter of the free memory, on CUDA six tenths.
    """

    rows: int = 128
    tokens: int | None = None


def token_bytes(shape: tuple[int, int, int], dtype: torch.dtype) -> int:
    """Bytes of cache of one token: keys and values of (layers, key heads, width)."""
    layers, heads, width = shape
    return 2 * layers * heads * width * dtype.itemsize


def token_limit(budget: Budget, shape: tuple[int, int, int], like: torch.Tensor) -> int:
    """Tokens that may be in flight by the budget, or by the memory that is free now."""
    if budget.tokens is not None:
        return budget.tokens
    if like.device.type == "cuda":
        free = _CUDA_SHARE * torch.cuda.mem_get_info(like.device)[0]
    else:
        free = _CPU_SHARE * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(free) // token_bytes(shape, like.dtype)
