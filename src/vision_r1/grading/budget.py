"""The time that one answer has, whatever it contains and however many comparisons it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# What is left of the promised 2 s is for noticing the end, killing, and the plain part of the comparison.
ANSWER_SECONDS = 1.5


class Budget:
    """A deadline that stands still while the answer waits for something that is not its own doing.

    Attributes:
        ran_out: whether a comparison was given up, so that "wrong" would not be established.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.ran_out = False

    @property
    def left(self) -> float:
        """Seconds left; zero or less when it is spent."""
        return self._end - time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time in here is not the answer's: a worker is being started, or all of them are busy."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._end += time.monotonic() - begin


_CURRENT: ContextVar[Budget | None] = ContextVar("answer_budget", default=None)


@contextmanager
def answer_budget() -> Iterator[Budget]:
    """The budget of the answer that this thread or task is grading; a new one if it grades none yet."""
    current = _CURRENT.get()
    if current is not None:
        yield current
        return
    budget = Budget(ANSWER_SECONDS)
    token = _CURRENT.set(budget)
    try:
        yield budget
    finally:
        _CURRENT.reset(token)
