"""The first way through the chains: thousands side by side over the endpoints, every answer logged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from vision_r1.construct.asking import chat_request, said_of
from vision_r1.construct.chain import Ask, Chain, Made
from vision_r1.construct.quarantine import Unanswered
from vision_r1.construct.replies import Said
from vision_r1.core.errors import InputError
from vision_r1.core.progress import Progress
from vision_r1.teachers.chat import Failure
from vision_r1.teachers.config import RoleConfig
from vision_r1.teachers.served import Status, Teachers

# After so many problems of which none can give a row, the construction stops.
LOOK_AT = 50


@dataclass(slots=True)
class Asked:
    """What a pass over the endpoints came to.

    Attributes:
        done: problems whose chain came to its end.
        first: of the first `LOOK_AT` chains that were begun, those that ended: why they can give no row,
            "" where they can.
    """

    done: int = 0
    first: dict[int, str] = field(default_factory=dict)


async def ask_all(
    chains: Iterable[Chain],
    teachers: Teachers,
    roles: Mapping[str, RoleConfig],
    seed: int,
    asked: Asked,
    note: Callable[[Unanswered], None],
    progress: Progress,
) -> None:
    """Bring every chain to its end, so many side by side that no slot of an endpoint stays empty.

    Args:
        chains: made when their turn comes, so that few are in memory at a time.
        teachers: who answers; raises what no request could succeed against.
        roles: how each role is asked.
        seed: of the sampling.
        asked: filled in on the way, and right whenever this ends.
        note: told of every request that brought no reply.
        progress: told of every problem.

    Raises:
        InputError: none of the first problems can give a row.
    """
    turns = enumerate(chains)

    async def say(ask: Ask) -> Said:
        role = roles[ask.role]
        request = chat_request(ask, role, seed)
        outcome = await teachers.answer(ask.role, request)
        if isinstance(outcome, Failure):
            note(Unanswered(request.key, ask.problem, ask.step, ask.sample, outcome.kind, outcome.reason))
        return said_of(outcome, "", role)

    async def follow(index: int, chain: Chain) -> None:
        try:
            asks = next(chain)
            while True:
                asks = chain.send(list(await asyncio.gather(*map(say, asks))))
        except StopIteration as end:
            asked.done += 1
            _look(index, end.value, asked)
            status = teachers.status()
            progress.advance(asked.done, **_fields(status))

    async def work() -> None:
        for index, chain in turns:  # shared: each takes the next one
            await follow(index, chain)

    # Every slot busy, and some chains more that read, parse and wait.
    width = 2 * sum(endpoint.max_in_flight for role in roles.values() for endpoint in role.endpoints)
    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())


def _fields(status: Status) -> dict[str, float]:
    """What is shown beside the problems."""
    fields: dict[str, float] = {
        "answered": status.answered,
        "from_log": status.from_log,
        "failed": status.failed,
        "in_flight": sum(endpoint.in_flight for endpoint in status.endpoints),
    }
    return fields | ({"cost": status.cost} if status.cost else {})


def _look(index: int, made: Made, asked: Asked) -> None:
    """Where the problems that were begun first all cannot give a row, no other will.

    Not those that ended first: what fails early ends early.

    Raises:
        InputError: what befell them.
    """
    if index >= LOOK_AT:
        return
    asked.first[index] = _why_useless(made)
    if len(asked.first) == LOOK_AT and all(asked.first.values()):
        counts = Counter(asked.first.values()).most_common(3)
        raise InputError(
            f"none of the first {LOOK_AT} problems can give a row: "
            + ", ".join(f"{name} {count}" for name, count in counts),
            fix="try it with --pilot 10 and look at the review page; what was answered is kept",
        )


def _why_useless(made: Made) -> str:
    if made.dropped is not None:
        return made.dropped.rule
    if any(sample.thought and not sample.said.hidden for sample in made.samples):
        return ""
    if any(sample.said.hidden for sample in made.samples):
        return "hidden_thought"
    dropped = next((sample.dropped for sample in made.samples if sample.dropped is not None), None)
    return dropped.rule if dropped is not None else "no_thought"
