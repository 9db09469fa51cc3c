"""One new token a row through the layers of a Qwen-style decoder, without transformers' modules around it.

    h = x + W_o attention(rope(norm_q(W_q n)), rope(norm_k(W_k n)), W_v n),   n = rmsnorm(x)
    x = h + W_down(silu(W_gate m) * W_up m),                                  m = rmsnorm(h)

Qwen2 has biases on q, k, v; Qwen3 norms them per head (arXiv 2505.09388). A new token is text, so its three
rotary positions are equal and the rotation is the plain one. A decoder is made for a call and reads the
model's weights, so adapters, and training between two calls, are seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from vision_r1.models.packing import can_pack
from vision_r1.models.parts import base_model, language_model
from vision_r1.rollout.block import Block
from vision_r1.rollout.layers import Layer, layer_of, linear_of, norm_of

_PARTS = ("input_layernorm", "self_attn", "post_attention_layernorm", "mlp")
# Rotary types whose frequencies depend on the length so far.
_MOVING = ("dynamic", "longrope")
SMALL_STEP = 2**23  # multiplications and additions of a step that one thread makes alone


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
        self._head = linear_of(base.get_output_embeddings())
        self._norm = norm_of(text.norm)
        self._layers = [layer_of(layer) for layer in text.layers]
        like = self._embed.weight
        self.like = like
        self.heads = int(config.num_attention_heads)
        self.key_heads = int(config.num_key_value_heads)
        self.width = int(text.layers[0].self_attn.head_dim)
        self.shape = (len(self._layers), self.key_heads, self.width)
        # Multiplications and additions of a step, for each row, without attention.
        self.work = sum(weight.numel() for weight in text.layers.parameters()) + like.numel()
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
        layer: Layer,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        spans: Sequence[tuple[Block, int, int]],
    ) -> torch.Tensor:
        rows, heads, turned = len(x), self.heads, self.heads + self.key_heads
        every = layer.before(x).view(rows, turned + self.key_heads, -1)
        both, value = every[:, :turned], every[:, turned:]
        if layer.norm_query is not None and layer.norm_key is not None:
            both = torch.cat([layer.norm_query(both[:, :heads]), layer.norm_key(both[:, heads:])], dim=1)
        both = (both * cos).addcmul_(both.roll(self.width // 2, -1), sin)
        query, key = both[:, :heads], both[:, heads:]
        parts = [
            block.attend(index, query[first:last], key[first:last], value[first:last], layer.scale)
            for block, first, last in spans
        ]
        return layer.after(x, parts[0] if len(parts) == 1 else torch.cat(parts))


@contextmanager
def threads_for(decoder: Decoder, rows: int) -> Iterator[None]:
    """One thread for a small step on the CPU: starting and joining others takes longer than they save."""
    before = torch.get_num_threads()
    if before == 1 or decoder.like.device.type != "cpu" or rows * decoder.work > SMALL_STEP:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _axes(text: Any) -> int:
    """How many rotary positions a token has."""
    return 3 if hasattr(text.rotary_emb, "mrope_section") else 1
