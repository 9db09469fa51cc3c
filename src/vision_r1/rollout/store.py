"""Keys and values of many sequences in memory taken once, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Shape = tuple[int, int, int]  # (layers, key heads, width)


class Store:
    """Keys and values of `count` sequences of up to `size` tokens, zero where nothing was written.

    Whatever changes its size goes layer by layer, so that one layer at most is held twice.

    Attributes:
        layers: for each layer its keys and its values, of shape (count, key heads, size, width).
    """

    def __init__(self, shape: Shape, like: torch.Tensor, count: int, size: int) -> None:
        layers, heads, width = shape
        self.layers = [[like.new_zeros(count, heads, size, width) for _ in range(2)] for _ in range(layers)]

    @property
    def count(self) -> int:
        """Sequences that it has memory for."""
        return self.layers[0][0].shape[0]

    @property
    def size(self) -> int:
        """Tokens that it has memory for, of each sequence."""
        return self.layers[0][0].shape[2]

    def views(self, layer: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the first sequences, (count * key heads, size, width); no copies."""
        keys, values = (store[:count].view(-1, *store.shape[2:]) for store in self.layers[layer])
        return keys, values

    def move(self, order: Sequence[int], used: int) -> None:
        """Bring sequences to the first places: place k gets `order[k]`; only `used` tokens of each matter.

        What moves must come from behind the first `len(order)` places.
        """
        moved = [place for place, source in enumerate(order) if place != source]
        if not moved or not used:
            return
        device = self.layers[0][0].device
        to = torch.tensor(moved, device=device)
        source = torch.tensor([order[place] for place in moved], device=device)
        for pair in self.layers:
            for store in pair:
                store[to, :, :used] = store[source, :, :used]

    def resize(self, count: int, size: int) -> None:
        """Memory for the first `count` sequences and `size` tokens of each; what does not fit is lost."""
        if (count, size) == (self.count, self.size):
            return
        kept, used = min(count, self.count), min(size, self.size)
        for pair in self.layers:
            for which in range(2):
                before = pair[which]
                pair[which] = before.new_zeros(count, before.shape[1], size, before.shape[3])
                pair[which][:kept, :, :used] = before[:kept, :, :used]

    def append(self, other: Store) -> None:
        """Take another store's sequences in after one's own; the other one is empty then."""
        count, more, used = self.count, other.count, other.size
        size = max(self.size, used)
        for pair, added in zip(self.layers, other.layers, strict=True):
            for which in range(2):
                before = pair[which]
                pair[which] = before.new_zeros(count + more, before.shape[1], size, before.shape[3])
                pair[which][:count, :, : before.shape[2]] = before
                pair[which][count:, :, :used] = added[which]
            added.clear()

    def prepend(self, other: Store, of: Sequence[int], rows: int, used: int) -> None:
        """Put tokens in front of each of the first `rows` sequences: those of `other`'s sequence `of[row]`.

        The other one is empty then.
        """
        index = torch.tensor(list(of), device=self.layers[0][0].device)
        for pair, added in zip(self.layers, other.layers, strict=True):
            for which in range(2):
                pair[which] = torch.cat([added[which][index, :, :used], pair[which][:rows]], dim=2)
            added.clear()

    def split(self, used: int) -> Store:
        """Take the first `used` tokens of each sequence out, into a store of their own."""
        front = Store.__new__(Store)
        front.layers = []
        for pair in self.layers:
            front.layers.append([store[:, :, :used].clone() for store in pair])
            for which in range(2):
                pair[which] = pair[which][:, :, used:].clone()
        return front
