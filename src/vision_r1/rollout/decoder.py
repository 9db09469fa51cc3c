"""One new token a row through the layers of a Qwen-style decoder, without transformers' modules around it.

    h = x + W_o attention(rope(norm_q(W_q n)), rope(norm_k(W_k n)), W_v n),   n = rmsnorm(x)
    x = h + W_down(silu(W_gate m) * W_up m),                                  m = rmsnorm(h)

Qwen2 has biases on q, k, v; Qwen3 norms them per head (arXiv 2505.09388). A new token is text, so its three
rotary positions are equal and the rotation is the plain one. A decoder is made for a call and reads the
model's weights, so adapters, and training between two calls, are seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from vision_r1.models.packing import can_pack
from vision_r1.models.parts import base_model, language_model
from vision_r1.rollout.block import Block

Apply = Callable[[torch.Tensor], torch.Tensor]
_PARTS = ("input_layernorm", "self_attn", "post_attention_layernorm", "mlp")
# Rotary types whose frequencies depend on the length so far.
_MOVING = ("dynamic", "longrope")
_NARROW = 1024  # hidden size up to which query, key and value are one product on the CPU


def supports(model: Any) -> bool:
    """Whether the decoder's layers are the ones above, under adapters or not."""
    base = base_model(model)
    if not can_pack(base) or getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        return False
    text = base.config.get_text_config()
    rope = getattr(text, "rope_parameters", None) or {}
    layers = language_model(model).layers
    return (
        text.hidden_act == "silu"
        and rope.get("rope_type", "default") not in _MOVING
        and all({name for name, _ in layer.named_children()} == set(_PARTS) for layer in layers)
    )


class Decoder:
    """The decoder's layers for one token a row.

    Args:
        model: of a family that `supports` knows.
        positions: the rotary positions that will be met are below this.
    """

    def __init__(self, model: Any, positions: int) -> None:
        base, text = base_model(model), language_model(model)
        config = base.config.get_text_config()
        self._embed = base.get_input_embeddings()
        self._head = _linear(base.get_output_embeddings())
        self._norm = _norm(text.norm)
        self._layers = [_Layer(layer) for layer in text.layers]
        like = self._embed.weight
        self.like = like
        self.heads = int(config.num_attention_heads)
        self.key_heads = int(config.num_key_value_heads)
        self.width = int(text.layers[0].self_attn.head_dim)
        self.shape = (len(self._layers), self.key_heads, self.width)
        every = torch.arange(positions, device=like.device).expand(_axes(text), 1, -1)
        every = every[0] if every.shape[0] == 1 else every
        cos, sin = text.rotary_emb(like[:1, None], every)
        half = self.width // 2
        # rotate_half(x) * sin = roll(x) * sin with the first half's sign turned.
        self._cos, self._sin = cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)

    def step(self, tokens: torch.Tensor, blocks: Sequence[Block]) -> torch.Tensor:
        """Logits after one more token.

        Args:
            tokens: int64 of shape (rows,), rows of the blocks after each other.
            blocks: `begin` has been called on each; their caches take the tokens in.

        Returns:
            Shape (rows, vocabulary), in the model's dtype.
        """
        x = self._embed(tokens)
        places = torch.cat([block.places() for block in blocks])
        cos, sin = self._cos[places][:, None], self._sin[places][:, None]
        starts = [0]
        for block in blocks:
            starts.append(starts[-1] + block.rows)
        spans = list(zip(blocks, starts[:-1], starts[1:], strict=True))
        for index, layer in enumerate(self._layers):
            x = self._through(index, layer, x, cos, sin, spans)
        for block in blocks:
            block.close()
        return self._head(self._norm(x))

    def _through(
        self,
        index: int,
        layer: _Layer,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        spans: Sequence[tuple[Block, int, int]],
    ) -> torch.Tensor:
        rows, heads, turned = len(x), self.heads, self.heads + self.key_heads
        every = layer.query_key_value(layer.norm_in(x)).view(rows, turned + self.key_heads, -1)
        both, value = every[:, :turned], every[:, turned:]
        if layer.norm_query is not None and layer.norm_key is not None:
            both = torch.cat([layer.norm_query(both[:, :heads]), layer.norm_key(both[:, heads:])], dim=1)
        both = (both * cos).addcmul_(both.roll(self.width // 2, -1), sin)
        parts = [
            block.attend(
                index, both[first:last, :heads], both[first:last, heads:], value[first:last], layer.scale
            )
            for block, first, last in spans
        ]
        x = layer.out(parts[0] if len(parts) == 1 else torch.cat(parts)).add_(x)
        normed = layer.norm_out(x)
        return layer.down(functional.silu(layer.gate(normed)).mul_(layer.up(normed))).add_(x)


class _Layer:
    """What a layer applies."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.norm_in, self.norm_out = _norm(layer.input_layernorm), _norm(layer.post_attention_layernorm)
        self.query_key_value = _together([attention.q_proj, attention.k_proj, attention.v_proj])
        self.out = _linear(attention.o_proj)
        self.norm_query = _norm(attention.q_norm) if hasattr(attention, "q_norm") else None
        self.norm_key = _norm(attention.k_norm) if hasattr(attention, "k_norm") else None
        self.gate, self.up, self.down = _linear(mlp.gate_proj), _linear(mlp.up_proj), _linear(mlp.down_proj)
        self.scale = float(attention.scaling)


def _is_plain(module: Any) -> bool:
    return type(module) is torch.nn.Linear and not module._forward_hooks and not module._forward_pre_hooks


def _linear(module: Any) -> Apply:
    """A plain linear layer without the module's call around it; anything else (an adapter) as it is."""
    if not _is_plain(module):
        return module  # type: ignore[no-any-return]
    weight, bias = module.weight, module.bias
    return lambda x: functional.linear(x, weight, bias)


def _together(modules: Sequence[Any]) -> Apply:
    """Linear layers of the same input, their outputs after each other."""
    first = modules[0].weight if all(map(_is_plain, modules)) else None
    if first is None or first.device.type != "cpu" or first.shape[1] > _NARROW:
        apart = [_linear(module) for module in modules]
        return lambda x: torch.cat([apply(x) for apply in apart], dim=-1)
    # So narrow, one product is quicker than three, and the copy lives for a call.
    weight = torch.cat([module.weight for module in modules])
    bias = None if modules[0].bias is None else torch.cat([module.bias for module in modules])
    return lambda x: functional.linear(x, weight, bias)


def _norm(module: Any) -> Apply:
    weight, eps, size = module.weight, module.variance_epsilon, module.weight.shape[0]
    if weight.device.type != "cpu":
        return lambda x: functional.rms_norm(x, (size,), weight, eps)
    # On the CPU PyTorch's is six small operations with conversions between; here the mean is a product.
    mean, bias = torch.full((size, 1), 1 / size), torch.full((1, 1), eps)

    def norm(x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, size).float()
        scaled = flat * torch.addmm(bias, flat * flat, mean).rsqrt_()
        found: torch.Tensor = (scaled.to(x.dtype) * weight).view(x.shape)
        return found

    return norm


def _axes(text: Any) -> int:
    """How many rotary positions a token has."""
    return 3 if hasattr(text.rotary_emb, "mrope_section") else 1
