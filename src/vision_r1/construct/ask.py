"""The first way through the chains: thousands side by side over the endpoints, every answer logged."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vision_r1.construct.asking import chat_request, said_of
from vision_r1.construct.chain import Ask, Chain, Role
from vision_r1.construct.replies import Said
from vision_r1.core.progress import Progress
from vision_r1.teachers.chat import Failure
from vision_r1.teachers.config import RoleConfig
from vision_r1.teachers.served import Teachers


@dataclass(slots=True)
class Asked:
    """What a pass over the endpoints came to.

    Attributes:
        done: problems whose chain came to its end.
        failures: (problem, step, kind, reason) of every request that brought no reply.
        seconds: for each role, seconds that its requests took, waiting for a slot included.
        requests: for each role, how many took that time.
    """

    done: int = 0
    failures: list[tuple[str, str, str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    requests: Counter[str] = field(default_factory=Counter)


async def ask_all(
    chains: Iterable[Chain],
    teachers: Teachers,
    roles: Mapping[Role, RoleConfig],
    seed: int,
    asked: Asked,
    progress: Progress,
) -> None:
    """Bring every chain to its end, so many side by side that no slot of an endpoint stays empty.

    Args:
        chains: made when their turn comes, so that few are in memory at a time.
        teachers: who answers; it raises what no request could succeed against.
        roles: how each role is asked.
        seed: of the sampling.
        asked: filled in on the way, and right whenever this ends.
        progress: told of every problem.
    """
    turns = iter(chains)

    async def say(ask: Ask) -> Said:
        role = roles[ask.role]
        started = time.monotonic()
        request = chat_request(ask, role, seed)
        outcome = await teachers.answer(ask.role, request)
        if isinstance(outcome, Failure):
            asked.failures.append((ask.problem, ask.step, outcome.kind, outcome.reason))
        asked.seconds[ask.role] += time.monotonic() - started
        asked.requests[ask.role] += 1
        return said_of(outcome, "", role)

    async def follow(chain: Chain) -> None:
        try:
            asks = next(chain)
            while True:
                said = (
                    await asyncio.gather(*(say(ask) for ask in asks))
                    if len(asks) > 1
                    else [await say(asks[0])]
                )
                asks = chain.send(list(said))
        except StopIteration:
            asked.done += 1
            status = teachers.status()
            progress.advance(asked.done, requests=status.answered, cost=status.cost, failed=status.failed)

    async def work() -> None:
        for chain in turns:  # shared: each takes the next one
            await follow(chain)

    # Every slot busy, and some chains more that read, parse and wait.
    width = 2 * sum(endpoint.max_in_flight for role in roles.values() for endpoint in role.endpoints)
    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())
