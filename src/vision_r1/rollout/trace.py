"""Trace: what a model wrote for a problem, as segments, with how it stopped and under what settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

StopReason = Literal["eos", "stop_string", "length"]
SegmentKind = Literal["model", "injected", "tool"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens from one source.

    Attributes:
        kind: who wrote it; only "model" segments carry loss.
        text: decoded, special tokens left out.
        token_ids: its tokens, the end-of-sequence token included.
    """

    kind: SegmentKind
    text: str
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """One completion.

    Attributes:
        problem_id: which problem it answers.
        sample_index: 0-based among the completions of that problem.
        segments: its text in order.
        stop_reason: `eos`, `stop_string`, or `length` when it was cut off.
        prompt_tokens: length of the prompt, image tokens included.
        model: reference of the model that wrote it.
        settings: the sampling settings as plain data, seed included.
        parent: key of the trace it forked from or revises, if any.
    """

    problem_id: str
    sample_index: int
    segments: tuple[Segment, ...]
    stop_reason: StopReason
    prompt_tokens: int
    model: str
    settings: dict[str, Any] = field(default_factory=dict, compare=False, hash=False)
    parent: str | None = None

    @property
    def text(self) -> str:
        """The whole completion."""
        return "".join(segment.text for segment in self.segments)

    @property
    def tokens(self) -> int:
        """Number of completion tokens."""
        return sum(len(segment.token_ids) for segment in self.segments)

    def row(self) -> dict[str, Any]:
        """Plain data for a JSON Lines file."""
        return {
            "problem_id": self.problem_id,
            "sample_index": self.sample_index,
            "text": self.text,
            "stop_reason": self.stop_reason,
            "tokens": self.tokens,
            "prompt_tokens": self.prompt_tokens,
            "model": self.model,
        }
