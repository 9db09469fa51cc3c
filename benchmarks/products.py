"""The ceiling: what the matrix products of a step take alone, as plain `torch.mm` in the same shapes.

Counted are the products of the vision tower once for each prompt, of the prompt once, and of the completions
once: forward and twice that backward for the policy, forward for the reference, and one token at a time for
the rollout, where the rows that have ended are gone. What a trainer adds to that (norms, softmax, rotary
positions, the optimizer, Python) is the distance between the ceiling and 1.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from workloads import PROMPTS, Workload, prompt_length

BLOCK = 256  # queries of an attention product
LEAST_SECONDS = 0.005  # that a shape is repeated for


class Product(NamedTuple):
    """`batch` products of (m, k) by (k, n)."""

    batch: int
    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        """Additions and multiplications."""
        return 2 * self.batch * self.m * self.k * self.n


Bill = Counter[Product]  # how often each product is made; halves are allowed


@dataclass(frozen=True, slots=True)
class Shape:
    """The widths of a Qwen2.5-VL that decide its products."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    vision_hidden: int
    vision_intermediate: int
    vision_depth: int
    vision_heads: int
    patch: int

    @classmethod
    def of(cls, folder: Path) -> Shape:
        """Read from a model's folder."""
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder)
        text, vision = config.text_config, config.vision_config
        return cls(
            text.hidden_size,
            text.intermediate_size,
            text.num_hidden_layers,
            text.num_attention_heads,
            text.num_key_value_heads,
            text.vocab_size,
            vision.hidden_size,
            vision.intermediate_size,
            vision.depth,
            vision.num_heads,
            vision.in_channels * vision.temporal_patch_size * vision.patch_size**2,
        )

    @property
    def head(self) -> int:
        """Width of an attention head."""
        return self.hidden // self.heads


def bill_of(*items: tuple[Product, float]) -> Bill:
    """A bill of these products; equal ones add up."""
    bill = Bill()
    for product, count in items:
        bill[product] += count  # type: ignore[assignment]
    return bill


def times(bill: Bill, factor: float) -> Bill:
    """Every product `factor` times as often."""
    return bill_of(*((product, count * factor) for product, count in bill.items()))


def layer(shape: Shape, tokens: int) -> Bill:
    """The weights' products of one text layer."""
    wide, narrow, inner = shape.hidden, shape.kv_heads * shape.head, shape.intermediate
    return bill_of(
        (Product(1, tokens, wide, wide), 2),
        (Product(1, tokens, wide, narrow), 2),
        (Product(1, tokens, wide, inner), 2),
        (Product(1, tokens, inner, wide), 1),
    )


def attention(heads: int, queries: int, keys: int, width: int, count: float) -> Bill:
    """Scores and their weighted sum; long stretches of queries go block by block, as in fused kernels."""
    block = min(queries, BLOCK)
    count *= queries / block
    return bill_of((Product(heads, block, width, keys), count), (Product(heads, block, keys, width), count))


