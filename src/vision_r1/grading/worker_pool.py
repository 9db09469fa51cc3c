"""The pool of symbolic workers: started when needed, shared by all threads, never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
from typing import Any

from vision_r1.core.errors import VisionR1Error
from vision_r1.grading.budget import Budget
from vision_r1.grading.worker_process import ForkServer, SpawnStarter, Starter, Worker

CAN_FORK = hasattr(os, "fork")
# More workers than two processors: one that hangs takes a share of them, not half of the places.
MOST_WORKERS = max(4, os.cpu_count() or 1)
_MOST_REQUESTS = 2000  # then a worker is replaced, with whatever sympy's caches hold


class WorkerPool:
    """Hands requests to workers; safe to use from any number of threads.

    There are as many workers as requests were ever in flight at once, at most `size`. A worker that
    died or ran out of time is replaced at the next request. A forked child of this process starts a
    pool of its own.

    Args:
        size: the most workers at a time; callers beyond it wait for one to be free.
        fork: whether workers are forked; each is an interpreter of its own otherwise.
    """

    def __init__(self, size: int = MOST_WORKERS, fork: bool = CAN_FORK) -> None:
        self.size = size
        self._fork = fork
        self._hooked = False
        self._reset()

    def _reset(self) -> None:
        self._start_lock = threading.Lock()
        self._starter: Starter | None = None
        self._workers: dict[Worker, int] = {}  # the living ones, and how many requests each has had
        # Last in, first out: few callers keep few workers, and these stay warm.
        self._free: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(self.size):
            self._free.put(None)

    @property
    def pid(self) -> int | None:
        """The process that forks the workers; None if there is none."""
        return self._starter.pid if isinstance(self._starter, ForkServer) else None

    def ask(self, request: dict[str, Any], budget: Budget) -> dict[str, Any] | None:
        """The reply to a request; None if the budget was spent, or two workers died of the request.

        Waiting for a free worker or for a starting one is not charged to the budget: an answer is not
        to be blamed for others that hang. That wait is bounded, because nobody holds a worker for
        longer than its own budget.

        Raises:
            VisionR1Error: no worker can be started at all.
        """
        with budget.paused():
            worker = self._free.get()
        try:
            for _ in range(2):  # one that was killed from outside tells nothing about the answer
                if budget.left <= 0:
                    break
                if worker is None:
                    with budget.paused():
                        worker = self._new_worker()
                seconds = budget.left
                reply = worker.ask(json.dumps({**request, "seconds": seconds}) + "\n", seconds)
                worker = self._used(worker, reply)
                if reply is not None:
                    answer: dict[str, Any] = json.loads(reply)
                    return answer
        finally:
            self._free.put(worker)
        return None

    def close(self) -> None:
        """End the idle workers and what starts them; a later request starts new ones.

        A worker in the middle of a request stays until it is idle again, or this process ends.
        """
        idle: list[Worker | None] = []
        with contextlib.suppress(queue.Empty):
            while len(idle) < self.size:
                idle.append(self._free.get_nowait())
        for worker in idle:
            if worker is not None:
                self._workers.pop(worker, None)
                worker.close()
            self._free.put(None)
        with self._start_lock:
            if self._starter is not None:
                self._starter.close()
                self._starter = None

    def _used(self, worker: Worker, reply: str | None) -> Worker | None:
        """The worker if it is still of use; else it is ended."""
        if reply is not None and self._workers.get(worker, _MOST_REQUESTS) < _MOST_REQUESTS:
            self._workers[worker] += 1
            return worker
        self._workers.pop(worker, None)
        worker.close()
        return None

    def _new_worker(self) -> Worker:
        with self._start_lock:
            if not self._hooked and self._fork:
                os.register_at_fork(after_in_child=self._abandon)
                self._hooked = True
            try:
                worker = self._started().new_worker()
            except VisionR1Error:
                if self._starter is None:
                    raise
                # It may have been killed from outside. One that is really broken fails again.
                self._starter.close()
                self._starter = None
                worker = self._started().new_worker()
            self._workers[worker] = 0
            return worker

    def _started(self) -> Starter:
        if self._starter is None:
            self._starter = ForkServer() if self._fork else SpawnStarter()
        return self._starter

    def _abandon(self) -> None:
        """In a forked child: the sockets and locks are the parent's, whose workers must see it end."""
        for worker in self._workers:
            worker.close()
        if self._starter is not None:
            self._starter.abandon()
        self._reset()
