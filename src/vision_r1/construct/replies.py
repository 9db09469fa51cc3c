"""What the steps of bridging share: asking the MLLM, and dropping a row with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vision_r1.core.errors import InputError
from vision_r1.models.chat import IMAGE_MARK, SPECIAL_MARKS, user_content
from vision_r1.problems.problem import Problem
from vision_r1.rollout.request import Request
from vision_r1.rollout.trace import Trace

Generate = Callable[[Sequence[Request]], Sequence[Trace]]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a row is not kept.

    Attributes:
        rule: short name to count by.
        reason: what exactly was found.
    """

    rule: str
    reason: str


def control_token(text: str) -> str | None:
    """The control token or image mark that a text spells out, if any.

    Put into a prompt or a training row it would be read as an image or as the end of a turn.
    """
    return next((mark for mark in (*SPECIAL_MARKS, IMAGE_MARK) if mark in text), None)


def check_reply(step: str, trace: Trace) -> Dropped | None:
    """Refuse a reply that never came, was cut off, or spells out a control token."""
    if trace.stop_reason == "error":
        return Dropped(f"{step}_unanswered", trace.error)
    if trace.stop_reason == "length":
        return Dropped(f"{step}_truncated", f"the reply did not end within {trace.tokens} tokens")
    mark = control_token(trace.text)
    return Dropped("control_token", f"the {step} reply contains {mark}") if mark else None


def plain_reply(step: str, trace: Trace) -> str | Dropped:
    """The whole reply without the white space round it, or why it cannot be used."""
    refused = check_reply(step, trace)
    if refused is not None:
        return refused
    return trace.text.strip() or Dropped(f"{step}_empty", "the reply is empty")


def ask(problems: Sequence[Problem], prompts: Sequence[str], generate: Generate) -> list[Trace | Dropped]:
    """Ask the MLLM about each problem's images; a prompt that cannot be rendered is a dropped row."""
    requests: list[Request] = []
    results: list[Trace | Dropped | None] = []
    for problem, prompt in zip(problems, prompts, strict=True):
        try:
            user_content(prompt, len(problem.media))
        except InputError as error:
            results.append(Dropped("prompt_refused", error.what))
        else:
            requests.append(Request(problem.id, prompt, problem.media))
            results.append(None)
    replies = iter(generate(requests) if requests else ())
    return [next(replies) if result is None else result for result in results]
