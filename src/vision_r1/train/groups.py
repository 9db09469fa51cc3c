"""Groups of completions as packed rows, and how a batch is cut into them.

    row = [q_1 | o_11 | ... | o_1G | q_2 | o_21 | ...],   log pi(o_it | q_i, o_i<t) at every o

Each prompt stands in the row once (`models.packing`): its last token is left out of it and leads each
completion instead, so that every completion token is predicted inside its own segment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from vision_r1.models.packing import Layout, Segment


@dataclass(frozen=True, slots=True)
class PackedGroups:
    """One packed row.

    Attributes:
        input_ids: int64 of shape (1, row).
        position_ids: rotary positions, int64 of shape (3, 1, row), for text models (1, row).
        shift_labels: the token that each place predicts, int64 of shape (1, row); -100 in prompts.
        layout: the segments.
        starts: int64 of shape (completions,): where in the row each completion is predicted from.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    shift_labels: torch.Tensor
    layout: Layout
    starts: torch.Tensor

    def unpacked(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Values of the row, shape (1, row), as (completions, tokens); 0 where the 0/1 mask is."""
        steps = torch.arange(mask.shape[1], device=values.device)
        places = (self.starts[:, None] + steps).clamp(max=values.shape[1] - 1)
        return values[0][places].masked_fill(mask == 0, 0.0)


def pack_groups(
    prompts: Sequence[Sequence[int]],
    positions: Sequence[torch.Tensor],
    place: Sequence[int],
    completions: Sequence[torch.Tensor],
) -> PackedGroups:
    """Lay prompts and their completions into one row.

    Args:
        prompts: token ids of the distinct prompts.
        positions: rotary positions of each, int64 of shape (3, length), for text models (1, length).
        place: which prompt each completion belongs to; those of one prompt must lie together, in order.
        completions: int64 of shape (tokens,) each, of one token or more.

    Raises:
        ValueError: completions of one prompt that do not lie together, or an empty one.
    """
    if list(place) != sorted(place) or len(set(place)) != len(prompts):
        raise ValueError("completions must lie in the order of their prompts, each prompt with one at least")
    row = _Row()
    for number, (prompt, where) in enumerate(zip(prompts, positions, strict=True)):
        own = [completions[k].cpu() for k in range(len(place)) if place[k] == number]
        row.add(torch.tensor(prompt, dtype=torch.long), where, own)
    line = torch.cat(row.positions, dim=1)
    return PackedGroups(
        torch.cat(row.ids)[None],
        line[:, None] if len(line) > 1 else line,
        torch.cat(row.labels)[None],
        Layout(tuple(row.segments)),
        torch.tensor(row.starts),
    )


class _Row:
    """A packed row in the making."""

    def __init__(self) -> None:
        self.ids: list[torch.Tensor] = []
        self.positions: list[torch.Tensor] = []
        self.labels: list[torch.Tensor] = []
        self.segments: list[Segment] = []
        self.starts: list[int] = []
        self.end = 0

    def add(self, prompt: torch.Tensor, where: torch.Tensor, completions: Sequence[torch.Tensor]) -> None:
        """A prompt and its completions; a prompt with one alone needs no prefix, it is one sequence."""
        lead = len(prompt) - 1
        prefix = (self.end, self.end + lead)
        shared = lead > 0 and len(completions) > 1
        self.ids.append(prompt[:-1])
        self.positions.append(where[:, :-1])
        self.labels.append(torch.full((lead,), -100))
        if shared:
            self.segments.append(Segment(*prefix))
        self.end += lead
        following = int(where.max()) + 1
        for completion in completions:
            if len(completion) == 0:
                raise ValueError("an empty completion has nothing to be predicted")
            start, stop = self.end, self.end + len(completion)
            self.segments.append(Segment(start, stop, prefix) if shared else Segment(start - lead, stop))
            self.starts.append(start)
            self.ids += [prompt[-1:], completion[:-1]]
            steps = torch.arange(following, following + len(completion) - 1)
            self.positions += [where[:, -1:], steps.expand(len(where), -1)]
            self.labels.append(completion)
            self.end, lead = stop, 0


def cut_by_tokens(
    prompts: Mapping[int, int], rows: Sequence[int], lengths: Sequence[int], budget: int
) -> list[list[int]]:
    """Cut completions into parts of at most `budget` tokens each, groups together as far as they fit.

    A part costs its completions and each of its prompts once. A completion that is over the budget alone
    is a part of its own: nothing is left out.

    Args:
        prompts: tokens of each prompt, by the number that `rows` holds.
        rows: which prompt each completion belongs to.
        lengths: tokens of each completion.
        budget: tokens of a part.

    Returns:
        Indices of completions, each once; within a part those of one prompt lie together, in the order of
        their prompts.
    """
    parts: list[list[int]] = []
    room, last = 0, None
    for index in sorted(range(len(rows)), key=lambda k: rows[k]):
        cost = lengths[index] + (prompts[rows[index]] if rows[index] != last else 0)
        if not parts or cost > room:
            parts.append([])
            room, cost = budget, lengths[index] + prompts[rows[index]]
        parts[-1].append(index)
        room -= cost
        last = rows[index]
    return parts


def cut_padded(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut whole rows into parts of at most `budget` tokens, padding counted, rows of like length together."""
    parts: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda k: lengths[k]):
        if not parts or (len(parts[-1]) + 1) * lengths[index] > budget:
            parts.append([])
        parts[-1].append(index)
    return parts
