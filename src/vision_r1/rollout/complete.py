"""Groups of completions in this process: each image and each prompt computed once, rows leave as they end.

transformers' `generate` reads every prompt once per completion and keeps finished rows until the last one
ends. Here a prompt's keys and values are shared by its group (`block`), a step goes through the layers
without transformers' modules (`decoder`), finished rows leave at once and waiting groups take their place
within a budget. The noise is keyed by completion and position (inverse transform sampling), so a
completion does not depend on its neighbours but for rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vision_r1.models.parts import prompt_positions
from vision_r1.rollout.block import Block, block_tokens
from vision_r1.rollout.capture import captures, stepper
from vision_r1.rollout.decoder import Decoder, supports, threads_for
from vision_r1.rollout.fallback import complete_by_generate
from vision_r1.rollout.group import Completion, ContextError, Group, check_groups
from vision_r1.rollout.memory import Budget, token_bytes, token_limit
from vision_r1.rollout.prefill import Images, read_prompts
from vision_r1.rollout.row import Drawer, Drawing, Row

logger = logging.getLogger(__name__)
_JOIN_SHARE = 4  # waiting groups join once they fill a quarter of the rows that may be in flight


@dataclass
class Usage:
    """What a call took.

    Attributes:
        cache_limit: bytes of cache that could not be exceeded.
        cache_peak: the most bytes of cache held at a time.
        prompts, images: how many went through the model and through its vision tower.
        steps: decoding steps.
        row_steps: rows in them, all together.
    """

    cache_limit: int = 0
    cache_peak: int = 0
    prompts: int = 0
    images: int = 0
    steps: int = 0
    row_steps: int = 0


@torch.inference_mode()
def complete_groups(
    model: Any,
    groups: Sequence[Group],
    drawing: Drawing,
    budget: Budget | None = None,
    on_done: Callable[[int], None] = lambda group: None,
    usage: Usage | None = None,
) -> list[list[Completion]]:
    """Complete each prompt as often as it has seeds.

    Args:
        model: with adapters or not, but not wrapped for several processes; its mode is left as it is, and
            dropout should be off. Another family than `decoder.supports` goes through `generate`.
        groups: prompts with seeds and caps.
        drawing: from logits to tokens, and what ends a completion.
        budget: rows and tokens in flight.
        on_done: called with the index of each group whose last completion has ended.
        usage: filled in.

    Returns:
        The completions of each group, in order.

    Raises:
        InputError: a prompt that cannot be completed; before anything is computed.
        CollapseError: logits that are not finite, naming the prompt, the completion and the position.
    """
    usage = usage or Usage()
    check_groups(model, groups)
    if not groups:
        return []
    if not supports(model):
        return complete_by_generate(model, groups, drawing, budget or Budget(), on_done)
    return _Run(model, groups, drawing, budget or Budget(), on_done, usage).result()


class _Run:
    """One call: what waits, what is in flight, what has ended."""

    def __init__(
        self,
        model: Any,
        groups: Sequence[Group],
        drawing: Drawing,
        budget: Budget,
        on_done: Callable[[int], None],
        usage: Usage,
    ) -> None:
        self.model, self.groups, self.budget = model, groups, budget
        self.drawer = Drawer(drawing, groups)
        self.on_done, self.usage = on_done, usage
        self.positions = [prompt_positions(model, group.ids, group.grids) for group in groups]
        starts = [int(places.max()) + 1 for places in self.positions]
        self.starts = starts
        self.decoder = Decoder(
            model, max(start + max(g.caps) for start, g in zip(starts, groups, strict=True))
        )
        like, shape = self.decoder.like, self.decoder.shape
        self.static = captures(like.device)
        self.step = stepper(self.decoder)
        self.bytes = token_bytes(shape, like.dtype)
        self.limit = token_limit(budget, shape, like) * shape[0] // (shape[0] + 1)
        usage.cache_limit = self._with_copy(self.limit) * self.bytes
        self.results: list[list[Completion | None]] = [[None] * len(group.seeds) for group in groups]
        self.left = [len(group.seeds) for group in groups]
        self.waiting = self._parts()
        self.images = Images(model, [groups[part.group] for part in self.waiting])
        self.blocks: list[Block] = []
        self.rows: list[Row] = []
        self.next = torch.empty(0, dtype=torch.long, device=like.device)

    def result(self) -> list[list[Completion]]:
        self._say()
        changed = True
        while self.waiting or self.blocks:
            if self.waiting and (changed or not self.blocks):
                self._admit()
            changed = self._advance() if self.blocks else True
        self.usage.images = self.images.computed
        return [[found for found in group if found is not None] for group in self.results]

    def _say(self) -> None:
        lengths = [len(self.groups[part.group].ids) for part in self.waiting]
        caps = [cap for part in self.waiting for cap in part.caps(self.groups)]
        tokens = self._with_copy(min(self.limit, block_tokens(lengths, caps)))
        logger.info(
            "rollouts: the cache takes at most %.1f MiB: %d tokens of %d bytes",
            tokens * self.bytes / 2**20, tokens, self.bytes,
        )  # fmt: skip

    def _with_copy(self, tokens: int) -> int:
        """While a store is copied its old and its new copy are held, one layer at a time."""
        layers = self.decoder.shape[0]
        return -(-tokens * (layers + 1) // layers)

    # --- waiting ---

    def _parts(self) -> list[_Part]:
        """Groups by cap and length, the longest first, so that what is in flight together is alike.

        A group that exceeds the memory alone is cut, and its prompt is read once for each part.
        """
        parts = []
        for index, group in enumerate(self.groups):
            length, cap = len(group.ids), max(group.caps)
            most = (self.limit - length) // cap
            if most < 1:
                raise ContextError(
                    f"prompt of {length} tokens and a cap of {cap} exceed the cache of {self.limit} tokens",
                    where=group.where,
                    fix="raise the token budget, or lower the cap",
                )
            members = list(range(len(group.seeds)))
            parts += [_Part(index, members[k : k + most]) for k in range(0, len(members), most)]
        return sorted(parts, key=lambda part: _size(self.groups[part.group]), reverse=True)

    def _admit(self) -> None:
        """Let waiting groups in when many fit, or when nothing else is in flight."""
        count = self._fitting()
        rows = sum(len(part.members) for part in self.waiting[:count])
        if (self.blocks and count < len(self.waiting) and rows < self.budget.rows / _JOIN_SHARE) or not count:
            return
        chosen, self.waiting = self.waiting[:count], self.waiting[count:]
        if len(self.blocks) > 1:  # few old rows, which end late, and fresh ones: two kinds, two blocks
            self.blocks[0].join(self.blocks.pop())
        for block in self.blocks:
            block.fit()
        self._read(chosen)

    def _fitting(self) -> int:
        """How many of the waiting parts fit beside what is in flight."""
        lengths = [length for block in self.blocks for length in block.lengths]
        caps = [cap for block in self.blocks for cap in block.caps]
        base = block_tokens(lengths, caps) if caps else 0
        rows, new_lengths, new_caps = len(caps), [], []
        for count, part in enumerate(self.waiting):
            rows += len(part.members)
            new_lengths.append(len(self.groups[part.group].ids))
            new_caps += part.caps(self.groups)
            if base + block_tokens(new_lengths, new_caps) > self.limit:
                return count
            if rows > self.budget.rows and rows > len(part.members):
                return count
        return len(self.waiting)

    def _read(self, parts: Sequence[_Part]) -> None:
        """Prefill a new block and draw its rows' first tokens."""
        groups = [self.groups[part.group] for part in parts]
        block = Block(
            self.decoder.shape,
            self.decoder.like,
            [len(group.ids) for group in groups],
            [self.starts[part.group] for part in parts],
            [index for index, part in enumerate(parts) for _ in part.members],
            [cap for part in parts for cap in part.caps(self.groups)],
            self.static,
        )
        places = [self.positions[part.group] for part in parts]
        logits = read_prompts(self.model, groups, places, block, self.images)
        self.usage.prompts += len(parts)
        rows = [
            Row(part.group, member, group.seeds[member], group.caps[member])
            for part, group in zip(parts, groups, strict=True)
            for member in part.members
        ]
        self.blocks.append(block)
        self.rows += rows
        self._measure()
        of = torch.tensor(block.prompt_of, device=logits.device)
        tokens, ended = self._draw(rows, logits[of])
        self.next = torch.cat([self.next, tokens])
        first = len(self.rows) - len(rows)
        self._leave([first + row for row in ended])

    # --- in flight ---

    def _advance(self) -> bool:
        """One token for every row; whether rows have left."""
        for block in self.blocks:
            block.begin()
        self._measure()
        with threads_for(self.decoder, len(self.rows)):
            logits = self.step(self.next, self.blocks)
        for block in self.blocks:
            block.end()
        self.usage.steps += 1
        self.usage.row_steps += len(self.rows)
        self.next, ended = self._draw(self.rows, logits)
        return self._leave(ended)

    def _draw(self, rows: Sequence[Row], logits: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        tokens, ended = self.drawer.draw(rows, logits)
        for row in (rows[place] for place in ended):
            self.results[row.group][row.member] = row.completion()
            self.left[row.group] -= 1
            if not self.left[row.group]:
                self.on_done(row.group)
        return tokens, ended

    def _leave(self, ended: Sequence[int]) -> bool:
        """Take ended rows out; on CUDA some at a time, for a captured step holds until rows leave."""
        gone = list(ended)
        if self.static:
            gone = [index for index, row in enumerate(self.rows) if row.stop is not None]
            if len(gone) < len(self.rows) and len(gone) * 8 < len(self.rows):
                return False
        if not gone:
            return False
        first, blocks, order = 0, [], []
        for block in self.blocks:
            size = block.rows
            mine = [row - first for row in gone if first <= row < first + size]
            if len(mine) < size:
                order += [first + row for row in (block.drop(mine) if mine else range(size))]
                blocks.append(block)
            first += size
        self.blocks = blocks
        self._fold()
        self.rows = [self.rows[row] for row in order]
        self.next = self.next[torch.tensor(order, dtype=torch.long, device=self.next.device)]
        return True

    def _fold(self) -> None:
        """Where few rows are left and memory allows, a step is quicker without sharing."""
        for block in self.blocks:
            tokens = block.folded_tokens()
            others = sum(
                block_tokens(other.lengths, other.caps) for other in self.blocks if other is not block
            )
            if tokens is not None and tokens + others <= self.limit:
                block.fit()
                block.fold()

    def _measure(self) -> None:
        held = sum(block.held for block in self.blocks) * self.bytes
        self.usage.cache_peak = max(self.usage.cache_peak, held)


@dataclass(slots=True)
class _Part:
    """Completions of one group that are begun together."""

    group: int
    members: list[int]

    def caps(self, groups: Sequence[Group]) -> list[int]:
        """The cap of each of its rows."""
        caps = groups[self.group].caps
        return [caps[member] for member in self.members]


def _size(group: Group) -> tuple[int, int]:
    return max(group.caps), len(group.ids)
