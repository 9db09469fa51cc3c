"""When an endpoint is asked: how many requests at a time (AIMD), and when to try one again or give it up."""

from __future__ import annotations

import random

from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.wire import Fault

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between attempts


class Pace:
    """How many requests may be under way at one endpoint.

    Additive increase, multiplicative decrease: a window of answers adds one slot, a request that was
    throttled or timed out halves the slots. Requests sent before the last cut do not cut again: they tell
    nothing new. All times are on the event loop's clock.

    Attributes:
        limit: slots at present, as a fraction; at least 1, at most `most`.
        in_flight: slots taken.
        opens: when requests may be sent again after the endpoint asked to wait.
    """

    def __init__(self, most: int) -> None:
        self.most, self.limit = most, float(most)
        self.in_flight = 0
        self.opens = self._cut_at = float("-inf")

    @property
    def full(self) -> bool:
        """Whether every slot is taken."""
        return self.in_flight >= int(self.limit)

    def answered(self) -> None:
        """A request was answered."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def throttled(self, started: float, now: float, wait: float | None) -> None:
        """A request that started at `started` was one too many; nothing is sent for `wait` seconds."""
        if started > self._cut_at:
            self.limit, self._cut_at = max(1.0, self.limit / 2), now
        if wait is not None:
            self.opens = max(self.opens, now + wait)


class Patience:
    """How long to wait before one request is tried again, and when not to.

    Failures of the endpoint are counted; being throttled is not a failure, and ends only when the
    endpoint has answered no request at all for `config.patience_seconds`.

    Attributes:
        failures: attempts that failed so far.
    """

    def __init__(self) -> None:
        self.failures = self._throttles = 0
        self._throttled_at = 0.0

    def wait(self, fault: Fault, config: EndpointConfig, now: float, last_answered: float) -> float | None:
        """Seconds until the next attempt; None to give up."""
        asked = fault.wait or 0.0
        if asked > config.patience_seconds:
            return None
        if fault.kind == "throttled":
            if self._throttles == 0:
                self._throttled_at = now
            self._throttles += 1
            wait = backoff(self._throttles) if fault.wait is None else asked
            silent_since = max(self._throttled_at, last_answered)
            return wait if now + wait - silent_since <= config.patience_seconds else None
        self.failures += 1
        if self.failures > config.transport_retries:
            return None
        return max(asked, backoff(self.failures))


def backoff(failures: int) -> float:
    """Seconds before the next attempt: doubling, jittered so that requests do not come in step."""
    ceiling: float = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(30, failures - 1))
    return ceiling * random.uniform(0.5, 1.0)
