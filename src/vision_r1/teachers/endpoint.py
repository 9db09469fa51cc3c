"""The client of one OpenAI-compatible endpoint: paced, patient, and never asking twice what is in the log.

The requests run in an event loop in a thread of the client's own, so it can be called from any thread
and from inside another event loop. What goes wrong with one request is a `Failure`; what would go wrong
with every request (a refused key, an unknown model, an endpoint that is not there) is raised.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Sequence
from typing import Self

from vision_r1.problems.problem import Media
from vision_r1.teachers.budget import Purse
from vision_r1.teachers.chat import ChatReply, ChatRequest, Failure
from vision_r1.teachers.config import Budget, EndpointConfig
from vision_r1.teachers.desk import Desk, Usable, any_text
from vision_r1.teachers.ledger import Spent
from vision_r1.teachers.loop import LoopThread
from vision_r1.teachers.pool import Pool
from vision_r1.teachers.request_log import RequestLog


def _nobody(done: int) -> None:
    """Tell nobody how far it is."""


class EndpointClient:
    """Asks one endpoint.

    Attributes:
        config: which one, and how patiently.
        log: answers of this run and those before.
    """

    def __init__(self, config: EndpointConfig, log: RequestLog) -> None:
        """Take the key from the environment; nothing is sent yet.

        Raises:
            InputError: the environment variable with the key is not set, or holds what no key can be.
        """
        self.config, self.log = config, log
        self._pool = Pool([config])
        self._desk = Desk(log, Purse(Budget(), Spent()))
        self._thread = LoopThread("endpoint-client", self._wind_up)

    @property
    def sent(self) -> int:
        """HTTP requests sent so far, retries included."""
        return self._pool.members[0].endpoint.traffic.sent

    def complete(
        self,
        requests: Sequence[ChatRequest],
        on_done: Callable[[int], None] = _nobody,
        usable: Usable = any_text,
    ) -> list[ChatReply | Failure]:
        """Ask all requests; blocks, also inside a running event loop (see `acomplete`).

        Args:
            requests: what to ask; equal ones are sent once.
            on_done: called in the calling thread with the number of requests that have just ended.
            usable: whether an answer's text can be used; where not, further samples are taken.

        Returns:
            One outcome for each request, in order.

        Raises:
            InputError: no request could succeed: the key is refused, the model or the address unknown,
                the endpoint cannot be reached, throttles or fails without end, or the log cannot be
                written. Answers that have come until then are in the log.
        """
        ended: queue.SimpleQueue[tuple[int, ChatReply | Failure] | None] = queue.SimpleQueue()
        job = self._thread.submit(self._all(requests, usable, lambda *outcome: ended.put(outcome)))
        job.add_done_callback(lambda _: ended.put(None))
        outcomes: dict[int, ChatReply | Failure] = {}
        try:
            while (item := ended.get()) is not None:
                outcomes[item[0]] = item[1]
                on_done(1)
        except BaseException:
            job.cancel()
            raise
        job.result()
        return [outcomes[index] for index in range(len(requests))]

    async def acomplete(
        self, requests: Sequence[ChatRequest], usable: Usable = any_text
    ) -> list[ChatReply | Failure]:
        """`complete` for callers with an event loop of their own, which goes on meanwhile."""
        outcomes: dict[int, ChatReply | Failure] = {}
        await asyncio.wrap_future(self._thread.submit(self._all(requests, usable, outcomes.__setitem__)))
        return [outcomes[index] for index in range(len(requests))]

    def ask(
        self,
        prompt: str,
        *,
        model: str,
        system: str | None = None,
        media: tuple[Media, ...] = (),
        max_tokens: int = 1024,
        temperature: float | None = 0.0,
        seed: int | None = None,
        sample_index: int = 0,
        template: str = "",
        usable: Usable = any_text,
    ) -> str | Failure:
        """The answer to one prompt, as text; for judges, from many threads at once. See `complete`."""
        request = ChatRequest(
            model=model, user=prompt, system=system, media=media, max_tokens=max_tokens,
            temperature=temperature, seed=seed, sample_index=sample_index, template=template,
        )  # fmt: skip
        outcome = self.complete([request], usable=usable)[0]
        return outcome if isinstance(outcome, Failure) else outcome.text

    def close(self) -> None:
        """Drop what is under way and end the client's thread; the log stays open."""
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _wind_up(self) -> None:
        await self._desk.close()
        await self._pool.close()

    async def _all(
        self,
        requests: Sequence[ChatRequest],
        usable: Usable,
        ended: Callable[[int, ChatReply | Failure], None],
    ) -> None:
        order = iter(enumerate(requests))

        async def work() -> None:
            for index, request in order:  # shared: each takes the next one
                ended(index, await self._desk.answer(self._pool, request, usable))

        try:
            async with asyncio.TaskGroup() as group:
                # More than there are slots: some wait to try again.
                for _ in range(min(len(requests), 2 * self.config.max_in_flight)):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
