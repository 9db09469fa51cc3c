"""Log-probabilities of labelled tokens from hidden states, on the CPU, in few passes over tiles of logits.

    log p(t) = z_t - log sum_v exp z_v,   H = log sum_v exp z_v - sum_v p_v z_v,   z = (W h + b) / temperature

TRL's fused head (`add_fused_lm_head`) is written for Triton; its fallback for the CPU scores every position,
labelled or not, and was a third of an SFT step of a small model. `lean_head` goes in front of it there, with
the same output, and leaves everything else to it: other devices and precisions, adapted or sharded heads.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional
from trl.trainer.utils import FusedCausalLMOutput

from vision_r1.models.packing import can_pack

_TILE_ELEMENTS = 2**18  # logits of a tile, so that what follows the product finds it in the cache
_LEAST_ROWS = 256  # of a tile: large vocabularies are read once for each


def lean_head(model: Any, temperature: float, *, entropy: bool) -> None:
    """Put the head in front of TRL's.

    Args:
        model: not wrapped, without adapters around it, with TRL's fused head; one that is not packed is left
            as it is.
        temperature: the logits are divided by it.
        entropy: whether entropies are made too, as TRL's head was told.
    """
    if not can_pack(model):
        return
    fused = model.forward

    @functools.wraps(type(model).forward)
    def forward(
        self: Any,
        *args: Any,
        fused_lm_head: bool = False,
        labels: torch.Tensor | None = None,
        shift_labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        head = self.get_output_embeddings()
        if not fused_lm_head or not _fits(head):
            given = {"fused_lm_head": fused_lm_head, "labels": labels, "shift_labels": shift_labels}
            return fused(*args, **given, **kwargs)
        items = kwargs.pop("num_items_in_batch", None)
        hidden = self.base_model(*args, **{**kwargs, "use_cache": False}).last_hidden_state
        if shift_labels is None:
            hidden, shift_labels = hidden[:, :-1], labels[:, 1:]  # type: ignore[index]
        mask = shift_labels != -100
        found = _LogProbs.apply(  # type: ignore[no-untyped-call]
            hidden[mask], head.weight, head.bias, shift_labels[mask], 1 / temperature, entropy
        )
        log_probs = _spread(found[0], mask)
        entropies = _spread(found[1], mask) if entropy else None
        count = mask.sum().clamp(min=1) if items is None else items
        return FusedCausalLMOutput(
            loss=-log_probs.sum() / count, log_probs=log_probs, entropy=entropies, label_mask=mask
        )

    model.forward = types.MethodType(forward, model)


def _spread(found: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Values of the positions where the mask is, 0 elsewhere; without any it still hangs on the model."""
    return found.new_zeros(mask.shape).masked_scatter(mask, found)


def _fits(head: Any) -> bool:
    """Whether the output layer is a plain one in float32 on the CPU, and stays so in this pass."""
    weight = getattr(head, "weight", None)
    return (
        type(head) is torch.nn.Linear
        and type(weight) is torch.nn.Parameter
        and weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight.dim() == 2
        and not hasattr(weight, "ds_id")  # sharded by DeepSpeed
        and not torch.is_autocast_enabled("cpu")
    )


class _LogProbs(torch.autograd.Function):
    """(log-probabilities, entropies or None) of shape (n,), from hidden states of shape (n, hidden)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        scale: float,
        entropy: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        ctx.set_materialize_grads(False)
        sums, found = hidden.new_empty(len(hidden)), hidden.new_empty(len(hidden))
        entropies = hidden.new_empty(len(hidden)) if entropy else None
        for part in _tiles(len(hidden), len(weight)):
            logits = functional.linear(hidden[part], weight, bias).mul_(scale)
            found[part] = logits.gather(1, targets[part, None])[:, 0]
            highest = logits.amax(1, keepdim=True)
            raised = (logits - highest).exp_()
            total = raised.sum(1)
            sums[part] = highest[:, 0] + total.log()
            if entropies is not None:
                entropies[part] = sums[part] - raised.mul_(logits).sum(1) / total
        found -= sums
        ctx.save_for_backward(hidden, weight, bias, targets, sums, entropies)
        ctx.scale = scale
        return found, entropies

    @staticmethod
    def backward(
        ctx: Any, grad: torch.Tensor | None, grad_entropy: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, bias, targets, sums, entropies = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        for_hidden = torch.zeros_like(hidden) if wanted[0] else None
        for_weight = torch.zeros_like(weight) if wanted[1] else None
        for_bias = torch.zeros_like(bias) if wanted[2] else None
        for part in _tiles(len(hidden), len(weight)) if grad is not None or grad_entropy is not None else ():
            logs = functional.linear(hidden[part], weight, bias).mul_(ctx.scale).sub_(sums[part, None])
            slope = torch.zeros_like(logs) if grad is None else logs.exp().mul_(-grad[part, None])
            if grad_entropy is not None:
                slope.addcmul_(logs.exp() * (logs + entropies[part, None]), -grad_entropy[part, None])
            if grad is not None:
                slope.scatter_add_(1, targets[part, None], grad[part, None])
            slope *= ctx.scale
            if for_hidden is not None:
                torch.mm(slope, weight, out=for_hidden[part])
            if for_weight is not None:
                for_weight.addmm_(slope.t(), hidden[part])
            if for_bias is not None:
                for_bias += slope.sum(0)
        return for_hidden, for_weight, for_bias, None, None, None


def _tiles(rows: int, vocabulary: int) -> Iterator[slice]:
    size = max(_LEAST_ROWS, _TILE_ELEMENTS // vocabulary)
    return (slice(start, start + size) for start in range(0, rows, size))
