"""Trace: what a model wrote for a problem, as segments, with how it stopped and under what settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

StopReason = Literal["eos", "stop_string", "length", "error"]
SegmentKind = Literal["model", "injected", "tool"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens from one source.

    Attributes:
        kind: who wrote it; only "model" segments carry loss.
        text: decoded, special tokens left out.
        token_ids: its tokens, the end-of-sequence token included; empty where an endpoint wrote it.
        count: how many tokens an endpoint says it was; None where `token_ids` tells.
        logprobs: of each of `token_ids` under the distribution that it was drawn from (of greedy decoding, at
            temperature 1); empty where they are not known. Rounding decides their last digits, so they do
            not decide whether segments are equal.
    """

    kind: SegmentKind
    text: str
    token_ids: tuple[int, ...] = ()
    count: int | None = None
    logprobs: tuple[float, ...] = field(default=(), compare=False, repr=False)

    @property
    def tokens(self) -> int:
        """Number of its tokens."""
        return len(self.token_ids) if self.count is None else self.count


@dataclass(frozen=True, slots=True)
class Trace:
    """One completion.

    Attributes:
        problem_id: which problem it answers.
        sample_index: 0-based among the completions of that problem.
        segments: its text in order.
        stop_reason: `eos`, `stop_string`, `length` when it was cut off, or `error` when the engine gave
            up on it: such a trace has no text, is never graded as an answer, and is counted apart.
        prompt_tokens: length of the prompt, image tokens included.
        model: reference of the model that wrote it.
        settings: the sampling settings as plain data, seed included.
        parent: key of the trace it forked from or revises, if any.
        error: why the engine gave up, where the stop reason is `error`.
    """

    problem_id: str
    sample_index: int
    segments: tuple[Segment, ...]
    stop_reason: StopReason
    prompt_tokens: int
    model: str
    settings: dict[str, Any] = field(default_factory=dict, compare=False, hash=False)
    parent: str | None = None
    error: str = ""

    @property
    def text(self) -> str:
        """The whole completion."""
        return "".join(segment.text for segment in self.segments)

    @property
    def tokens(self) -> int:
        """Number of completion tokens."""
        return sum(segment.tokens for segment in self.segments)

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
