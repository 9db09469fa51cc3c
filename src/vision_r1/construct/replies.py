"""What the steps of construction share: what a model said, and dropping a row with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vision_r1.models.chat import IMAGE_MARK, SPECIAL_MARKS
from vision_r1.rollout.trace import StopReason


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a row is not kept.

    Attributes:
        rule: short name to count by.
        reason: what exactly was found.
    """

    rule: str
    reason: str


class Reply(Protocol):
    """What a parser reads of a reply: a `Said`, or a trace of an engine."""

    @property
    def text(self) -> str:
        """The reply, without a thought that came before it."""
        ...

    @property
    def tokens(self) -> int:
        """Its length in tokens, thought included."""
        ...

    @property
    def stop_reason(self) -> StopReason:
        """`length` where it was cut off, `error` where it never came."""
        ...

    @property
    def error(self) -> str:
        """Why it never came."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said to one request.

    Attributes:
        text: the reply, without a thought that came before it.
        thought: that thought, "" without.
        tokens: length of both, as the endpoint or the tokenizer counts, else an estimate.
        stop_reason: `length` where it was cut off, `error` where it never came.
        error: why it never came.
        hidden: why the thought is not there in full, "" where it is.
        key: of the request in the log, "" for an engine without one.
        model: what was asked.
        estimated: whether `tokens` is an estimate.
    """

    text: str
    thought: str = ""
    tokens: int = 0
    stop_reason: StopReason = "eos"
    error: str = ""
    hidden: str = ""
    key: str = ""
    model: str = ""
    estimated: bool = False


def control_token(text: str) -> str | None:
    """The control token or image mark that a text spells out, if any.

    Put into a prompt or a training row it would be read as an image or as the end of a turn.
    """
    return next((mark for mark in (*SPECIAL_MARKS, IMAGE_MARK) if mark in text), None)


def check_reply(step: str, reply: Reply) -> Dropped | None:
    """Refuse a reply that never came, was cut off, or spells out a control token."""
    if reply.stop_reason == "error":
        return Dropped(f"{step}_unanswered", reply.error)
    if reply.stop_reason == "length":
        return Dropped(f"{step}_truncated", f"the reply did not end within {reply.tokens} tokens")
    mark = control_token(reply.text)
    return Dropped("control_token", f"the {step} reply contains {mark}") if mark else None


def plain_reply(step: str, reply: Reply) -> str | Dropped:
    """The whole reply without the white space round it, or why it cannot be used."""
    refused = check_reply(step, reply)
    if refused is not None:
        return refused
    return reply.text.strip() or Dropped(f"{step}_empty", "the reply is empty")
