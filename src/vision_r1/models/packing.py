"""Attention over one packed row: sequences side by side, and sequences that share a prefix.

A row holds segments one after the other. A token attends to its own segment up to itself and, where the
segment has a prefix, to the whole of that earlier stretch of the row:

    o_t = softmax(q_t [K_prefix, K_own,<=t]) [V_prefix, V_own,<=t]

So G completions of one prompt are the row [prompt | c_1 | ... | c_G] with the prompt once, and samples of
SFT are a row without padding. The function is registered with transformers under `NAME`; without the
keyword `layout` it is transformers' own SDPA. Nothing of it needs a cache, so it works under gradient
checkpointing, adapters and wrappers that call the model through its root forward.

Two implementations agree (tests/models/test_packing.py): `attend_reference`, which reads like the formula
and runs on any device, and `_Merged`, for float32 and bfloat16 on the CPU, which never repeats the prefix's
keys. It attends to the prefix and to the own segment apart and merges by the log-sum-exp, as in ring
attention (arXiv 2310.01889): o = sum_i exp(l_i - l) o_i, l = logsumexp_i l_i; with the merged o and l, the
backward pass of each part alone is that of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from vision_r1.core.errors import ConfigError

NAME = "vision_r1_packed"
# Families whose language model hands keywords through to its attention and has causal layers alone.
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen2", "qwen3")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a packed row.

    Attributes:
        start, stop: its tokens are row[start:stop].
        prefix: the earlier stretch that all its tokens see; None for a sequence of its own.
    """

    start: int
    stop: int
    prefix: Span | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The segments of one packed row; together they are the row, in order."""

    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        end = 0
        for segment in self.segments:
            if segment.start != end or segment.stop <= segment.start:
                raise ValueError(f"segments of a packed row must follow each other: {segment} after {end}")
            if segment.prefix is not None and not 0 <= segment.prefix[0] < segment.prefix[1] <= end:
                raise ValueError(f"a prefix must lie before its segment: {segment}")
            end = segment.stop

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return self.segments[-1].stop

    def shared(self) -> Iterator[tuple[Span, Span]]:
        """(prefix, stretch of neighbouring segments that see it), which are attended to in one product."""
        for prefix, found in groupby(self.segments, key=lambda segment: segment.prefix):
            if prefix is not None:
                group = list(found)
                yield prefix, (group[0].start, group[-1].stop)


def row_of(lengths: Sequence[int]) -> Layout:
    """Sequences side by side, of so many tokens each."""
    segments, start = [], 0
    for length in lengths:
        segments.append(Segment(start, start + length))
        start += length
    return Layout(tuple(segments))


class Sharing:
    """Whether this process computes each prompt once, where it can; off only to see what that saves.

    Attributes:
        on: read whenever a model is made ready; `Recipe.share_prompts` sets it.
    """

    on = True


def can_pack(model: Any) -> bool:
    """Whether rows are packed: the model's family is known to attend right over them, and `Sharing` is on."""
    text = model.config.get_text_config()
    layers = set(getattr(text, "layer_types", None) or ["full_attention"])
    return Sharing.on and model.config.model_type in FAMILIES and layers == {"full_attention"}


def why_plain(model: Any) -> str:
    """Why a model's rows are not packed, for a message."""
    if not Sharing.on:
        return "share_prompts is off"
    return f"{model.config.model_type} models are not known to attend over packed rows"


def enable_packing(model: Any) -> None:
    """Let the language model of a supported family take `layout`; without it nothing changes.

    Set once and left: a backward pass that recomputes must find the implementation of its forward pass.

    Raises:
        ConfigError: another family, or one with sliding windows.
    """
    if not can_pack(model):
        raise ConfigError(
            f"models of type {model.config.model_type!r} are not known to attend over packed rows",
            fix=f"use one of: {', '.join(FAMILIES)}, without sliding windows",
        )
    model.config.get_text_config()._attn_implementation = NAME


def packed_inputs(layout: Layout) -> dict[str, Any]:
    """Keywords of a packed forward pass beside ids and positions.

    The mask is given as already made (any of four dimensions is taken as it is, in every family), so that
    transformers builds none: a dense one would be quadratic in the row.
    """
    return {"layout": layout, "attention_mask": torch.zeros(1, 1, 1, 1), "use_cache": False}


