"""When training cannot be right any more: a bound broken for many steps running, or a number that is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vision_r1.train.config import Guard

# The measure of a log row -> (is its bound broken?, what to say).
_Rule = tuple[str, Callable[[float, Guard], bool], str]
_RULES: tuple[_Rule, ...] = (
    (
        "reward",
        lambda value, guard: value <= guard.min_reward,
        "the mean reward stayed at or below {min_reward}",
    ),
    ("kl", lambda value, guard: value > guard.max_kl, "the KL to the reference stayed above {max_kl}"),
    ("entropy", lambda value, guard: value < guard.min_entropy, "the entropy stayed below {min_entropy}"),
    (
        "mean_tokens",
        lambda value, guard: value < guard.min_tokens,
        "completions stayed below {min_tokens} tokens",
    ),
    (
        "truncation_rate",
        lambda value, guard: value > guard.max_truncated,
        "the share of truncated completions stayed above {max_truncated}",
    ),
)
_FINITE = ("loss", "grad_norm", "kl", "entropy")


class Watch:
    """Reads log rows in order and says when and why to stop.

    Its state is a function of the rows alone, so a resumed run rebuilds it from the log.
    """

    def __init__(self, guard: Guard, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.guard = guard
        self.streaks = {measure: 0 for measure, _, _ in _RULES}
        self.reason: str | None = None
        for row in rows:
            self.see(row)

    @property
    def healthy(self) -> bool:
        """No bound is broken at the last row seen."""
        return self.reason is None and not any(self.streaks.values())

    def see(self, row: Mapping[str, Any]) -> str | None:
        """Take one row; the first reason to stop stays. A measure that a row lacks is not judged."""
        reason = self._not_finite(row)
        for measure, broken, text in _RULES:
            value = row.get(measure)
            self.streaks[measure] = (
                self.streaks[measure] + 1 if value is not None and broken(value, self.guard) else 0
            )
            if self.streaks[measure] >= self.guard.patience and reason is None:
                bound = text.format(**self.guard.model_dump())
                reason = f"{bound} for {self.guard.patience} steps, until step {row.get('step')}"
        self.reason = self.reason or reason
        return self.reason

    @staticmethod
    def _not_finite(row: Mapping[str, Any]) -> str | None:
        for measure in _FINITE:
            value = row.get(measure)
            if value is not None and not math.isfinite(value):
                return f"{measure} is {value} at step {row.get('step')}"
        return None
