"""One batch in several forward and backward passes: the same step, in less memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Pass = tuple[list[int], float]  # rows, and the weight of their loss


def equalised(accelerator: Any, passes: Sequence[Pass], idle: int) -> list[Pass]:
    """As many passes as the process with most of them has, one at least; those added weigh nothing.

    Processes meet in every pass. And weights without a gradient would be left alone by the optimizer, which
    moves those of gradient 0 by their momentum.

    Args:
        accelerator: of the trainer.
        passes: of this process.
        idle: the row that an added pass is made of.
    """
    count = torch.tensor([len(passes)], device=accelerator.device)
    most = int(accelerator.gather(count).max())
    added: list[Pass] = [([idle], 0.0)] * (max(most, 1) - len(passes))
    return [*added, *passes]


def summed(
    accelerator: Any, model: Any, passes: Sequence[Pass], loss_of: Callable[[list[int]], torch.Tensor]
) -> torch.Tensor:
    """The weighted sum of the passes' losses, of shape (); all but the last are propagated back at once.

    Args:
        accelerator: of the trainer.
        model: as it is wrapped.
        passes: at least one.
        loss_of: the loss of some rows, with its graph.
    """
    done = torch.zeros((), device=accelerator.device)
    for rows, weight in passes[:-1]:
        with accelerator.no_sync(model):
            loss = weight * loss_of(rows)
            accelerator.backward(loss)
            done += loss.detach()
    rows, weight = passes[-1]
    return weight * loss_of(rows) + done
