"""The cache of prompts in flight together, and attention of one new token a row over it.

A block holds some prompts and the rows (completions) that are written after them. The keys and values of
a prompt are there once for all its rows; each row has its own beside:

    o_r = softmax(s q_r [K_prompt(r), K_r]) [V_prompt(r), V_r]

Queries of all rows of a prompt meet its keys in one product; the two parts are computed apart and merged by
the log-sum-exp, as in `models.packing`. Rows need no order: `_slot_row` and
`_row_slot` say which row stands in which of the prompts x members places of that product, and are None
while the rows are the places. Where each prompt has one row, or few rows are left, sharing saves nothing:
the block is folded then, each row has its prompt in front of its own tokens, and a step is a product less.
Shapes: heads H, key heads K, H = K * repeats, width d.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch

from vision_r1.rollout.store import Shape, Store

ROOM = 64  # tokens of completion that rows start with; doubled when they are full
_FEW = 16  # rows below which a prompt may be there twice


class Block:
    """Keys and values of some prompts and their rows.

    Args:
        shape: (layers, key heads, width).
        like: gives dtype and device.
        lengths: tokens of each prompt.
        starts: the rotary position after each prompt.
        prompt_of: for each row, the index of its prompt.
        caps: the most tokens of each row.
        static: masks and places are tensors of fixed shapes, so that a step can be captured.

    Attributes:
        version: another number whenever shapes or addresses have changed.
        written: tokens of each row in the cache.
    """

    def __init__(
        self,
        shape: Shape,
        like: torch.Tensor,
        lengths: Sequence[int],
        starts: Sequence[int],
        prompt_of: Sequence[int],
        caps: Sequence[int],
        static: bool,
    ) -> None:
        self.static, self.version = static, 0
        self._key_heads, self._device = shape[1], like.device
        self.lengths, self.starts = list(lengths), list(starts)
        self.prompt_of, self.caps = list(prompt_of), list(caps)
        self.written = [0] * len(caps)
        room = min(ROOM, max(caps))
        # Where prompts stand in front of the rows' own tokens, so many tokens are theirs.
        self._front = max(lengths) if self._can_fold() and len(caps) == len(lengths) else 0
        self._prompts = None if self._front else Store(shape, like, len(lengths), max(lengths))
        self._own = Store(shape, like, len(caps), self._front + room)
        self._arrange()

    def take_prompt(self, layer: int, prompt: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Write a prompt's keys and values, each of shape (K, tokens, d)."""
        store = self._own if self._prompts is None else self._prompts
        for target, source in zip(store.layers[layer], (keys, values), strict=True):
            target[prompt, :, : source.shape[1]] = source

    # --- size ---

    @property
    def rows(self) -> int:
        """Rows in flight."""
        return len(self.caps)

    @property
    def held(self) -> int:
        """Tokens of cache that it takes now."""
        stores = [self._own] if self._prompts is None else [self._own, self._prompts]
        return sum(store.count * store.size for store in stores)

    def fit(self) -> None:
        """Give back the memory of rows and prompts that have left."""
        self._own.resize(self.rows, self._front + min(self._room, max(self.caps)))
        if self._prompts is not None:
            self._prompts.resize(len(self.lengths), max(self.lengths))
        self._renew()

    def _renew(self) -> None:
        """Addresses or rows have changed."""
        self._views = [self._own.views(layer, self.rows) for layer in range(len(self._own.layers))]
        self.version += 1

    @property
    def _room(self) -> int:
        """Tokens of completion that rows have memory for."""
        return self._own.size - self._front

    # --- rows leave, blocks join, prompts fold ---

    def drop(self, rows: Sequence[int]) -> list[int]:
        """Take rows out; the last ones move into their places.

        Returns:
            For each row that is left, where it stood before.
        """
        order = _filled(self.rows, rows)
        self._own.move(order, self._front + max(self.written))
        self.prompt_of = [self.prompt_of[row] for row in order]
        self.caps = [self.caps[row] for row in order]
        self.written = [self.written[row] for row in order]
        alive = set(self.prompt_of)
        if len(alive) < len(self.lengths):
            gone = [prompt for prompt in range(len(self.lengths)) if prompt not in alive]
            kept = _filled(len(self.lengths), gone)
            if self._prompts is not None:
                self._prompts.move(kept, max(self.lengths))
            place = {prompt: index for index, prompt in enumerate(kept)}
            self.lengths = [self.lengths[prompt] for prompt in kept]
            self.starts = [self.starts[prompt] for prompt in kept]
            self.prompt_of = [place[prompt] for prompt in self.prompt_of]
        self._arrange()
        return order

    def folded_tokens(self) -> int | None:
        """Tokens of cache that the block may come to take once folded; None where it is, or does not pay."""
        if self._prompts is None or not self._can_fold():
            return None
        return block_tokens([max(self.lengths)] * self.rows, self.caps)

    def _can_fold(self) -> bool:
        few = self.rows <= _FEW and self.rows <= 2 * len(self.lengths)
        return not self.static and (few or self.rows == len(self.lengths))

    def fold(self) -> None:
        """Put each row's prompt in front of its own tokens."""
        if self._prompts is None:
            return
        self._front = max(self.lengths)
        self._own.prepend(self._prompts, self.prompt_of, self.rows, self._front)
        self._prompts = None
        self.lengths = [self.lengths[prompt] for prompt in self.prompt_of]
        self.starts = [self.starts[prompt] for prompt in self.prompt_of]
        self.prompt_of = list(range(self.rows))
        self._arrange()

    def join(self, other: Block) -> None:
        """Take the prompts and rows of another block in, after one's own."""
        mine, theirs = self._shared(), other._shared()
        mine.append(theirs)
        self._own.append(other._own)
        first = len(self.lengths)
        self.prompt_of += [first + prompt for prompt in other.prompt_of]
        self.lengths += other.lengths
        self.starts += other.starts
        self.caps += other.caps
        self.written += other.written
        self._arrange()

    def _shared(self) -> Store:
        """The store of prompts, taken out of the rows' where it had been folded into it."""
        self.fit()
        if self._prompts is None:
            self._prompts = self._own.split(self._front)
            self._front = 0
        return self._prompts

    def _arrange(self) -> None:
        """What holds until rows come or go: the members of each prompt, masks of short prompts, positions."""
        self._longest = max(self.lengths)
        self._row_slot: torch.Tensor | None = None
        self._slot_row: torch.Tensor | None = None
        if self._prompts is not None:
            self._find_slots()
        lengths = self._indices(self.lengths)
        self._past_prompt = None
        padded = self._front or self._longest
        if self.static or min(self.lengths) < padded:
            past = torch.arange(padded, device=self._device) >= lengths[:, None]
            self._past_prompt = _barred(past)
        self._start = self._indices(self.starts)[self._indices(self.prompt_of)]
        self._every_row = self._indices(range(self.rows))
        self._position, self._last = self._indices(self.written), self._indices(self.caps) - 1
        self._renew()

    def _find_slots(self) -> None:
        seen = [0] * len(self.lengths)
        places = []
        for prompt in self.prompt_of:
            places.append((prompt, seen[prompt]))
            seen[prompt] += 1
        self._members = max(seen)
        slots = [prompt * self._members + member for prompt, member in places]
        if slots != list(range(len(self.lengths) * self._members)):
            back = [0] * (len(self.lengths) * self._members)
            for row, slot in enumerate(slots):
                back[slot] = row
            self._row_slot, self._slot_row = self._indices(slots), self._indices(back)

    def _indices(self, values: Iterable[int]) -> torch.Tensor:
        return torch.tensor(list(values), device=self._device)

    # --- one step: `begin`, then on the device `places`, `attend` for each layer, `close`; then `end` ---

    def begin(self) -> None:
        """Make room for the next token of each row."""
        seen = max(self.written) + 1
        if seen > self._room:
            self._own.resize(self._own.count, self._front + min(2 * self._room, max(self.caps)))
            self._renew()
        self._level = not self.static and min(self.written) == seen - 1
        self._seen = self._room if self.static else seen

    def places(self) -> torch.Tensor:
        """Rotary positions of the next tokens, int64 of shape (rows,); readies the masks of this step."""
        self._shared_mask = self._own_mask = None
        own = None
        if not self._level:
            later = torch.arange(self._seen, device=self._device) > self._position[:, None]
            own = _barred(later)
        if self._prompts is not None:
            self._shared_mask = None if self._past_prompt is None else self._past_prompt[:, None, None]
        elif self._past_prompt is not None or own is not None:
            front = self._past_prompt
            if front is None:
                front = torch.zeros(self.rows, self._front, device=self._device)
            if own is None:
                own = torch.zeros(self.rows, self._seen, device=self._device)
            own = torch.cat([front, own], dim=1)
        self._own_mask = self._by_key_head(own)
        self._place = self._position + self._front
        return self._start + self._position

    def _by_key_head(self, mask: torch.Tensor | None) -> torch.Tensor | None:
        """(n, tokens) as (n * K, 1, tokens)."""
        return None if mask is None else mask.repeat_interleave(self._key_heads, 0)[:, None]

    def close(self) -> None:
        """Each row has one more token. Rows that have ended but still stand here stay at their caps."""
        torch.minimum(self._position + 1, self._last, out=self._position)

    def end(self) -> None:
        """`close`, as the host counts."""
        self.written = [min(count + 1, cap - 1) for count, cap in zip(self.written, self.caps, strict=True)]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Write the new keys and values, and attend.

        Args:
            layer: index.
            query: of shape (rows, H, d), rotated.
            key: of shape (rows, K, d), rotated.
            value: of that shape.
            scale: of the products.

        Returns:
            Shape (rows, H * d).
        """
        rows, _, width = query.shape
        self._write(layer, key, value)
        keys, values = (view[:, : self._front + self._seen] for view in self._views[layer])
        scores = _products(self._own_mask, query.reshape(len(keys), -1, width), keys, scale)
        if self._prompts is None:
            return torch.bmm(torch.softmax(scores, dim=-1).to(query.dtype), values).view(rows, -1)
        # Own tokens and prompt apart, merged by their shares of the sum of exponentials.
        highest = scores.amax(-1, keepdim=True)
        raised = scores.sub_(highest).exp_()
        total = raised.sum(-1, keepdim=True)
        alone = torch.bmm(raised.to(query.dtype), values).float().div_(total)
        shared, lse = self._over_prompts(layer, query, scale)
        share = torch.sigmoid(lse.reshape(total.shape) - highest - total.log())
        return torch.lerp(alone, shared.reshape(alone.shape), share).to(query.dtype).view(rows, -1)

    def _over_prompts(
        self, layer: int, query: torch.Tensor, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention of each row over its prompt alone, float32 of shape (rows, K, repeats * d), and the
        logarithms of the sums of exponentials, (rows, K, repeats).
        """
        prompts, width = len(self.lengths), query.shape[2]
        keys, values = (
            store[:prompts, :, : self._longest] for store in cast(Store, self._prompts).layers[layer]
        )
        if self._slot_row is not None:
            query = query.index_select(0, self._slot_row)
        asked = query.reshape(prompts, self._members, self._key_heads, -1).transpose(1, 2)
        asked = asked.reshape(prompts, self._key_heads, -1, width)
        over = flash if query.device.type == "cpu" else plain
        found, lse = over(asked, keys, values, self._shared_mask, scale)
        return self._by_row(found.float()), self._by_row(lse)

    def _write(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        for store, view, new in zip(self._own.layers[layer], self._views[layer], (key, value), strict=True):
            if self._level:
                place = view.select(1, self._front + self._seen - 1)
                place.copy_(new.reshape(place.shape))
            else:
                store[self._every_row, :, self._place] = new

    def _by_row(self, x: torch.Tensor) -> torch.Tensor:
        """(prompts, K, members * repeats, ...) as (rows, K, repeats * ...)."""
        x = x.reshape(len(self.lengths), self._key_heads, self._members, -1).transpose(1, 2)
        x = x.reshape(-1, self._key_heads, x.shape[-1])
        return x if self._row_slot is None else x.index_select(0, self._row_slot)


def flash(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """`plain` by PyTorch's kernel for the CPU, which keeps no scores."""
    if mask is not None:
        mask = mask.to(query.dtype)
    found: tuple[torch.Tensor, torch.Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, keys, values, 0.0, False, attn_mask=mask, scale=scale
    )
    return found


def plain(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and the logarithms of its sums of exponentials.

    Args:
        query: of shape (n, K, queries, d).
        keys: of shape (n, K, tokens, d).
        values: of that shape.
        mask: 0 or -inf, of shape (n, 1, 1, tokens); None where all is seen.
        scale: of the products.

    Returns:
        A tensor like `query`, and a float32 one of shape (n, K, queries).
    """
    scores = torch.matmul(query, keys.transpose(2, 3)).float() * scale
    if mask is not None:
        scores = scores + mask
    lse = scores.logsumexp(-1)
    return torch.matmul((scores - lse[..., None]).exp().to(query.dtype), values), lse


def _barred(where: torch.Tensor) -> torch.Tensor:
    """-inf where it is true, else 0; float32 of the same shape."""
    return torch.zeros(where.shape, device=where.device).masked_fill_(where, float("-inf"))


def _products(
    mask: torch.Tensor | None, query: torch.Tensor, keys: torch.Tensor, scale: float
) -> torch.Tensor:
    """Scores of (n, queries, d) and (n, tokens, d), plus the mask (n, 1, tokens); float32."""
    keys = keys.transpose(1, 2)
    if mask is None:
        return torch.baddbmm(query.new_empty(1, 1, 1), query, keys, beta=0, alpha=scale).float()
    return torch.baddbmm(mask.to(query.dtype), query, keys, alpha=scale).float()


def block_tokens(lengths: Sequence[int], caps: Sequence[int]) -> int:
    """Tokens of cache that prompts of these lengths and rows of these caps may come to take in one block."""
    return len(lengths) * max(lengths) + len(caps) * max(caps)


def _filled(count: int, gone: Sequence[int]) -> list[int]:
    """The order in which what is left stands, when the last ones move to the places of those gone."""
    holes = set(gone)
    left = count - len(holes)
    movers = iter([place for place in range(left, count) if place not in holes])
    return [next(movers) if place in holes else place for place in range(left)]
