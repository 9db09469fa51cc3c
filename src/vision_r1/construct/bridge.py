"""Steps 1 and 2 over a batch of problems, with an engine in this process.

| step | model | input | output |
|---|---|---|---|
| 1 | MLLM | image, question, answer | Pseudo-CoT: Caption and Reasoning |
| 2 | MLLM | image, question, Pseudo-CoT | question-aware description |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vision_r1.construct.chain import Ask, Made, Step, Told, chain, in_step
from vision_r1.construct.replies import Dropped, Said
from vision_r1.construct.steps import caption_step, describe_step, pseudo_cot_step
from vision_r1.problems.problem import Problem
from vision_r1.rollout.request import Request
from vision_r1.rollout.trace import Trace
from vision_r1.teachers.prompts import shipped_prompts

Generate = Callable[[Sequence[Request]], Sequence[Trace]]


@dataclass(frozen=True, slots=True)
class Bridged:
    """What the MLLM made of one problem.

    Attributes:
        id: the problem's.
        caption, reasoning: the Pseudo-CoT, empty where step 1 gave none.
        description: empty where a step failed.
        dropped: why there is no description; None where there is one.
    """

    id: str
    caption: str = ""
    reasoning: str = ""
    description: str = ""
    dropped: Dropped | None = None

    def plain(self) -> dict[str, Any]:
        """Plain data that `from_plain` reads back."""
        return asdict(self)

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> Bridged:
        """The inverse of `plain`."""
        dropped = data["dropped"]
        return cls(**{**data, "dropped": Dropped(**dropped) if dropped else None})


def bridge(problems: Sequence[Problem], told: Sequence[str | None], generate: Generate) -> list[Bridged]:
    """Steps 1 and 2.

    Args:
        problems: what to describe.
        told: for each problem, the answer that step 1 is given, or None.
        generate: the MLLM.

    Returns:
        One result a problem, in order.
    """
    prompts = shipped_prompts("tiny")
    return _through([pseudo_cot_step(prompts), describe_step(prompts)], problems, told, generate)


def plain_captions(problems: Sequence[Problem], generate: Generate) -> list[Bridged]:
    """The control: each image's plain caption in the place of the description."""
    return _through([caption_step(shipped_prompts("tiny"))], problems, [None] * len(problems), generate)


def _through(
    steps: Sequence[Step], problems: Sequence[Problem], told: Sequence[str | None], generate: Generate
) -> list[Bridged]:
    """Every problem through the steps, side by side."""
    chains = [
        chain(problem, steps, Told(mllm=answer)) for problem, answer in zip(problems, told, strict=True)
    ]

    def answer(asks: list[Ask]) -> list[Said]:
        traces = generate([Request(ask.problem, ask.prompt, ask.media) for ask in asks])
        return [Said(trace.text, "", trace.tokens, trace.stop_reason, trace.error) for trace in traces]

    return [
        _bridged(problem.id, made) for problem, made in zip(problems, in_step(chains, answer), strict=True)
    ]


def _bridged(problem_id: str, made: Made) -> Bridged:
    notes = made.notes
    return Bridged(
        problem_id,
        notes.get("caption", ""),
        notes.get("pseudo_cot", ""),
        notes.get("description", ""),
        made.dropped,
    )
