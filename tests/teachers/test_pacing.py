"""Slots are never overrun, halve once for one bad window, and come back one for a window of answers."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.pacing import Pace, Patience
from vision_r1.teachers.wire import Fault

CONFIG = EndpointConfig(url="http://h/v1", transport_retries=3, patience_seconds=100.0)
SLOW, BROKEN = Fault("throttled", "429"), Fault("retry", "500")


@given(st.integers(1, 9), st.lists(st.sampled_from(["answered", "throttled", "cancelled"]), max_size=60))
def test_slots_are_never_overrun_and_all_come_back(most, fates):
    async def main():
        pace = Pace(most)
        now = 0

        async def one(fate):
            nonlocal now
            async with pace.slot() as started:
                now += 1
                assert now <= most
                await asyncio.sleep(0)
                now -= 1
                if fate == "answered":
                    pace.answered(started)
                if fate == "throttled":
                    pace.throttled(started, started + 1e-9, None)

        tasks = [asyncio.create_task(one(fate)) for fate in fates]
        for task, fate in zip(tasks, fates, strict=True):
            if fate == "cancelled":
                task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in found)
        assert pace._in_flight == 0 and 1 <= pace.limit <= most

    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_bad_window_halves_once_and_a_good_one_adds_one():
    pace = Pace(64)
    for _ in range(64):
        pace.throttled(started=1.0, now=2.0, wait=None)
    assert pace.limit == 32
    pace.throttled(started=3.0, now=4.0, wait=None)
    assert pace.limit == 16
    for _ in range(16):
        pace.answered(5.0)
    assert 16.9 < pace.limit <= 17
    for step in range(20):
        pace.throttled(started=10.0 + step, now=10.5 + step, wait=None)
    assert pace.limit == 1


def test_failures_are_counted_and_throttling_is_not():
    patience = Patience(CONFIG)
    waits = [patience.wait(BROKEN, now=0.0, last_answered=0.0) for _ in range(4)]
    assert waits[3] is None and all(0 < wait <= 2 for wait in waits[:3])
    patience = Patience(CONFIG)
    for now in range(0, 10_000, 50):
        assert patience.wait(SLOW, now=float(now), last_answered=float(now - 1)) is not None


@pytest.mark.parametrize("kind", ["throttled", "retry"])
def test_what_the_endpoint_asks_is_kept_within_patience(kind):
    assert Patience(CONFIG).wait(Fault(kind, "", wait=40.0), 0.0, 0.0) == 40.0
    assert Patience(CONFIG).wait(Fault(kind, "", wait=101.0), 0.0, 0.0) is None


def test_throttling_without_any_answer_ends():
    patience = Patience(CONFIG)
    assert patience.wait(SLOW, 0.0, float("-inf")) is not None
    assert patience.wait(SLOW, 101.0, float("-inf")) is None
    assert patience.wait(SLOW, 101.0, 90.0) is not None
