"""What goes on file while requests are under way: answers, and what budgets are charged.

What comes in the same turn of the event loop goes in one transaction. Used within one event loop.
"""

from __future__ import annotations

import asyncio

from vision_r1.teachers.ledger import Charge, Estimate, Spent
from vision_r1.teachers.request_log import Answered, RequestLog


class Writer:
    """Writes to the log.

    Every request that is sent is reserved first, and then answered or released. What cannot be written
    stays reserved, and counts in full at the next start.
    """

    def __init__(self, log: RequestLog) -> None:
        self._log = log
        self._answers: list[Answered] = []
        self._lost = self._reserved = Charge()
        self._waiting: list[asyncio.Future[None]] = []
        self._due = False

    async def reserve(self, most: Estimate) -> None:
        """Put on file what a request may come to; it may be sent when this returns.

        Raises:
            InputError: the log cannot be written to.
        """
        self._reserved = self._reserved.plus(_charge(most))
        try:
            await self._written()
        except asyncio.CancelledError:
            self.release(most, None)
            raise

    async def answered(
        self, answer: Answered, most: Estimate, spent: Spent, after: asyncio.Future[None] | None = None
    ) -> None:
        """Put an answer on file, in the place of what was reserved for its request.

        It goes there also when whoever waits for it is cancelled.

        Args:
            answer: to write.
            most: what was reserved.
            spent: what it came to, should it be lost.
            after: what has to be done before; where that fails, the answer is lost.

        Raises:
            InputError: the log cannot be written to, or what `after` failed with.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def write(_: asyncio.Future[None] | None = None) -> None:
            error = None if after is None else after.exception()
            if error is not None:
                self.release(most, spent)
                if not written.done():
                    written.set_exception(error)
                return
            self._answers.append(answer)
            self._reserved = self._reserved.plus(_charge(most), -1)
            self._waiting.append(written)
            self._schedule()

        if after is None or after.done():
            write()
        else:
            after.add_done_callback(write)
        await written

    def release(self, most: Estimate, spent: Spent | None) -> None:
        """A request ended without an answer and came to `spent`, None for nothing; this is written soon."""
        self._reserved = self._reserved.plus(_charge(most), -1)
        if spent is not None:
            self._lost = self._lost.plus(Charge(spent.replies, spent.charged, spent.cost))
        self._schedule()

    def flush(self) -> None:
        """Write what has come; whoever waits for it is told, also that it failed."""
        self._due = False
        answers, self._answers = self._answers, []
        waiting, self._waiting = self._waiting, []
        lost, reserved, self._lost, self._reserved = self._lost, self._reserved, Charge(), Charge()
        error: Exception | None = None
        try:
            self._log.put(answers, lost, reserved)
        except Exception as raised:  # noqa: BLE001  (whoever waits has to hear of it, whatever it is)
            error = raised
        for written in waiting:
            if not written.done() and error is not None:
                written.set_exception(error)
            elif not written.done():
                written.set_result(None)

    def _written(self) -> asyncio.Future[None]:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        self._schedule()
        return written

    def _schedule(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self.flush)


def _charge(most: Estimate) -> Charge:
    return Charge(1, most.tokens, most.cost)
