"""Grade many answers at once: threads here, the symbolic work in the worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from vision_r1.grading.symbolic import POOL

Item = TypeVar("Item")
Result = TypeVar("Result")

# How far the threads may run ahead of an answer that takes its whole two seconds.
_AHEAD = 4096


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map` in as many threads as there are symbolic workers, so that none has to wait for one.

    Yields:
        The results in the order of the items, of which at most 4,096 are read ahead. An error of
        `function` or of the items is raised in its place.
    """
    threads = ThreadPoolExecutor(POOL.size, thread_name_prefix="grade")
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(threads.submit(function, item))
            while pending and (len(pending) >= _AHEAD or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        threads.shutdown(wait=True, cancel_futures=True)
