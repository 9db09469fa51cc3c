"""Served models that play parts, all asked from one event loop, within one budget.

    with RequestLog(path) as log, Teachers({"mllm": ..., "reasoner": ...}, log) as teachers:
        teachers.run(drive)

where `drive` is a coroutine function whose tasks, thousands if need be, await `teachers.answer(role,
request)`. The first Ctrl-C sends nothing new and finishes what is under way; the second one drops it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from vision_r1.core.errors import BudgetReached, ConfigError, InputError, Interrupted, VisionR1Error
from vision_r1.teachers.budget import Purse
from vision_r1.teachers.chat import ChatReply, ChatRequest, Failure
from vision_r1.teachers.config import Budget, RoleConfig
from vision_r1.teachers.desk import Desk, Usable, any_text
from vision_r1.teachers.ledger import Ledger
from vision_r1.teachers.loop import LoopThread
from vision_r1.teachers.pool import Health, Pool
from vision_r1.teachers.request_log import RequestLog
from vision_r1.teachers.transport import Traffic

T = TypeVar("T")
_OBJECTS = 20_000  # more than there were before cycles are looked for


def _nobody(in_flight: int) -> None:
    """Tell nobody what is waited for."""


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint of a role at this moment.

    Attributes:
        role: the part that it serves.
        url: its address.
        health: "well"; "out" where it is left out; "probed" while one request tries it.
        in_flight: requests under way.
        limit: how many it takes at a time at present.
        traffic: what went over it in this run.
    """

    role: str
    url: str
    health: Health
    in_flight: int
    limit: int
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Status:
    """Where a run stands.

    Attributes:
        endpoints: of every role.
        from_log: answers of this run that were in the log.
        answered: answers of this run that were sent for.
        failed: requests of this run without a usable answer.
        requests, tokens, cost: spent over all runs on the log.
    """

    endpoints: tuple[EndpointStatus, ...]
    from_log: int
    answered: int
    failed: int
    requests: int
    tokens: int
    cost: float


