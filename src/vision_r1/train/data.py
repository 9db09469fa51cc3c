"""What training reads: prompts encoded once, batches assembled from them, and the order of the data.

Every prompt goes through `models.encode.encode_prompts`, as in evaluation, one at a time: the tokens
are kept, and the patches stay in a store that is bounded in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vision_r1.core.errors import InputError
from vision_r1.core.seeds import derive_seed
from vision_r1.models.encode import encode_prompts
from vision_r1.problems.problem import Media

# Patches kept in memory; beyond this the ones used longest ago are made again when needed.
STORE_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt before it is encoded.

    Attributes:
        where: names the row or problem in messages.
        question: text with optional `<image>` marks.
        media: its images.
    """

    where: str
    question: str
    media: tuple[Media, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded prompt.

    Attributes:
        ids: token ids, image tokens expanded.
        pixels: patches, float32 of shape (patches, patch values); None without images.
        grids: int64 of shape (images, 3): (1, patch rows, patch columns) of each; None without images.
    """

    ids: tuple[int, ...]
    pixels: torch.Tensor | None
    grids: torch.Tensor | None


class PromptStore:
    """Encodes each prompt once; the least recently used patches go first when memory is short."""

    def __init__(self, processor: Any, asks: Sequence[Ask], max_bytes: int = STORE_BYTES) -> None:
        self.processor = processor
        self._asks = asks
        self._ids: dict[int, tuple[int, ...]] = {}
        self._media: OrderedDict[int, Encoded] = OrderedDict()
        self._room = max_bytes

    def __len__(self) -> int:
        return len(self._asks)

    def where(self, index: int) -> str:
        """How messages name prompt `index`."""
        return self._asks[index].where

    def __getitem__(self, index: int) -> Encoded:
        """The encoded prompt. Raises InputError naming the row when an image or mark does not fit."""
        found = self._media.get(index)
        if found is None:
            found = self._encode(self._asks[index])
            self._media[index] = found
            self._room -= _bytes(found)
            while self._room < 0 and len(self._media) > 1:
                self._room += _bytes(self._media.popitem(last=False)[1])
        self._media.move_to_end(index)
        return found

    def ids(self, index: int) -> tuple[int, ...]:
        """The token ids alone; these are always kept."""
        if index not in self._ids:
            self._ids[index] = self[index].ids
        return self._ids[index]

    def _encode(self, ask: Ask) -> Encoded:
        pictures = [media.load() for media in ask.media]
        batch = encode_prompts(self.processor, [ask.question], [pictures], [ask.where])
        ids = tuple(batch["input_ids"][0].tolist())
        return Encoded(ids, batch.get("pixel_values"), batch.get("image_grid_thw"))


def _bytes(encoded: Encoded) -> int:
    pixels = encoded.pixels
    return 0 if pixels is None else pixels.numel() * pixels.element_size()


def pad_rows(rows: Sequence[Sequence[int]], value: int, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids as one int64 tensor of shape (rows, longest), and its 0/1 mask of the same shape."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), value, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[number, place] = torch.tensor(row, dtype=torch.long)
        mask[number, place] = 1
    return ids, mask


def image_inputs(encoded: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    """`pixel_values` and `image_grid_thw` of a batch, in the order of its rows; empty if it has no image."""
    pixels = [item.pixels for item in encoded if item.pixels is not None]
    grids = [item.grids for item in encoded if item.grids is not None]
    return {"pixel_values": torch.cat(pixels), "image_grid_thw": torch.cat(grids)} if pixels else {}


def check_room(config: Any, prompt: int, completion: int, where: str) -> None:
    """Refuse a prompt that leaves the model's context no room for the completion.

    Raises:
        InputError: naming the problem or row.
    """
    room = int(getattr(config, "text_config", config).max_position_embeddings)
    if prompt + completion > room:
        raise InputError(
            f"prompt of {prompt} tokens and {completion} to write exceed the context of {room}",
            where=where,
            fix="lower the cap, shorten the question or shrink its images",
        )


def epochs_of(n: int, seed: int, *names: str | int) -> Iterator[int]:
    """Indices below `n`, epoch after epoch without end, each epoch in an order keyed by its number.

    The order depends on the seed and the names alone, so a stage that goes on after a kill, or with
    more steps, sees what it would have seen.
    """
    epoch = 0
    while True:
        yield from np.random.default_rng(derive_seed(seed, *names, "epoch", epoch)).permutation(n).tolist()
        epoch += 1


def take(source: Iterator[int], count: int) -> list[int]:
    """The next `count` items."""
    return [next(source) for _ in range(count)]
