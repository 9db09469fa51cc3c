"""Groups that teach nothing: found, left out of training, or replaced by others (DAPO, arXiv 2503.14476).

The advantages of a group whose rewards are all equal are 0. Without a KL term it has no gradient, and
leaving it out changes nothing; with one it still pulls towards the reference policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from vision_r1.core.seeds import derive_seed
from vision_r1.train.data import epochs_of

# What of a batch has a column for each completion token, and what for each prompt token.
_BY_COMPLETION = ("completion_ids", "completion_mask", "ref_per_token_logps", "old_per_token_logps")
_BY_PROMPT = ("prompt_ids", "prompt_mask")


def flat_groups(rewards: Sequence[float], group: int) -> list[int]:
    """Numbers of the groups of `group` neighbouring rewards that are all equal."""
    groups = [rewards[start : start + group] for start in range(0, len(rewards), group)]
    return [number for number, each in enumerate(groups) if max(each) - min(each) < 1e-8]


def rows_of(groups: Sequence[int], group: int) -> list[int]:
    """The rows of groups."""
    return [number * group + place for number in groups for place in range(group)]


def take_rows(batch: dict[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """Some rows of TRL's generation batch, in that order, without the padding that they share."""
    count = len(batch["completion_mask"])
    chosen = torch.tensor(list(rows))
    part = {
        key: value[chosen.to(value.device)]
        if isinstance(value, torch.Tensor) and value.dim() > 0 and len(value) == count
        else value
        for key, value in batch.items()
    }
    longest = max(1, int(part["completion_mask"].sum(1).max()))
    widest = int(part["prompt_mask"].sum(1).max())
    for key in _BY_COMPLETION:
        if key in part:
            part[key] = part[key][:, :longest]
    for key in _BY_PROMPT:
        part[key] = part[key][:, part[key].shape[1] - widest :]
    return part


def join_rows(batches: Sequence[dict[str, Any]], pad: int) -> dict[str, Any]:
    """Batches below each other, prompts padded on the left and completions on the right to one width.

    `num_items_in_batch`, the number of completion tokens, is counted anew.
    """
    joined: dict[str, Any] = dict(batches[0])
    for key, value in batches[0].items():
        if not isinstance(value, torch.Tensor) or value.dim() == 0:
            continue
        parts = [batch[key] for batch in batches]
        if value.dim() == 2:
            width = max(part.shape[1] for part in parts)
            fill = pad if key in ("prompt_ids", "completion_ids") else 0
            left = key in _BY_PROMPT
            parts = [_widened(part, width, fill, left) for part in parts]
        joined[key] = torch.cat(parts)
    joined["num_items_in_batch"] = joined["completion_mask"].sum()
    return joined


def _widened(part: torch.Tensor, width: int, fill: int, left: bool) -> torch.Tensor:
    spare = width - part.shape[1]
    return torch.nn.functional.pad(part, (spare, 0) if left else (0, spare), value=fill)


def reserve(count: int, seed: int, stage: str, step: int, asked: set[int]) -> Iterator[int]:
    """Numbers of problems to ask in place of flat groups, keyed by the step, those of this step left out.

    The order depends on seed, stage and step alone, so a run that is continued asks the same ones.
    """
    if len(asked) >= count:
        return
    for number in epochs_of(count, derive_seed(seed, stage, "reserve"), step):
        if number not in asked:
            yield number
