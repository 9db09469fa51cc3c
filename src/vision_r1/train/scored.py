"""Completions of a step with their rewards, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vision_r1.grading.hfrrf import Reward
from vision_r1.problems.problem import Problem


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion of the latest step, as the reward saw it."""

    problem: Problem
    text: str
    tokens: int
    stop_reason: str
    reward: Reward


def completion_text(tokenizer: Any, ids: Sequence[int]) -> str:
    """The completion as the reward reads it: no control tokens, but tags even where they are special."""
    tags = ("think>", "answer>")
    drop = {
        number
        for number, token in zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        if not token.endswith(tags)
    }
    text: str = tokenizer.decode([number for number in ids if number not in drop], skip_special_tokens=False)
    return text


def rewards_of(rollouts: Sequence[Rollout]) -> list[float]:
    """Their rewards, in order."""
    return [rollout.reward.reward for rollout in rollouts]


def measures(rollouts: Sequence[Rollout]) -> dict[str, float | None]:
    """Shares and means over them; accuracy is None where the reward grades no answers."""
    n = max(len(rollouts), 1)
    verdicts = [rollout.reward.verdict for rollout in rollouts]
    graded = any(verdict is not None for verdict in verdicts)
    right = sum(verdict is not None and verdict.correct for verdict in verdicts)
    return {
        "truncation_rate": sum(r.stop_reason == "length" for r in rollouts) / n,
        "format_rate": sum(r.reward.format_ok for r in rollouts) / n,
        "accuracy": right / n if graded else None,
        "mean_tokens": sum(r.tokens for r in rollouts) / n,
    }