def causal(heads: int, length: int, width: int, count: float) -> Bill:
    """Attention of a stretch to itself: on average half of it, and half a block."""
    return attention(heads, length, (length + min(length, BLOCK)) // 2, width, count)


def vision(shape: Shape, patches: int) -> Bill:
    """The vision tower for one image; attention over the whole image."""
    wide, inner = shape.vision_hidden, shape.vision_intermediate
    block = bill_of(
        (Product(1, patches, wide, 3 * wide), 1),
        (Product(1, patches, wide, wide), 1),
        (Product(1, patches, wide, inner), 2),
        (Product(1, patches, inner, wide), 1),
    )
    block += attention(shape.vision_heads, patches, patches, wide // shape.vision_heads, 1)
    merged = 4 * wide
    return times(block, shape.vision_depth) + bill_of(
        (Product(1, patches, shape.patch, wide), 1),
        (Product(1, patches // 4, merged, merged), 1),
        (Product(1, patches // 4, merged, shape.hidden), 1),
    )


def prompts(shape: Shape, workload: Workload, length: int) -> Bill:
    """All prompts of a step, once each, with their images."""
    text = layer(shape, PROMPTS * length) + causal(shape.heads, length, shape.head, PROMPTS)
    return times(vision(shape, (workload.side // 14) ** 2), PROMPTS) + times(text, shape.layers)


def completions(shape: Shape, workload: Workload, length: int, lengths: np.ndarray[Any, Any]) -> Bill:
    """The completions of a step behind their prompts, and the vocabulary."""
    parts, tokens = workload.rows // workload.micro, int(lengths.sum())
    text = times(layer(shape, tokens // parts), parts)
    text += attention(shape.heads, tokens // PROMPTS, length, shape.head, PROMPTS)
    for own, rows in Counter(lengths.ravel().tolist()).items():
        text += causal(shape.heads, own, shape.head, rows)
    return times(text, shape.layers) + bill_of(
        (Product(1, tokens // parts, shape.hidden, shape.vocabulary), parts)
    )


def decoding(shape: Shape, length: int, lengths: np.ndarray[Any, Any]) -> Bill:
    """One token at a time for the rows that are not at their end; a group reads its prompt's keys once."""
    bill = Bill()
    flat = np.sort(lengths.ravel())
    alive = [(int((flat > step).sum()), step) for step in range(int(flat[-1]))]
    for rows, group in groupby(alive, key=lambda pair: pair[0]):
        steps = [step for _, step in group]
        own = 1 + sum(steps) // len(steps)  # the mean number of keys of a completion
        groups = min(rows, PROMPTS)
        text = layer(shape, rows)
        text += attention(groups * shape.heads, rows // groups, length, shape.head, 1)
        text += attention(rows * shape.heads, 1, own, shape.head, 1)
        bill += times(text, shape.layers * len(steps))
        bill += bill_of((Product(1, rows, shape.hidden, shape.vocabulary), len(steps)))
    return bill


def backward(bill: Bill) -> Bill:
    """The products of the gradients: of what came in, and of the weights."""
    found = Bill()
    for (batch, m, k, n), count in bill.items():
        found[Product(batch, m, n, k)] += count
        found[Product(batch, k, m, n)] += count
    return found


def bills(workload: Workload, shape: Shape, prompt_tokens: int) -> dict[str, Bill]:
    """The products of each phase of a timed step."""
    lengths = workload.lengths(1)
    read = prompts(shape, workload, prompt_tokens)
    forward = read + completions(shape, workload, prompt_tokens, lengths)
    return {
        "rollout": read + decoding(shape, prompt_tokens, lengths),
        "reference": forward,
        "training": forward + backward(forward),
    }


@cache
def seconds_of(product: Product, dtype: torch.dtype) -> float:
    """Median seconds of one product on this machine."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch, m, k, n = product
    a = torch.randn(batch, m, k, device=device, dtype=dtype)
    b = torch.randn(batch, k, n, device=device, dtype=dtype)
    out = torch.empty(batch, m, n, device=device, dtype=dtype)
    if batch == 1:
        a, b, out = a[0], b[0], out[0]
    multiply = torch.mm if batch == 1 else torch.bmm
    multiply(a, b, out=out)
    found: list[float] = []
    while sum(found) < LEAST_SECONDS or len(found) < 3:
        start = time.perf_counter()
        multiply(a, b, out=out)
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return sorted(found)[len(found) // 2]


def ceiling(workload: Workload, folder: Path, prompt_tokens: int) -> dict[str, Any]:
    """Seconds and floating-point operations of each phase's products alone."""
    found = bills(workload, Shape.of(folder), prompt_tokens)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    seconds = {
        phase: sum(count * seconds_of(product, dtype) for product, count in bill.items())
        for phase, bill in found.items()
    }
    flops = {
        phase: sum(count * product.flops for product, count in bill.items()) for phase, bill in found.items()
    }
    return {
        "workload": workload.name,
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        "step": round(sum(seconds.values()), 3),
        "gflop": {phase: round(value / 1e9, 1) for phase, value in flops.items()},
    }


def shares(limit: dict[str, Any], figures: dict[str, Any]) -> dict[str, float]:
    """The ceiling's seconds by ours: 1 where nothing but the products is left."""
    found = {
        phase: round(seconds / figures["phases"]["ours"][phase], 3)
        for phase, seconds in limit["seconds"].items()
    }
    return found | {"step": round(limit["step"] / figures["seconds"]["ours"], 3)}


def part(workloads: Sequence[Workload], folder: Path, threads: int) -> list[dict[str, Any]]:
    """The ceilings of several workloads."""
    from transformers import AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [ceiling(w, folder, prompt_length(w, tokenizer)) for w in workloads]
