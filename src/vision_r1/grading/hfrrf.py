"""HFRRF, the paper's hard formatting result reward function, and the soft rule of its Zero variant.

Hard (section 3.3): reward 1 if the format is valid and the answer is right, else 0.
Soft (Zero): 0.5 * format + 0.5 * accuracy, the answer then found by tolerant extraction.
Both give 0 to a completion that was cut at its length limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vision_r1.core.errors import InputError
from vision_r1.grading.formats import Parts, split_parts
from vision_r1.grading.response import grade_response
from vision_r1.grading.spec import GradeSpec
from vision_r1.grading.verdict import Verdict

StopReason = Literal["eos", "stop_string", "length"]


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward and why.

    Attributes:
        reward: what the training sees.
        format_ok: whether the whole completion has the paper's format.
        verdict: on the answer; None where it was not graded.
        reason: one code to count by: "right", "wrong", "unparseable", "timeout", "length",
            "format:..." (see `formats.split_parts`), or what a user's function says.
    """

    reward: float
    format_ok: bool
    verdict: Verdict | None
    reason: str


def check_stop_reason(stop_reason: str) -> None:
    """Refuse a stop reason that is none of ours: counting truncation relies on it. InputError."""
    if stop_reason not in get_args(StopReason):
        raise InputError(
            f"unknown stop reason {stop_reason!r}", where="stop_reason", fix="eos, stop_string or length"
        )


def hfrrf(completion: str, spec: GradeSpec, stop_reason: StopReason) -> Reward:
    """The hard reward: 1.0 or 0.0.

    Args:
        completion: the whole decoded completion, tags included, special tokens left out.
        spec: the gold and how it is compared.
        stop_reason: why generation stopped; "length" gives 0 whatever the text.

    Raises:
        InputError: an unknown stop reason.
    """
    check_stop_reason(stop_reason)
    parts = split_parts(completion)
    format_ok = isinstance(parts, Parts)
    if stop_reason == "length":
        return Reward(0.0, format_ok, None, "length")
    if not isinstance(parts, Parts):
        return Reward(0.0, False, None, f"format:{parts}")
    verdict = grade_response(completion, spec)
    return Reward(float(verdict.correct), True, verdict, verdict.status)


def soft_reward(completion: str, spec: GradeSpec, stop_reason: StopReason) -> Reward:
    """The 1:1 rule of the Zero variant: 0.0, 0.5 or 1.0. Arguments and errors as `hfrrf`."""
    check_stop_reason(stop_reason)
    parts = split_parts(completion)
    format_ok = isinstance(parts, Parts)
    if stop_reason == "length":
        return Reward(0.0, format_ok, None, "length")
    verdict = grade_response(completion, spec)
    reason = verdict.status if isinstance(parts, Parts) else f"format:{parts}"
    return Reward(0.5 * format_ok + 0.5 * verdict.correct, format_ok, verdict, reason)