class Teachers:
    """Asks the models of several roles.

    Attributes:
        roles: who serves what.
        log: answers of this run and those before.
        ledger: what this run asked so far, by (step, model).
    """

    def __init__(
        self, roles: Mapping[str, RoleConfig], log: RequestLog, budget: Budget | None = None
    ) -> None:
        """Take the keys from the environment; nothing is sent yet.

        Raises:
            ConfigError: there is a limit on money, and a role without a price.
            InputError: an environment variable with a key is not set, or holds what no key can be.
        """
        budget = budget or Budget()
        for name, role in roles.items():
            if budget.max_cost is not None and role.price is None:
                fix = "give its price, {prompt: 0, completion: 0} if it is free"
                raise ConfigError("max_cost needs the price of every role", where=f"{name}.price", fix=fix)
        self.roles, self.log = dict(roles), log
        self._pools = {name: Pool(role.endpoints) for name, role in roles.items()}
        before = sum(log.ledger_by_step().values(), log.lost())
        self._desk = Desk(log, Purse(budget, before))
        self.ledger: Ledger = self._desk.ledger
        self._thread = LoopThread("teachers", self._wind_up)

    def run(
        self, work: Callable[[], Coroutine[Any, Any, T]], on_interrupt: Callable[[int], None] = _nobody
    ) -> T:
        """Run a coroutine function in the event loop; blocks until it has ended.

        Args:
            work: makes the coroutine.
            on_interrupt: told at the first Ctrl-C how many requests are under way and waited for.

        Raises:
            BudgetReached: the next request would pass a budget. What was under way is on file.
            Interrupted: after Ctrl-C, or where `work` asked on after `stop`. What was under way is on file.
            KeyboardInterrupt: at the second Ctrl-C. What was under way is lost.
            InputError: no request could succeed, or the log cannot be written, or `work` raised it. What
                was under way is on file, as far as that can be.
        """
        with _few_collections():
            return self._run(work, on_interrupt)

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]], on_interrupt: Callable[[int], None]) -> T:
        job = self._thread.submit(self._guarded(work))
        try:
            return job.result()
        except KeyboardInterrupt:
            self.stop()
            on_interrupt(sum(each.in_flight for each in self.status().endpoints))
        try:
            job.result()
        except KeyboardInterrupt:
            job.cancel()
            raise
        raise _interrupted()

    async def answer(self, role: str, request: ChatRequest, usable: Usable = any_text) -> ChatReply | Failure:
        """The answer to a request from the log, else from the role's endpoints; awaited inside `run`.

        Args:
            role: who answers.
            request: what to ask; equal ones are sent once.
            usable: whether an answer's text can be used; where not, further samples are taken.

        Raises:
            BudgetReached, Interrupted, InputError: see `run`; the work has to end.
        """
        try:
            return await self._desk.answer(self._pools[role], request, usable, self.roles[role].price)
        except (InputError, BudgetReached) as error:
            self._desk.stop(error)
            raise

    def stop(self) -> None:
        """Send nothing new, finish what is under way; from any thread. Answers in the log still come."""
        self._thread.call(lambda: self._desk.stop(_interrupted()))

    def status(self) -> Status:
        """Where the run stands; from any thread."""
        lines = list(self.ledger.values())
        requests, tokens, cost = self._desk.purse.spent
        return Status(
            endpoints=tuple(
                EndpointStatus(
                    role, each.endpoint.config.url, each.health, each.pace.in_flight,
                    int(each.pace.limit), each.endpoint.traffic,
                )
                for role, pool in self._pools.items() for each in pool.members
            ),
            from_log=sum(line.logged.replies for line in lines),
            answered=sum(line.fresh.replies for line in lines),
            failed=sum(sum(line.failures.values()) for line in lines),
            requests=requests, tokens=tokens, cost=cost,
        )  # fmt: skip

    def summary(self) -> dict[str, list[dict[str, Any]] | dict[str, dict[str, Any]]]:
        """What became of this run's requests, as plain data; from any thread.

        Returns:
            "steps": for each step and model, answers that were in the log, answers that were sent
            for, attempts, retries, throttled attempts, further samples and failures by kind;
            "endpoints": for each endpoint of a role, by its host alone, how its attempts ended;
            "roles": for each role, how many answers were sent for and how long those requests held a
            slot, in seconds.
        """
        return {
            "steps": [
                {
                    "step": step, "model": model, "from_log": line.logged.replies,
                    "answered": line.fresh.replies, "sent": line.sent,
                    "transport_retries": line.transport_retries, "throttled": line.throttled,
                    "answer_retries": line.answer_retries, "failures": dict(line.failures),
                }
                for (step, model), line in list(self.ledger.items())
            ],
            "endpoints": [
                {
                    "role": role, "host": urlsplit(each.endpoint.config.url).netloc,
                    **asdict(each.endpoint.traffic),
                }
                for role, pool in self._pools.items() for each in pool.members
            ],
            "roles": {
                role: {"answered": pool.answered, "seconds": pool.seconds}
                for role, pool in self._pools.items()
            },
        }  # fmt: skip

    def close(self) -> None:
        """Drop what is under way and end the thread; the log stays open."""
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._desk.go_on()
        try:
            return await work()
        except BaseException as error:
            # Task groups wrap what their tasks raise, and cancel the rest.
            ours = _first_of_ours(error)
            if ours is not None:
                self._desk.stop(ours)
            if self._desk.stopped is not None:
                await self._desk.drain()  # what is under way is paid for
            if ours is None:
                raise
            raise ours from None

    async def _wind_up(self) -> None:
        await self._desk.close()
        for pool in self._pools.values():
            await pool.close()


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for cycles of garbage more rarely: requests make many objects and hardly a cycle.

    A tenth of the time of a run with hundreds under way would go into it.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _OBJECTS) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _interrupted() -> Interrupted:
    return Interrupted("interrupted", fix="everything answered is kept; run the same command to go on")


def _first_of_ours(error: BaseException) -> VisionR1Error | None:
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _first_of_ours(each))), None)
    return error if isinstance(error, VisionR1Error) else None
