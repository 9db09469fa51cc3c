"""A batch in several passes is the batch, and every process makes as many of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.train.passes import equalised, summed


class Others:
    """An accelerator beside processes that have so many passes; notes which passes were not synchronised."""

    device = torch.device("cpu")

    def __init__(self, *counts: int) -> None:
        self.counts, self.unsynced, self.inside = counts, 0, False

    def gather(self, count: torch.Tensor) -> torch.Tensor:
        return torch.cat([count, torch.tensor(self.counts, dtype=count.dtype)])

    @contextmanager
    def no_sync(self, model: Any) -> Any:
        self.inside = True
        yield
        self.inside = False

    def backward(self, loss: torch.Tensor) -> None:
        assert self.inside, "gradients of all but the last pass are added up on this process alone"
        self.unsynced += 1
        loss.backward()


@given(st.lists(st.floats(0.1, 2), max_size=5), st.lists(st.integers(0, 7), max_size=3))
def test_the_sum_and_its_gradient_are_those_of_the_batch(weights: list[float], others: list[int]) -> None:
    data = torch.arange(1.0, 13.0).reshape(6, 2)
    model = torch.nn.Linear(2, 1)
    accelerator = Others(*others)
    passes = [([row], weight) for row, weight in enumerate(weights)]
    level = equalised(accelerator, passes, idle=5)
    assert len(level) == max([len(weights), *others, 1]) and level[len(level) - len(passes) :] == passes
    assert all(rows == [5] and weight == 0.0 for rows, weight in level[: len(level) - len(passes)])

    loss = summed(accelerator, model, level, lambda rows: model(data[rows]).square().sum())
    assert accelerator.unsynced == len(level) - 1
    loss.backward()
    found = [loss.detach(), *(weight.grad for weight in model.parameters())]
    model.zero_grad()
    whole = sum((weight * model(data[rows]).square().sum() for rows, weight in passes), torch.zeros(()))
    if passes:
        whole.backward()
    expected = [
        whole.detach(), *(torch.zeros_like(w) if w.grad is None else w.grad for w in model.parameters()),
    ]  # fmt: skip
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)
