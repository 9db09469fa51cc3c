"""An event loop in a thread of its own, handed work from any thread and from inside other loops."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Starts with the first work, and ends with `close` or with the process."""

    def __init__(self, name: str, wind_up: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Nothing is started yet.

        Args:
            name: of the thread.
            wind_up: run in the loop before it ends, when all other work has been cancelled.
        """
        self._name, self._wind_up = name, wind_up
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._pid = os.getpid()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the loop."""
        if self._pid != os.getpid():
            work.close()
            raise RuntimeError("a client of endpoints does not live through a fork: make one in each process")
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
                atexit.register(self.close)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the loop, if it runs."""
        with self._starting:
            if self._loop is not None and self._pid == os.getpid():
                self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Drop what is under way and end the thread."""
        with self._starting:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        atexit.unregister(self.close)
        asyncio.run_coroutine_threadsafe(self._end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._wind_up()
        await asyncio.get_running_loop().shutdown_default_executor()
