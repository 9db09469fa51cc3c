"""When an endpoint is asked: how many requests at a time (AIMD), and when to try one again or give it up."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.wire import Fault

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between attempts


class Pace:
    """Slots for requests under way, used within one event loop.

    Additive increase, multiplicative decrease: a window of answers adds one slot, a throttled request
    halves the slots. Requests sent before the last cut do not cut again: they tell nothing new.

    Attributes:
        limit: slots at present, as a fraction; at least 1, at most `most`.
        last_answered: when a request was last answered, on the event loop's clock.
    """

    def __init__(self, most: int) -> None:
        self.most, self.limit = most, float(most)
        self.last_answered = float("-inf")
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._cut_at = self._until = float("-inf")

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Hold a slot; gives the time at which the request may start, after any pause."""
        await self._acquire()
        try:
            clock = asyncio.get_running_loop().time
            while (wait := self._until - clock()) > 0:
                await asyncio.sleep(wait)
            yield clock()
        finally:
            self._in_flight -= 1
            self._wake()

    def answered(self, now: float) -> None:
        """A request was answered."""
        self.last_answered = now
        self.limit = min(float(self.most), self.limit + 1 / self.limit)
        self._wake()

    def throttled(self, started: float, now: float, wait: float | None) -> None:
        """A request that started at `started` was throttled; nothing is sent for `wait` seconds."""
        if started > self._cut_at:
            self.limit, self._cut_at = max(1.0, self.limit / 2), now
        if wait is not None:
            self._until = max(self._until, now + wait)

    async def _acquire(self) -> None:
        if not self._waiting and self._in_flight < int(self.limit):
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._in_flight -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self._in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)


class Patience:
    """How long to wait before one request is tried again, and when not to.

    Failures of the endpoint are counted; being throttled is not a failure, and ends only when the
    endpoint has answered no request at all for `config.patience_seconds`.

    Attributes:
        failures: attempts that failed so far.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config
        self.failures = self._throttles = 0
        self._throttled_at = 0.0

    def wait(self, fault: Fault, now: float, last_answered: float) -> float | None:
        """Seconds until the next attempt; None to give up."""
        asked = fault.wait or 0.0
        if asked > self._config.patience_seconds:
            return None
        if fault.kind == "throttled":
            if self._throttles == 0:
                self._throttled_at = now
            self._throttles += 1
            wait = backoff(self._throttles) if fault.wait is None else asked
            silent_since = max(self._throttled_at, last_answered)
            return wait if now + wait - silent_since <= self._config.patience_seconds else None
        self.failures += 1
        if self.failures > self._config.transport_retries:
            return None
        return max(asked, backoff(self.failures))


def backoff(failures: int) -> float:
    """Seconds before the next attempt: doubling, jittered so that requests do not come in step."""
    ceiling: float = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(30, failures - 1))
    return ceiling * random.uniform(0.5, 1.0)
