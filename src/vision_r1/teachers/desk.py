"""What answers requests: the log, else the endpoints of a role; an answer is on file before it is seen.

Used within one event loop. A request that several callers wait for is sent once. It is dropped when all of
them are gone, unless it is under way: then its answer is waited for and written.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from vision_r1.core.errors import InputError, VisionR1Error
from vision_r1.teachers.budget import Purse
from vision_r1.teachers.chat import (
    ChatReply,
    ChatRequest,
    Failure,
    request_key,
    request_text,
)
from vision_r1.teachers.config import Price
from vision_r1.teachers.ledger import Estimate, Ledger, Line, Spent
from vision_r1.teachers.pacing import Patience
from vision_r1.teachers.pool import Member, Pool, is_stopping
from vision_r1.teachers.prepare import Preparer, Ready
from vision_r1.teachers.request_log import Answered, RequestLog
from vision_r1.teachers.wire import Fault, begun_body, finished_body
from vision_r1.teachers.writer import Writer

Usable = Callable[[str], bool]
_TOO_LONG = re.compile(r"context|too long|(?:max|exceed)[^.]{0,60}(?:length|tokens?)", re.IGNORECASE)


def any_text(text: str) -> bool:
    """Every answer can be used."""
    return True


def _spent(outcome: ChatReply | Fault, most: Estimate) -> Spent | None:
    """What an attempt came to; None where it did not get as far as to count as a request."""
    if isinstance(outcome, ChatReply):
        return most.of(outcome)
    if outcome.worked:
        return Spent(1, charged=most.tokens, cost=most.cost)
    return None if outcome.kind in ("throttled", "unreachable") else Spent(1)


@dataclass(frozen=True)
class _Asked:
    """A request with its name in the log and who is to answer it."""

    request: ChatRequest
    text: str
    key: str
    pool: Pool
    price: Price | None
    line: Line

    def answer(self, reply: ChatReply, spent: Spent) -> Answered:
        """Its answer as it is put on file."""
        model, step = self.request.model, self.request.step
        return Answered(self.key, model, self.text, reply, step, spent.charged, spent.cost)


@dataclass
class _Bill:
    """The most that an attempt may come to, and what it came to; None while that is nothing."""

    most: Estimate
    spent: Spent | None = None


@dataclass(eq=False)
class _Fetch:
    """A request that is being answered, and who is told when it has ended."""

    task: asyncio.Task[ChatReply | Failure]
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    under_way: bool = False
    abandoned: bool = False

    def abandon(self) -> None:
        """Nobody waits for it any more, or nothing more may be sent."""
        self.abandoned = True
        if not self.under_way:
            self.task.cancel()


class Desk:
    """Answers requests.

    Attributes:
        log: answers of this run and those before.
        purse: what may still be spent.
        ledger: what this run asked, by step and model.
        stopped: why nothing more is sent; None while it is.
    """

    def __init__(self, log: RequestLog, purse: Purse) -> None:
        self.log, self.purse = log, purse
        self.ledger: Ledger = {}
        self.stopped: VisionR1Error | None = None
        self._fetches: dict[str, _Fetch] = {}
        self._writer = Writer(log)
        self._preparer = Preparer(log)

    # ---- one request

    async def answer(
        self, pool: Pool, request: ChatRequest, usable: Usable = any_text, price: Price | None = None
    ) -> ChatReply | Failure:
        """An answer that can be used, from further samples if need be.

        Raises:
            InputError: no request could succeed, see `Pool.stop`, or the log cannot be written.
            BudgetReached: it would pass a budget.
            VisionR1Error: what `stop` was told, where the answer is not in the log.
        """
        line = self.ledger.setdefault((request.step, request.model), Line())
        last, tries = "", 1 + pool.answer_retries
        for attempt in range(tries):
            line.answer_retries += attempt > 0
            outcome = await self._settle(pool, request.again(attempt), price, line)
            if isinstance(outcome, Failure):
                line.failed(outcome)
                return outcome
            if usable(outcome.text):
                return outcome
            last = outcome.text[:80]
        failure = Failure("answer", f"none of {tries} answers could be used; the last begins {last!r}")
        line.failed(failure)
        return failure

    async def _settle(
        self, pool: Pool, request: ChatRequest, price: Price | None, line: Line
    ) -> ChatReply | Failure:
        """The answer from the log, else from an endpoint."""
        try:
            text = request_text(request)
        except InputError as error:
            return Failure("request", error.line())
        key = request_key(text)
        while True:
            fetch = self._fetches.get(key)
            if fetch is None:
                logged = self.log.get(key)
                if logged is not None:
                    line.logged += Estimate(0, 0).of(logged)
                    return logged
                if self.stopped is not None:
                    raise self.stopped
                fetch = self._begin(_Asked(request, text, key, pool, price, line))
            found = await self._awaited(fetch)
            if found is not None:
                return found

    async def _awaited(self, fetch: _Fetch) -> ChatReply | Failure | None:
        """What a fetch comes to; None where it was dropped just when all others had left it."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        fetch.waiting.append(ended)  # not the task itself, which goes on where this caller is cancelled
        try:
            await ended
        finally:
            fetch.waiting.remove(ended)
            if not fetch.waiting and not fetch.task.done():
                fetch.abandon()
        if fetch.task.cancelled() and self.stopped is not None:
            raise self.stopped
        return None if fetch.task.cancelled() else fetch.task.result()

    def _begin(self, asked: _Asked) -> _Fetch:
        fetch: _Fetch

        async def work() -> ChatReply | Failure:
            return await self._fetch(asked, fetch)

        def ended(task: asyncio.Task[ChatReply | Failure]) -> None:
            del self._fetches[asked.key]
            if not task.cancelled():
                task.exception()  # seen, whether or not anybody still waits
            for waiting in fetch.waiting:
                if not waiting.done():
                    waiting.set_result(None)

        fetch = _Fetch(asyncio.get_running_loop().create_task(work()))
        fetch.task.add_done_callback(ended)
        self._fetches[asked.key] = fetch
        return fetch

    async def _fetch(self, asked: _Asked, fetch: _Fetch) -> ChatReply | Failure:
        """Try until there is a reply, or patience ends."""
        patience = Patience()
        avoid: Member | None = None
        while True:
            attempt = await self._attempt(asked, fetch, avoid)
            if isinstance(attempt, Failure):
                return attempt
            member, outcome = attempt
            if isinstance(outcome, ChatReply):
                return outcome
            asked.line.throttled += outcome.kind == "throttled"
            found = self._verdict(asked, member, outcome, patience)
            if isinstance(found, Failure):
                return found
            if fetch.abandoned:
                raise asyncio.CancelledError
            asked.line.transport_retries += outcome.kind != "throttled"
            avoid = member
            if found:
                await asyncio.sleep(found)

    def _verdict(self, asked: _Asked, member: Member, fault: Fault, patience: Patience) -> Failure | float:
        """What a fault means: the end of this request, or seconds until it is tried again."""
        pool, model = asked.pool, asked.request.model
        if is_stopping(fault):
            raise pool.stop(fault, member, model)
        if fault.kind == "row":
            # The longest prompts come first in an evaluation: that they do not fit is each one's own fault.
            counts = fault.perhaps_own or not _TOO_LONG.search(fault.reason)
            return pool.give_up("request", fault, counts=counts, member=member)
        if pool.all_dead():
            raise pool.stop(fault, member, model)
        if fault.kind == "unreachable":
            return 0.0  # the pool says when, and where
        now = asyncio.get_running_loop().time()
        wait = patience.wait(fault, member.endpoint.config, now, pool.last_answered)
        if wait is not None:
            return wait
        if fault.kind == "retry":
            tried = replace(fault, reason=f"gave up after {patience.failures} tries: {fault.reason}")
            return pool.give_up("transport", tried, counts=True, member=member)
        if pool.others(member):
            return 0.0
        raise pool.stop(fault, member, model)

    async def _attempt(
        self, asked: _Asked, fetch: _Fetch, avoid: Member | None
    ) -> tuple[Member, ChatReply | Fault] | Failure:
        """One HTTP request when there is room for it; its slot is free once the answer is on file."""
        async with asked.pool.gate:
            ready = await self._preparer.ready(asked.request)
            if isinstance(ready, Failure):
                return ready
            most = Estimate(ready.prompt_tokens, asked.request.max_tokens, asked.price)
            await self.purse.set_aside(most)
            bill = _Bill(most)
            try:
                member = await asked.pool.take_slot(avoid)
                try:
                    fetch.under_way = True
                    return member, await self._send(asked, member, ready, bill)
                finally:
                    fetch.under_way = False
                    asked.pool.give_back(member)
            finally:
                self.purse.settle(most, bill.spent)

    async def _send(self, asked: _Asked, member: Member, ready: Ready, bill: _Bill) -> ChatReply | Fault:
        """One HTTP request to this endpoint; what it may come to is on file before, its answer after.

        An answer goes on file after the images of its request.
        """
        most, config, cap = bill.most, member.endpoint.config, asked.request.max_tokens
        await self._writer.reserve(most)
        answered = False
        try:
            ready.check()
            bill.spent = Spent(1, charged=most.tokens, cost=most.cost)  # should it be dropped
            clock = asyncio.get_running_loop().time
            started = clock()
            asked.line.sent += 1
            body = finished_body(ready.begun, cap, config.cap_field, config.stream)
            outcome = await member.endpoint.post(body)
            if isinstance(outcome, Fault) and outcome.perhaps_own:
                outcome, bill.spent = await self._told_apart(asked, member, outcome, most)
            else:
                bill.spent = _spent(outcome, most)
            asked.pool.settle(member, started, outcome)
            if isinstance(outcome, ChatReply):
                answered = True
                came = most.of(outcome)
                member.serves.add(asked.request.model)
                await self._writer.answered(asked.answer(outcome, came), most, came, ready.stored)
                asked.line.fresh = asked.line.fresh + came
                asked.pool.answered += 1
                asked.pool.seconds += clock() - started
        finally:
            if not answered:
                self._writer.release(most, bill.spent)
        return outcome

    async def _told_apart(
        self, asked: _Asked, member: Member, fault: Fault, most: Estimate
    ) -> tuple[Fault, Spent | None]:
        """Whether a refusal is about this request alone, and what it cost to know.

        It is where the endpoint answers others. One that has answered none yet is asked a short question,
        within what was set aside for the request: the refused attempt itself came to nothing.
        """
        request, spent = asked.request, _spent(fault, most)
        if request.model not in member.serves:
            short = replace(
                request, system=None, user="Hi", media=(), stop=(), max_tokens=min(16, request.max_tokens)
            )
            config = member.endpoint.config
            body = finished_body(begun_body(short, []), short.max_tokens, config.cap_field, config.stream)
            asked.line.sent += 1
            outcome = await member.endpoint.post(body)
            spent = _spent(outcome, most) or spent
            if isinstance(outcome, ChatReply):
                member.serves.add(request.model)
            elif is_stopping(outcome):
                return fault, spent
        return replace(fault, kind="row"), spent

    # ---- the end

    def stop(self, why: VisionR1Error) -> None:
        """Send nothing new; what is under way goes on. The first reason stays."""
        if self.stopped is None:
            self.stopped = why
            for fetch in list(self._fetches.values()):
                fetch.abandon()

    def go_on(self) -> None:
        """Send again, after a `stop`."""
        self.stopped = None

    async def drain(self) -> None:
        """Wait until what is under way is answered and written, or has failed."""
        while under_way := [fetch.task for fetch in self._fetches.values() if not fetch.task.done()]:
            await asyncio.wait(under_way)

    async def close(self) -> None:
        """Drop what is under way."""
        tasks = [fetch.task for fetch in self._fetches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._preparer.close()
        self._writer.flush()