def attend_reference(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scale: float
) -> torch.Tensor:
    """The formula above, segment by segment.

    Args:
        query: of shape (1, heads, row, width).
        key: of shape (1, key heads, row, width); a key head serves heads / key heads of the query's.
        value: like `key`.
        layout: of the row.
        scale: of the products.

    Returns:
        A tensor like `query`.
    """
    parts = []
    for segment in layout.segments:
        own = torch.arange(segment.start, segment.stop, device=query.device)
        shared = torch.arange(*(segment.prefix or (0, 0)), device=query.device)
        seen = torch.cat([shared, own])
        mask = (seen[None, :] <= own[:, None]) if segment.prefix is not None else None
        parts.append(
            torch.nn.functional.scaled_dot_product_attention(
                query[:, :, segment.start : segment.stop],
                key[:, :, seen],
                value[:, :, seen],
                attn_mask=mask,
                is_causal=mask is None,
                scale=scale,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        )
    return torch.cat(parts, dim=2)


class _Merged(torch.autograd.Function):
    """`attend_reference` on the CPU, by PyTorch's flash kernels, each stretch of keys read once."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scale: float
    ) -> torch.Tensor:
        out, lse = _own_parts(query, key, value, layout, scale)
        for prefix, (start, stop) in layout.shared():
            folded = _folded(query[:, :, start:stop], key.shape[1])
            part, part_lse = _flash(
                folded, key[:, :, slice(*prefix)], value[:, :, slice(*prefix)], False, scale
            )
            shape = (1, query.shape[1], stop - start)
            one, one_lse = part.reshape(*shape, -1), part_lse.reshape(shape)
            own, own_lse = out[:, :, start:stop], lse[:, :, start:stop]
            both = torch.logaddexp(one_lse, own_lse)
            merged = own.float() * (own_lse - both).exp()[..., None]
            merged += one.float() * (one_lse - both).exp()[..., None]
            own.copy_(merged)
            own_lse.copy_(both)
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.layout, ctx.scale = layout, scale
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, out, lse = ctx.saved_tensors
        heads = key.shape[1]
        grads = [torch.zeros_like(x, dtype=torch.float32) for x in (query, key, value)]
        for segment in ctx.layout.segments:
            own = slice(segment.start, segment.stop)
            _add_part(grads, (grad, query, key, value, out, lse), own, own, True, ctx.scale, heads)
        for prefix, stretch in ctx.layout.shared():
            tensors = (grad, query, key, value, out, lse)
            _add_part(grads, tensors, slice(*stretch), slice(*prefix), False, ctx.scale, heads)
        return (*(g.to(query.dtype) for g in grads), None, None)


def _own_parts(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each segment over itself: outputs like `query`, log-sum-exps of shape (1, heads, row)."""
    out = torch.empty_like(query)
    lse = query.new_empty(query.shape[:3], dtype=torch.float32)
    for segment in layout.segments:
        own = slice(segment.start, segment.stop)
        keys, values = (_repeated(x[:, :, own], query.shape[1]) for x in (key, value))
        out[:, :, own], lse[:, :, own] = _flash(query[:, :, own], keys, values, True, scale)
    return out, lse


def _add_part(
    grads: list[torch.Tensor],
    tensors: tuple[torch.Tensor, ...],
    asks: slice,
    seen: slice,
    causal: bool,
    scale: float,
    heads: int,
) -> None:
    """Add the gradients of the queries `asks` over the keys `seen`, by the merged output and log-sum-exp."""
    grad, query, key, value, out, lse = tensors
    keys, values = key[:, :, seen], value[:, :, seen]
    if causal:
        keys, values = (_repeated(x, query.shape[1]) for x in (keys, values))
        rows = [x[:, :, asks] for x in (grad, query, out)]
        sums = lse[:, :, asks]
    else:
        rows = [_folded(x[:, :, asks], heads) for x in (grad, query, out)]
        sums = lse[:, :, asks].reshape(1, heads, -1)
    # The kernel reads these three without their strides' leave in some releases.
    found = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        rows[0].contiguous(), rows[1], keys, values, rows[2].contiguous(), sums.contiguous(), 0.0, causal,
        scale=scale,
    )  # fmt: skip
    grads[0][:, :, asks] += found[0].reshape(grads[0][:, :, asks].shape)
    for total, part in zip(grads[1:], found[1:], strict=True):
        total[:, :, seen] += part.reshape(1, heads, -1, *part.shape[2:]).sum(2) if causal else part


def _flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    found: tuple[torch.Tensor, torch.Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, scale=scale
    )
    return found


def _folded(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Query heads that share a key head as more rows of it: (1, heads, rows * heads per key head, width)."""
    return x.reshape(1, heads, -1, x.shape[-1])


def _repeated(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Key heads repeated for their query heads."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scale: float
) -> torch.Tensor:
    """`attend_reference` by the fastest way that the device has; the same arguments and result."""
    if query.device.type == "cpu" and query.dtype in (torch.float32, torch.bfloat16):
        merged: torch.Tensor = _Merged.apply(query, key, value, layout, scale)  # type: ignore[no-untyped-call]
        return merged
    return attend_reference(query, key, value, layout, scale)


def _packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    layout: Layout | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Transformers' attention interface; see the module's text."""
    if layout is None:
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return found
    if query.shape[0] != 1 or query.shape[2] != layout.length or dropout:
        raise ValueError(
            f"a packed row of {layout.length} tokens without dropout, found {tuple(query.shape)}"
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attend(query, key, value, layout, scale).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
