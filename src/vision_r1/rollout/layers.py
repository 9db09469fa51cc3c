"""A decoder layer for one token a row, around attention: what comes before it and what comes after.

`Layer` applies the model's own parts, adapters included. `NarrowLayer` is for small models in float32 on the
CPU, where a step is bound by the number of operations rather than by their size: weights of one input are
one matrix, with the norm's weight in it, and residuals are added in the products. Its matrices are copies,
which is cheap at this size, and live as long as a decoder: for one call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

Apply = Callable[[torch.Tensor], torch.Tensor]
NARROW = 1024  # hidden size up to which a step on the CPU is bound by the number of operations


class Layer:
    """The model's own parts.

    Attributes:
        norm_query, norm_key: the norms of heads, where the family has them.
        scale: of the products of queries and keys.
    """

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.norm_query = norm_of(attention.q_norm) if hasattr(attention, "q_norm") else None
        self.norm_key = norm_of(attention.k_norm) if hasattr(attention, "k_norm") else None
        self.scale = float(attention.scaling)
        self._take(layer, attention, mlp)

    def _take(self, layer: Any, attention: Any, mlp: Any) -> None:
        self._norm_in, self._norm_out = (
            norm_of(layer.input_layernorm),
            norm_of(layer.post_attention_layernorm),
        )
        self._inputs = [
            linear_of(module) for module in (attention.q_proj, attention.k_proj, attention.v_proj)
        ]
        self._out = linear_of(attention.o_proj)
        self._gate, self._up, self._down = map(linear_of, (mlp.gate_proj, mlp.up_proj, mlp.down_proj))

    def before(self, x: torch.Tensor) -> torch.Tensor:
        """Query, key and value after each other, of shape (rows, (H + 2 K) d)."""
        normed = self._norm_in(x)
        return torch.cat([apply(normed) for apply in self._inputs], dim=-1)

    def after(self, x: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        """The layer's output from its input, of shape (rows, hidden), and attention's, (rows, H d)."""
        x = self._out(found) + x
        normed = self._norm_out(x)
        return self._down(functional.silu(self._gate(normed)).mul_(self._up(normed))) + x


class NarrowLayer(Layer):
    """The same function in fewer operations; see the module's text."""

    def _take(self, layer: Any, attention: Any, mlp: Any) -> None:
        inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._unit_in, self._unit_out = map(unit_of, (layer.input_layernorm, layer.post_attention_layernorm))
        self._before = (torch.cat([m.weight for m in inputs]) * layer.input_layernorm.weight).t()
        self._bias = None if inputs[0].bias is None else torch.cat([m.bias for m in inputs])
        self._gate_up = (
            torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]) * layer.post_attention_layernorm.weight
        ).t()
        self._out_matrix, self._down_matrix = attention.o_proj.weight.t(), mlp.down_proj.weight.t()

    def before(self, x: torch.Tensor) -> torch.Tensor:
        """See `Layer.before`."""
        unit = self._unit_in(x)
        return unit @ self._before if self._bias is None else torch.addmm(self._bias, unit, self._before)

    def after(self, x: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        """See `Layer.after`."""
        x = torch.addmm(x, found, self._out_matrix)
        gate, up = torch.mm(self._unit_out(x), self._gate_up).chunk(2, dim=-1)
        return torch.addmm(x, functional.silu(gate).mul_(up), self._down_matrix)


def layer_of(layer: Any) -> Layer:
    """The quickest that does what a layer of the model does."""
    attention, mlp = layer.self_attn, layer.mlp
    inputs = [attention.q_proj, attention.k_proj, attention.v_proj]
    others = [attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj]
    if not all(map(_is_plain, [*inputs, *others])) or any(module.bias is not None for module in others):
        return Layer(layer)
    weight = inputs[0].weight
    small = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.shape[1] <= NARROW
    return NarrowLayer(layer) if small else Layer(layer)


def _is_plain(module: Any) -> bool:
    return type(module) is torch.nn.Linear and not module._forward_hooks and not module._forward_pre_hooks


def linear_of(module: Any) -> Apply:
    """A plain linear layer without the module's call around it; anything else (an adapter) as it is."""
    if not _is_plain(module):
        return module  # type: ignore[no-any-return]
    weight, bias = module.weight, module.bias
    return lambda x: functional.linear(x, weight, bias)


def norm_of(module: Any) -> Apply:
    """An RMS norm over the last dimension."""
    weight, eps, size = module.weight, module.variance_epsilon, module.weight.shape[0]
    return lambda x: functional.rms_norm(x, (size,), weight, eps)


def unit_of(module: Any) -> Apply:
    """An RMS norm without its weight, of (rows, hidden) in float32, in half the operations of PyTorch's."""
    size = module.weight.shape[0]
    mean, eps = torch.full((size, 1), 1 / size), torch.full((1, 1), module.variance_epsilon)
    return lambda x: x * torch.addmm(eps, x * x, mean).rsqrt_()
