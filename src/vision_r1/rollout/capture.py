"""The decoding step as a CUDA graph: one launch a token instead of hundreds.

A graph holds addresses and shapes, so it is made anew when rows leave or come, or a store grows; on CUDA
stores are attended to whole, under masks, and rows leave some at a time (`complete`). The first steps of an
arrangement run plainly, which warms the libraries up and costs nothing where it does not last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from vision_r1.rollout.block import Block
from vision_r1.rollout.decoder import Decoder

Step = Callable[[torch.Tensor, Sequence[Block]], torch.Tensor]
PLAIN_STEPS = 4  # before an arrangement is captured


def captures(device: torch.device) -> bool:
    """Whether steps on the device are captured, so that shapes must hold still."""
    return device.type == "cuda"


def stepper(decoder: Decoder) -> Step:
    """How the decoder's step is run on its device."""
    return _Captured(decoder) if captures(decoder.like.device) else decoder.step


class _Captured:
    """A step that is captured once its arrangement has held for a few tokens."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._key: tuple[object, ...] = ()
        self._plain = 0
        self._graph: Any = None
        self._tokens = self._logits = torch.empty(0)

    def __call__(self, tokens: torch.Tensor, blocks: Sequence[Block]) -> torch.Tensor:
        key = tuple((id(block), block.version) for block in blocks)
        if key != self._key:
            self._key, self._plain, self._graph = key, 0, None
        if self._graph is None and self._plain < PLAIN_STEPS:
            self._plain += 1
            return self._decoder.step(tokens, blocks)
        if self._graph is None:
            self._tokens = tokens.clone()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records, computes nothing
                self._logits = self._decoder.step(self._tokens, blocks)
        self._tokens.copy_(tokens)
        self._graph.replay()
        return self._logits
