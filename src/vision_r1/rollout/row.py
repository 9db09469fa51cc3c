"""A completion in the making, and one draw for many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vision_r1.core.errors import CollapseError
from vision_r1.rollout.group import Completion, Group
from vision_r1.rollout.sampling import BLOCK, Noise, Warp, draw_tokens
from vision_r1.rollout.stops import Decode, StopStrings
from vision_r1.rollout.trace import StopReason


@dataclass(frozen=True)
class Drawing:
    """From logits to tokens, and what ends a completion.

    Attributes:
        warp: the change of logits before drawing, see `sampling.warp_of`; it is given no ids (an empty
            tensor) where its attribute `reads_ids` is False.
        eos: tokens that end a completion.
        greedy: take the likeliest token; seeds mean nothing then.
        decode: token ids to text; needed by groups with stop strings.
    """

    warp: Warp
    eos: frozenset[int]
    greedy: bool = False
    decode: Decode | None = None


class Row:
    """A completion in the making: its tokens, their log-probs, and why it ended (None: it has not)."""

    __slots__ = ("_noise", "_uniforms", "cap", "group", "ids", "logprobs", "member", "stop")

    def __init__(self, group: int, member: int, seed: int, cap: int) -> None:
        self.group, self.member, self.cap = group, member, cap
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.stop: StopReason | None = None
        self._noise = Noise(seed)
        self._uniforms: list[float] = []

    def uniform(self) -> float:
        """The noise of the next token, in [0, 1); to be asked for once a token."""
        place = len(self.ids) % BLOCK
        if place == 0:
            self._uniforms = self._noise.block().tolist()
        return self._uniforms[place]

    def completion(self) -> Completion:
        """What was written."""
        if self.stop is None:
            raise ValueError("a completion that has not ended")
        return Completion(self.ids, self.logprobs, self.stop)


class Drawer:
    """Draws the next token of rows and says which have ended."""

    def __init__(self, drawing: Drawing, groups: Sequence[Group]) -> None:
        self._drawing, self._groups, self.eos = drawing, groups, drawing.eos
        self._reads_ids = getattr(drawing.warp, "reads_ids", True)
        self._stops = StopStrings(drawing.decode) if drawing.decode is not None else None
        if self._stops is None and any(group.stops for group in groups):
            raise ValueError("stop strings need `decode`")

    def draw(self, rows: Sequence[Row], logits: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """One token for each row that has not ended.

        Args:
            rows: which have been drawn equally often as they have tokens.
            logits: of shape (rows, vocabulary).

        Returns:
            The tokens, int64 of shape (rows,), and the places of rows that have just ended.

        Raises:
            CollapseError: logits that are not finite.
        """
        drawing = self._drawing
        logits = drawing.warp(self._ids(rows, logits) if self._reads_ids else logits.new_empty(0), logits)
        uniforms = None
        if not drawing.greedy:
            noise = [0.0 if row.stop else row.uniform() for row in rows]
            uniforms = torch.tensor(noise, dtype=torch.float64, device=logits.device)
        tokens, logprobs, usable = draw_tokens(logits, uniforms)
        if not bool(usable.all()):
            self._refuse(rows, usable.tolist())
        ended = []
        for place, (row, token, logprob) in enumerate(
            zip(rows, tokens.tolist(), logprobs.tolist(), strict=True)
        ):
            if row.stop is None:
                row.ids.append(token)
                row.logprobs.append(logprob)
                row.stop = self._stop(row, token)
                if row.stop is not None:
                    ended.append(place)
        return tokens, ended

    def _stop(self, row: Row, token: int) -> StopReason | None:
        if token in self._drawing.eos:
            return "eos"
        if self._stops is not None and self._stops.ended(row.ids, self._groups[row.group].stops):
            return "stop_string"
        return "length" if len(row.ids) == row.cap else None

    def _refuse(self, rows: Sequence[Row], usable: Sequence[bool]) -> None:
        for row, fine in zip(rows, usable, strict=True):
            if not fine and row.stop is None:
                raise CollapseError(
                    f"the model's logits are not finite at token {len(row.ids)} of completion {row.member}",
                    where=self._groups[row.group].where,
                    fix="lower the learning rate, or start from the last good checkpoint",
                )

    def _ids(self, rows: Sequence[Row], logits: torch.Tensor) -> torch.Tensor:
        """Prompts and tokens so far, int64 of shape (rows, longest); shorter ones repeat their first.

        What counts tokens' presence, as the repetition penalty does, sees no difference.
        """
        every = [[*self._groups[row.group].ids, *row.ids] for row in rows]
        longest = max(map(len, every))
        return torch.tensor([ids[:1] * (longest - len(ids)) + ids for ids in every], device=logits.device)
