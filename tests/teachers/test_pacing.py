"""Slots are never overrun, halve once for one bad window, and come back one for a window of answers."""

import asyncio
import contextlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.teachers import pacing
from vision_r1.teachers.chat import ChatReply
from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.pacing import Pace, Patience
from vision_r1.teachers.pool import Pool
from vision_r1.teachers.wire import Fault

CONFIG = EndpointConfig(url="http://h/v1", transport_retries=3, patience_seconds=100.0)
SLOW, BROKEN = Fault("throttled", "429"), Fault("retry", "500")
REPLY = ChatReply("a", "", "stop", 1, 1, "m")
OUTCOMES = {"throttled": SLOW, "broken": BROKEN, "unreachable": Fault("unreachable", "no route")}


@contextlib.asynccontextmanager
async def slot(pool, avoid=None):
    member = await pool.take_slot(avoid)
    try:
        yield member
    finally:
        pool.give_back(member)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.lists(st.sampled_from(["answered", "throttled", "cancelled", "broken", "unreachable"]), max_size=60),
)
def test_slots_are_never_overrun_and_all_come_back(most, fates):
    async def main():
        pool = Pool([EndpointConfig(url=f"http://h{i}/v1", max_in_flight=n) for i, n in enumerate(most)])
        now = Counter()
        avoid = None

        async def one(fate):
            nonlocal avoid
            async with slot(pool, avoid) as member:
                name = member.endpoint.config.url
                now[name] += 1
                assert now[name] <= member.endpoint.config.max_in_flight
                started = asyncio.get_running_loop().time()
                try:
                    await asyncio.sleep(0)
                finally:
                    now[name] -= 1
                pool.settle(member, started, OUTCOMES.get(fate, REPLY))
                if fate != "answered":
                    avoid = member

        tasks = [asyncio.create_task(one(fate)) for fate in fates]
        await asyncio.sleep(0)
        for task, fate in zip(tasks, fates, strict=True):
            if fate == "cancelled":
                task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in found)
        for member, limit in zip(pool.members, most, strict=True):
            assert member.pace.in_flight == 0 and 1 <= member.pace.limit <= limit
            assert member.health in ("well", "out")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing, "_FIRST_WAIT", 0.0001)
        patch.setattr(pacing, "_LONGEST_WAIT", 0.0001)
        asyncio.run(asyncio.wait_for(main(), 10))


def test_the_load_follows_what_each_endpoint_takes():
    async def main():
        pool = Pool([EndpointConfig(url=f"http://h{i}/v1", max_in_flight=n) for i, n in enumerate((30, 10))])
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(20):
                await stack.enter_async_context(slot(pool))
            return [member.pace.in_flight for member in pool.members]

    assert asyncio.run(main()) == [15, 5]


def test_a_bad_window_halves_once_and_a_good_one_adds_one():
    pace = Pace(64)
    for _ in range(64):
        pace.throttled(started=1.0, now=2.0, wait=None)
    assert pace.limit == 32
    pace.throttled(started=3.0, now=4.0, wait=None)
    assert pace.limit == 16
    for _ in range(16):
        pace.answered()
    assert 16.9 < pace.limit <= 17
    for step in range(20):
        pace.throttled(started=10.0 + step, now=10.5 + step, wait=None)
    assert pace.limit == 1


def test_failures_are_counted_and_throttling_is_not():
    patience = Patience()
    waits = [patience.wait(BROKEN, CONFIG, now=0.0, last_answered=0.0) for _ in range(4)]
    assert waits[3] is None and all(0 < wait <= 2 for wait in waits[:3])
    patience = Patience()
    for now in range(0, 10_000, 50):
        assert patience.wait(SLOW, CONFIG, now=float(now), last_answered=float(now - 1)) is not None


@pytest.mark.parametrize("kind", ["throttled", "retry"])
def test_what_the_endpoint_asks_is_kept_within_patience(kind):
    assert Patience().wait(Fault(kind, "", wait=40.0), CONFIG, 0.0, 0.0) == 40.0
    assert Patience().wait(Fault(kind, "", wait=101.0), CONFIG, 0.0, 0.0) is None


def test_throttling_without_any_answer_ends():
    patience = Patience()
    assert patience.wait(SLOW, CONFIG, 0.0, float("-inf")) is not None
    assert patience.wait(SLOW, CONFIG, 101.0, float("-inf")) is None
    assert patience.wait(SLOW, CONFIG, 101.0, 90.0) is not None
