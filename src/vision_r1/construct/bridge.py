"""Steps 1 and 2 over a batch of problems: from pixels to a description.

| step | model | input | output |
|---|---|---|---|
| 1 | MLLM | image, question, answer | Pseudo-CoT: Caption and Reasoning |
| 2 | MLLM | image, question, Pseudo-CoT | question-aware description |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from vision_r1.construct import caption, describe, pseudo_cot
from vision_r1.construct.replies import Dropped, Generate, ask
from vision_r1.problems.problem import Problem
from vision_r1.rollout.trace import Trace


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
    asked = [pseudo_cot.render(problem, answer) for problem, answer in zip(problems, told, strict=True)]
    rows: list[Bridged] = []
    follow: list[tuple[int, pseudo_cot.PseudoCot]] = []
    for index, reply in enumerate(ask(problems, asked, generate)):
        parts = pseudo_cot.parse(reply) if isinstance(reply, Trace) else reply
        if isinstance(parts, Dropped):
            rows.append(Bridged(problems[index].id, dropped=parts))
        else:
            rows.append(Bridged(problems[index].id, parts.caption, parts.reasoning))
            follow.append((index, parts))
    wanted = [problems[index] for index, _ in follow]
    asked = [describe.render(problems[index], parts) for index, parts in follow]
    for (index, _), reply in zip(follow, ask(wanted, asked, generate), strict=True):
        text = describe.parse(reply) if isinstance(reply, Trace) else reply
        change = {"dropped": text} if isinstance(text, Dropped) else {"description": text}
        rows[index] = replace(rows[index], **change)
    return rows


def plain_captions(problems: Sequence[Problem], generate: Generate) -> list[Bridged]:
    """The control: each image's plain caption in the place of the description."""
    rows = []
    replies = ask(problems, [caption.render()] * len(problems), generate)
    for problem, reply in zip(problems, replies, strict=True):
        text = caption.parse(reply) if isinstance(reply, Trace) else reply
        if isinstance(text, Dropped):
            rows.append(Bridged(problem.id, dropped=text))
        else:
            rows.append(Bridged(problem.id, caption=text, description=text))
    return rows
